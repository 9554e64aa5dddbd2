"""The search space: which settings are tried in which range, written in TOML, and checked as `train` checks them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna import Trial

from fastgan.config import build, merge, preset_names, read_toml, require, said, to_toml
from fastgan.errors import ConfigError, FastganError
from fastgan.naming import named
from fastgan.training import assemble
from fastgan.training.choices.layered import unmeasured
from fastgan.training.options import tables
from fastgan.training.portion import Portion
from fastgan.training.settings import RunConfig
from fastgan.tuning.dimension import Dimension, parse

PRESET = "preset"
_OWN: Mapping[str, str] = {
    "data.source": "the images are those of the call",
    "train.seed": "seed",
    "train.budget": "trial_budget",
    "train.eval_metrics": "metric",
    "train.eval_images": "eval_images",
    "model.resolution": "resolution",
    **dict.fromkeys(
        ("data.fit", "data.split", "data.kind", "data.max_bad", "data.max_pixels"),
        "pack the images with fastgan data pack first, which has an option for it",
    ),
    **dict.fromkeys(
        ("model.img_channels", "model.classes", "model.attributes"), "it follows from the images"
    ),
    **dict.fromkeys(
        (
            *("train.eval_every", "train.best_metric", "train.stop_when", "train.keep_checkpoints"),
            *("train.checkpoint_every", "train.grid_every", "train.log_every"),
        ),
        "each trial is scored and kept alike",
    ),
}
"""Settings that are no trial's: the argument that sets them for all, or why"""


@dataclass(frozen=True)
class Images:
    """What a preset chooses by."""

    count: int
    side: int


@dataclass(frozen=True)
class Space:
    """Presets, settings that are searched, settings that are fixed."""

    presets: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any]
    """Tables"""
    origin: str
    """What messages call it: the file, or what it was made from"""

    @property
    def searched(self) -> tuple[Dimension, ...]:
        """All that Optuna draws: the preset first, where there are several."""
        if len(self.presets) == 1:
            return self.dimensions
        choice = parse(PRESET, list(self.presets))
        assert choice is not None
        return (choice, *self.dimensions)

    def toml(self) -> str:
        """The space as a file that says the same."""
        names: Any = list(self.presets) if len(self.presets) > 1 else self.presets[0]
        written: dict[str, Any] = {PRESET: names}
        for key, value in _leaves(self.fixed):  # a list alone would be choices
            written = merge(written, tables({key: [value] if isinstance(value, list) else value}))
        for dimension in self.dimensions:
            value = list(dimension.choices) if dimension.choices else dimension.text
            written = merge(written, tables({dimension.key: value}))
        return to_toml(written)

    def base(self, name: str, images: Images, device: str) -> dict[str, Any]:
        """The tables of a preset with what is fixed."""
        return unmeasured(name, self.fixed, images.count, images.side, device)

    def draw(self, trial: Trial) -> dict[str, Any]:
        """Let Optuna draw a trial; `settings` says what it stands for."""
        return {dimension.key: dimension.draw(trial) for dimension in self.searched}

    def settings(self, drawn: Mapping[str, Any], images: Images, device: str) -> tuple[str, dict[str, Any]]:
        """What drawn values stand for: the preset, and all settings as tables."""
        name = drawn.get(PRESET, self.presets[0])
        base = self.base(name, images, device)
        found: dict[str, Any] = base
        for dimension in self.dimensions:
            value = dimension.value(drawn[dimension.key], look_up(base, dimension.key))
            found = merge(found, tables({dimension.key: value}))
        return name, found

    def own(self, name: str, images: Images, device: str) -> tuple[dict[str, Any], list[str]]:
        """The values that come nearest to a preset's own, for its trial; and the settings that had to move."""
        base = self.base(name, images, device)
        drawn: dict[str, Any] = {PRESET: name} if len(self.presets) > 1 else {}
        moved = []
        for dimension in self.dimensions:
            value = look_up(base, dimension.key)
            drawn[dimension.key] = dimension.of(value, value)
            if dimension.value(drawn[dimension.key], value) != value:
                moved.append(dimension.key)
        return drawn, moved


def look_up(found: Mapping[str, Any], key: str) -> Any:
    """A setting of tables, with the default where they leave it out; None where there is none.

    A portion of the planned images is its text: no number of kimg.
    """
    table, _, name = key.partition(".")
    value = getattr(getattr(build(RunConfig, found), table, None), name, None)
    return str(value) if isinstance(value, Portion) else value


