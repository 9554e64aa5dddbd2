"""The table [choose] of a preset: what is open to choice, and by what.

```toml
[choose]
resolution = true                    # the largest at which the budget reaches what pictures need; absent: by the device
usual_kimg = { 32 = 40, 64 = 79 }    # after which pictures can usually be told; the sides that are chosen from

[[choose.sizes]]                     # from the fastest to the most able: the last with which the budget reaches enough
settings = { model.width = 16 }

[[choose.sizes]]
settings = { model.width = 32 }
pays_from = 2.0                      # only where the budget reaches twice usual_kimg with it

[[choose.rules]]                     # each where all that it names holds (see Rule)
images = "..499"
resolution = "64.."
settings = { train.batch = 16 }
why = "{images}: more steps from the same few"
```
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fastgan.config import CHOOSE, build, preset, preset_choices, require
from fastgan.training.choices.choice import Choice, dotted
from fastgan.training.choices.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Size:
    """Settings with which a model is larger or smaller, and what suits it."""

    settings: Mapping[str, Any]
    """As tables"""
    pays_from: float = 1.0
    """The share of usual_kimg that the budget has to reach with it"""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Settings where all that is named here holds. Of two rules about the same setting the first counts."""

    settings: Mapping[str, Any]
    why: str
    """{images} and {resolution} stand for what there is"""
    images: str = ".."
    """How many: "100..2000", "..499", "500..\""""
    resolution: str = ".."
    """Pixels, in the same way"""
    model: tuple[str, ...] = ()
    """Names of models; none: any"""
    conditional: bool | None = None
    projected: bool | None = None
    """Whether the discriminator looks through pretrained features"""

    def __post_init__(self) -> None:
        for key in ("images", "resolution"):
            _range(getattr(self, key), key)

    def holds(self, facts: Facts, resolution: int, model: str) -> bool:
        """Whether it is about this."""
        return (
            _within(facts.images, self.images)
            and _within(resolution, self.resolution)
            and (not self.model or model in self.model)
            and self.conditional in (None, facts.conditional)
            and self.projected in (None, facts.projected)
        )

    def choice(self, facts: Facts, resolution: int) -> Choice:
        """What it makes of the facts."""
        why = self.why.format(images=facts.counted(), resolution=resolution)
        return Choice(settings=dotted(self.settings), why=why)

    @property
    def names_model(self) -> bool:
        """Whether it is about the model, and so not for other presets."""
        return "model" in self.settings


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a preset leaves open."""

    resolution: bool = False
    """Whether the size of the images follows from budget and speed"""
    usual_kimg: Mapping[str, float] = field(default_factory=dict)
    """By resolution: thousands of images after which pictures can usually be told"""
    sizes: tuple[Size, ...] = ()
    """From the fastest to the most able; where the budget is in images, the preset's own settings hold"""
    rules: tuple[Rule, ...] = ()
    few: str = ""
    """A preset whose rules, but those about the model, hold here first for as few images as it is made for"""
    made_for: tuple[int, int] | None = None
    """From how many images to how many; others are told so"""
    follow: bool = False
    """Whether a model that is asked for or started from brings loss and learning rates of the preset of its name"""

    @property
    def resolutions(self) -> list[int]:
        """Those that can be chosen, in rising order."""
        return sorted(map(int, self.usual_kimg))

    def usual(self, resolution: int) -> float | None:
        """kimg that pictures of `resolution` usually need, or, where it is smaller than all, of the smallest."""
        known = next((size for size in self.resolutions if size >= resolution), None)
        return None if known is None else float(self.usual_kimg[str(known)])

    def applying(self, images: int) -> list[Rule]:
        """All rules that are asked, the first of all first."""
        borrowed: list[Rule] = []
        if self.few:
            other = opened(self.few)
            if other.made_for is None or images <= other.made_for[1]:
                borrowed = [rule for rule in other.rules if not rule.names_model]
        return [*borrowed, *self.rules]


@cache
def opened(name: str) -> Opened:
    """What the preset `name` leaves open."""
    table = preset_choices(name)
    usual = table.get("usual_kimg", {})
    found = build(Opened, table, f"preset {name}: {CHOOSE}")
    for side, kimg in usual.items():
        fits = side.isdecimal() and isinstance(kimg, int | float) and 0 < kimg < math.inf
        require(
            fits, f"preset {name}: {CHOOSE}.usual_kimg.{side} = {kimg!r} must be kimg by a side in pixels"
        )
    return found


def comparable(name: str) -> dict[str, Any]:
    """The settings of a preset without those that are open: what a run of it has in any case."""
    found = opened(name)
    if found.follow:
        return {}
    free = {"model.resolution", "train.usual_kimg"}
    for settings in [*(s.settings for s in found.sizes), *(r.settings for r in found.applying(0))]:
        free |= dotted(settings).keys()
    kept: dict[str, Any] = {}
    for table, values in preset(name).items():
        kept[table] = {key: value for key, value in values.items() if f"{table}.{key}" not in free}
    return kept


def _within(number: int, text: str) -> bool:
    least, most = _range(text, "a range")
    return least <= number <= most


def _range(text: str, where: str) -> tuple[float, float]:
    least, dots, most = text.partition("..")
    require(
        bool(dots) and all(not end or end.isdecimal() for end in (least, most)),
        f'{where} = {text!r} must be a range, as in "..499", "100..2000" or "500.."',
    )
    return float(least or 0), float(most or math.inf)
