"""One setting that is searched: how it is written, which values it can take, and what Optuna knows it as."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from fastgan.config import require, said

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"(?P<x>[xX]?)\s*(?P<low>{_NUMBER})\s*\.\.\s*(?P<x2>[xX]?)\s*(?P<high>{_NUMBER})"
    rf"(?:\s+(?:(?P<log>log)|step\s+(?P<step>{_NUMBER})))?",
    re.ASCII,
)
FORMS = (
    '"1e-4..4e-3 log", "16..64 step 16", "0.0..0.99", "x0.5..x2 log" (times the preset\'s own value), or a list of '
    "choices as in [16, 32]"
)


@dataclass(frozen=True)
class Dimension:
    """A setting with the values that are tried."""

    key: str
    """table.key of the settings, or "preset"."""
    distribution: BaseDistribution
    choices: tuple[Any, ...] = ()
    """Of a categorical distribution: the values themselves."""
    relative: bool = False
    """Whether values are factors of the preset's own value."""
    text: str = ""
    """As it is written in the space."""

    def draw(self, trial: Trial) -> Any:
        """What Optuna draws for a trial; `value` says what it stands for."""
        space = self.distribution
        if isinstance(space, CategoricalDistribution):
            return trial.suggest_categorical(self.key, space.choices)
        if isinstance(space, IntDistribution):
            return trial.suggest_int(self.key, space.low, space.high, step=space.step, log=space.log)
        assert isinstance(space, FloatDistribution)
        return trial.suggest_float(self.key, space.low, space.high, step=space.step, log=space.log)

    def value(self, drawn: Any, base: Any) -> Any:
        """The setting that a `drawn` value stands for; base: the preset's own."""
        if self.choices:
            return self.choices[[_plain(choice) for choice in self.choices].index(drawn)]
        if not self.relative:
            return drawn
        scaled = base * drawn
        return max(round(scaled), 1) if isinstance(base, int) else float(f"{scaled:.4g}")

    def of(self, value: Any, base: Any) -> Any:
        """What Optuna is told for a setting that is `value`: the same where it lies in the space, else the nearest."""
        if self.choices:
            plain = [_plain(choice) for choice in self.choices]
            if _plain(value) in plain:
                return _plain(value)
            numbers = [p for p in plain if isinstance(p, int | float) and not isinstance(p, bool)]
            if numbers and isinstance(value, int | float) and not isinstance(value, bool):
                return min(numbers, key=lambda p: abs(p - value))
            return plain[0]
        number = 1.0 if self.relative else value
        if not isinstance(number, int | float) or isinstance(number, bool):
            return self.distribution.low  # type: ignore[attr-defined]
        return _within(number, self.distribution)

    def corners(self, base: Any) -> list[Any]:
        """The settings to check: each choice, or both ends."""
        if self.choices:
            return list(self.choices)
        low, high = self.distribution.low, self.distribution.high  # type: ignore[attr-defined]
        return [self.value(low, base), self.value(high, base)]


def parse(key: str, written: Any) -> Dimension | None:
    """The dimension that a value of a space stands for; None for a fixed one. ConfigError for what is neither."""
    if isinstance(written, list):
        require(len(written) > 0, f"{key} = [] lists no choices: name one or more, as in [16, 32]")
        plain = [_plain(item) for item in written]
        twice = next((item for item in plain if plain.count(item) > 1), None)
        require(twice is None, f"{key} lists {said(twice)} twice: name each choice once")
        for item in written:
            require(not isinstance(item, Mapping), f"{key} lists a table: choices are values, as in [16, 32]")
        return Dimension(key, CategoricalDistribution(plain), tuple(written), text=json.dumps(written))
    if not isinstance(written, str) or ".." not in written or "/" in written:  # a path may go upwards
        return None
    match = _RANGE.fullmatch(written.strip())
    require(match is not None, f"{key} = {said(written)} is no range: write {FORMS}")
    assert match is not None
    relative = bool(match["x"])
    require(
        bool(match["x2"]) == relative,
        f"{key} = {said(written)} has one end with x and one without: write x0.5..x2 or 0.5..2",
    )
    return Dimension(key, _range(key, written, match, relative), relative=relative, text=written)


def _range(key: str, written: str, match: re.Match[str], relative: bool) -> BaseDistribution:
    ends = (match["low"], match["high"], *filter(None, [match["step"]]))
    whole = not relative and all(re.fullmatch(r"[-+]?\d{1,18}", end) for end in ends)
    low, high = float(match["low"]), float(match["high"])
    require(low < high, f"{key} = {said(written)} must go upwards: write the smaller number first")
    require(
        (not match["log"] and not relative) or low > 0,
        f"{key} = {said(written)} must begin above 0, on a logarithmic scale and for factors",
    )
    step = float(match["step"]) if match["step"] else None
    require(
        step is None or 0 < step <= high - low,
        f"{key} = {said(written)}: the step must be above 0 and fit into the range",
    )
    log = bool(match["log"])
    if step is not None:  # Optuna would round the end down with a warning
        high = low + int((high - low) / step + 1e-9) * step
    if whole:
        return IntDistribution(int(low), round(high), log=log, step=int(step) if step else 1)
    return FloatDistribution(low, float(f"{high:.12g}"), log=log, step=step)


def _within(number: float, distribution: Any) -> float | int:
    inside = min(max(number, distribution.low), distribution.high)
    step = distribution.step
    if step and not distribution.log:
        inside = distribution.low + round((inside - distribution.low) / step) * step
    return int(inside) if isinstance(distribution, IntDistribution) else float(inside)


def _plain(value: Any) -> Any:
    """A choice as Optuna keeps it: lists and others as JSON."""
    return (
        value
        if value is None or isinstance(value, bool | int | float | str)
        else json.dumps(value, default=str)
    )