def read(path: Path) -> tuple[dict[str, Any], str]:
    """The tables of a space's file, and what messages call it."""
    return read_toml(path), str(path)


def given(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a space that Python gives, by dotted names, as tables, or both."""
    return tables(mapping)


def make(
    written: Mapping[str, Any], settings: Mapping[str, Any], asked: tuple[str, ...], origin: str
) -> Space:
    """A space of its tables; settings: fixed beside them; asked: names of presets, over those written.

    Raises ConfigError that names `origin`, the setting and how to mend it.
    """
    presets = asked or _presets(written.get(PRESET, "small"), origin)
    dimensions, fixed = [], dict[str, Any]()
    for key, value in _leaves({k: v for k, v in written.items() if k != PRESET}):
        with_origin = f"{origin}: {key}"
        _check_not_own(key, with_origin)
        if names(settings, key):
            continue  # the call's own
        found = parse_at(with_origin, key, value)
        if found is None:
            fixed = merge(fixed, tables({key: value}))
        elif len(found.choices) == 1:
            fixed = merge(fixed, tables({key: found.choices[0]}))
        else:
            dimensions.append(found)
    for key, _ in _leaves(settings):
        _check_not_own(key, named("settings"))
    return Space(presets, tuple(dimensions), merge(fixed, settings), origin)


def parse_at(where: str, key: str, value: Any) -> Dimension | None:
    """`parse`, with what its errors call the setting."""
    found = parse(where, value)
    return None if found is None else Dimension(key, *[getattr(found, f) for f in _FIELDS])


_FIELDS = ("distribution", "choices", "relative", "text")


def check(space: Space, images: Images, device: str) -> None:
    """ConfigError for a setting or a value that training would refuse, by the check that it has itself."""
    require(
        bool(space.searched),
        f"{space.origin} leaves nothing to search: give a setting a range or choices, as in "
        'train.lr_g = "1e-4..4e-3 log"',
    )
    for name in space.presets:
        try:
            base = space.base(name, images, device)
        except ConfigError as error:
            raise ConfigError(f"{space.origin}: {error}") from error
        _refuse(base, space.origin)
        for dimension in space.dimensions:
            _check_dimension(space, dimension, base, name)


def _check_dimension(space: Space, dimension: Dimension, base: dict[str, Any], name: str) -> None:
    where = f"{space.origin}: {dimension.key} = {dimension.text}"
    own: Any = None
    if dimension.relative:
        own = look_up(base, dimension.key)
        number = isinstance(own, int | float) and not isinstance(own, bool) and own > 0
        require(
            number,
            f"{where} is a factor, and the preset {name} has {said(own)} there: write a range of values",
        )
    for value in dimension.corners(own):
        changed = merge(base, tables({dimension.key: value}))
        error = _error(changed)
        if error is not None and not _goes_with_another(space, dimension, changed):
            raise ConfigError(f"{where}: {error}")


def _goes_with_another(space: Space, dimension: Dimension, changed: dict[str, Any]) -> bool:
    """Whether another choice beside it makes possible what alone is refused, as loss.clip goes with one loss only."""
    return any(
        _error(merge(changed, tables({other.key: value}))) is None
        for other in space.dimensions
        if other != dimension and other.choices
        for value in other.choices
    )


def _refuse(found: Mapping[str, Any], where: str) -> None:
    error = _error(found)
    if error is not None:
        raise ConfigError(f"{where}: {error}")


def _error(found: Mapping[str, Any]) -> str | None:
    """What training has against these settings."""
    try:
        assemble.resolve(build(RunConfig, found))
    except FastganError as error:
        return str(error)
    return None


def _check_not_own(key: str, where: str) -> None:
    why = _OWN.get(key)
    if why is not None:
        mend = f"it is the same for all trials, and {named(why)} sets it" if why.isidentifier() else why
        raise ConfigError(f"{where} is not searched: {mend}; leave {key} out")


def _presets(written: Any, origin: str) -> tuple[str, ...]:
    names = written if isinstance(written, list) else [written]
    known = preset_names()
    for name in names:
        require(name in known, f"{origin}: {PRESET} = {said(name)} is unknown: there are {', '.join(known)}")
    require(
        len(names) > 0 and len(set(names)) == len(names),
        f"{origin}: {PRESET} must name presets, each once, as in ['small', 'demo']",
    )
    return tuple(names)


def names(found: Mapping[str, Any], key: str) -> bool:
    """Whether tables name a setting."""
    return key in dict(_leaves(found))


def _leaves(found: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{within}{key}.")
        else:
            yield f"{within}{key}", value
