"""The space where none is given: what decides most in short runs, around the values of the presets themselves."""

import math
from collections.abc import Mapping
from typing import Any

from fastgan.config import build, merge
from fastgan.training.options import tables
from fastgan.training.portion import Portion
from fastgan.training.settings import RunConfig

_FACTORS = {
    "train.lr_g": (0.25, 4.0),
    "train.lr_d": (0.25, 4.0),
    "train.ema_kimg": (0.25, 4.0),
    "loss.penalty_weight": (0.1, 10.0),
}
"""Settings searched on a logarithmic scale, between these multiples of the preset's own; portions at the three"""
_AUGMENT = ("none", "ada", "color,translation,cutout")


def default(bases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The tables of a space that fits all `bases`, tables of presets by their names.

    Of one preset, ranges are written as numbers; of several, as factors of what each has.
    """
    configs = [build(RunConfig, base) for base in bases.values()]
    found: dict[str, Any] = {}
    for key, (low, high) in _FACTORS.items():
        own = [_value(config, key) for config in configs]
        if any(isinstance(value, Portion) for value in own):
            found[key] = list(dict.fromkeys(_scaled(value, f) for value in own for f in (low, 1.0, high)))
        elif all(isinstance(value, float) and value > 0 for value in own):
            text = f"x{low:g}..x{high:g} log" if len(own) > 1 else _around(own[0], low, high)
            found[key] = text
    found["train.batch"] = _sizes([config.train.batch for config in configs], (0.5, 1, 2), at_least=8)
    widths = [getattr(config.model, "width", None) for config in configs]
    if all(isinstance(width, int) for width in widths):
        found["model.width"] = _sizes([w for w in widths if w], (0.5, 0.75, 1, 1.5), at_least=4)
    multipliers = [getattr(config.model, "channel_multiplier", None) for config in configs]
    if all(isinstance(value, float) for value in multipliers):
        found["model.channel_multiplier"] = (
            "x0.25..x1 log" if len(multipliers) > 1 else _around(multipliers[0] or 1.0, 0.25, 1.0)
        )
    found["train.augment"] = list(dict.fromkeys([*(c.train.augment for c in configs), *_AUGMENT]))
    written: dict[str, Any] = {}
    for key, value in found.items():
        written = merge(written, tables({key: value}))
    return written


def _scaled(value: float, factor: float) -> Any:
    """A length in kimg times a factor: a portion of the planned images as its text."""
    scaled = float(f"{value * factor:.3g}")
    return str(Portion(scaled)) if isinstance(value, Portion) else scaled


def _value(config: RunConfig, key: str) -> Any:
    table, _, name = key.partition(".")
    if table == "loss" and config.loss.penalty == "none":
        return None  # a weight of nothing
    return getattr(getattr(config, table), name)


def _around(value: float, low: float, high: float) -> str:
    ends = (value * low, value * high)
    return f"{_short(ends[0], math.floor)}..{_short(ends[1], math.ceil)} log"


def _short(value: float, towards: Any) -> str:
    """Two digits, and the range no narrower for it."""
    power = 10.0 ** (math.floor(math.log10(value)) - 1)
    text = f"{float(f'{towards(round(value / power, 6)) * power:.2g}'):g}"
    return text if any(mark in text for mark in ".e") else f"{text}.0"


def _sizes(own: list[int], factors: tuple[float, ...], *, at_least: int) -> list[int]:
    """Whole numbers around those of the presets, theirs among them."""
    return sorted({max(round(size * factor), min(at_least, size)) for size in own for factor in factors})
