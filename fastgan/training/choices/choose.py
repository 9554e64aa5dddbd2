"""The choices of a preset, as a function of facts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastgan.config import merge, preset, preset_names
from fastgan.training import outlook
from fastgan.training.choices.choice import Choice, Tables, dotted, tables
from fastgan.training.choices.facts import Facts, Speed
from fastgan.training.choices.opened import Opened, Size, opened

_NOT_TAKEN = ("resolution", "img_channels", "classes", "attributes", "norm")
"""Of the settings of a model to start from: what the data says, and what R1 does."""
_AS_IT_IS = Size(settings={})
_OF_ONE_SIZE = ("dcgan", "swift")
"""Models whose layers, named from the first on, have another shape at every resolution"""


def choose(
    name: str, given: Mapping[str, Any], facts: Facts, speed: Speed | None = None
) -> tuple[Tables, list[Choice]]:
    """The settings of the preset `name` under the `given` ones, and what of them was chosen.

    speed: measures; None where nothing can or need be measured: then what follows from the speed stays the preset's.
    """
    chooser = _Chooser(name, opened(name), given, facts, speed)
    choices = chooser.choices()
    found = merge(merge(chooser.base, tables(choices)), given)
    left = (choice.open_beside(given) for choice in choices)
    return found, [choice for choice in left if choice.settings]


def attention(name: str, images: int) -> list[str]:
    """A sentence for a set that the preset is not made for."""
    made_for = opened(name).made_for
    if made_for is None or made_for[0] <= images <= made_for[1]:
        return []
    few, many = made_for
    there = (
        f"{name} is made for {few} to {many:,} images, and there {'is' if images == 1 else 'are'} {images:,}"
    )
    if images > many:
        return [f"{there}: compare with --preset small"]
    return [f"{there}: fewer than {few} were not measured"]


@dataclass(frozen=True)
class _Rung:
    """A size of images and of the model, and how far the budget goes with it."""

    resolution: int
    size: Size
    img_per_s: float
    kimg: float
    share: float
    """Of the kimg that pictures usually need"""


@dataclass(frozen=True)
class _Chooser:
    name: str
    opened: Opened
    given: Mapping[str, Any]
    facts: Facts
    speed: Speed | None

    @cached_property
    def base(self) -> Tables:
        return preset(self.name)

    def choices(self) -> list[Choice]:
        """All of them, those about the same setting in falling rank."""
        rung = self._climbed()
        if rung is not None:
            return [
                *self._resolution(rung.resolution, self._why_so_large(rung)),
                *self._size(rung),
                *self._rest(rung.resolution),
            ]
        resolution = self._untimed()
        return [*self._resolution(resolution, self._why_untimed(resolution)), *self._rest(resolution)]

    # --- the size of the images, and the model's -----------------------------------------------------------------

    def _climbed(self) -> _Rung | None:
        """The largest images, and with them the largest model, with which the budget reaches what pictures need.

        Where nothing does, the rung that comes nearest. None where the speed is not known or decides nothing.
        """
        if self.facts.seconds is None or self.speed is None:
            return None
        resolutions, sizes = self._resolutions(), self._sizes()
        sized = self.opened.resolution and self._settled() is None
        if not self.opened.usual_kimg or (not sized and sizes == [_AS_IT_IS]):
            return None
        nearest: _Rung | None = None
        for resolution in resolutions:
            taken = None
            for size in sizes:
                rung = self._rung(resolution, size)
                if nearest is None or rung.share > nearest.share:
                    nearest = rung
                if not outlook.reaches(rung.share / size.pays_from):
                    break  # larger models are slower still
                taken = rung
            if taken is not None:
                return taken
        return nearest

    def _rung(self, resolution: int, size: Size) -> _Rung:
        assert self.speed is not None
        assert self.facts.seconds is not None
        usual = self.opened.usual(resolution)
        chosen = [
            Choice(settings={"model.resolution": resolution, "train.usual_kimg": usual}),
            Choice(settings=dotted(size.settings)),
            *self._rest(resolution),
        ]
        speed = self.speed(merge(merge(self.base, tables(chosen)), self.given))
        kimg = self.facts.seconds * speed / 1000
        return _Rung(resolution, size, speed, kimg, 1.0 if usual is None else kimg / usual)

    def _resolutions(self) -> list[int]:
        """Those that come into question, in falling order."""
        settled = self._settled()
        if settled is not None:
            return [settled]
        if not self.opened.resolution:
            return [self.facts.largest]
        fits = _power(self.facts.side)
        above = self.given.get("train", {}).get("grow_from")
        least = above if isinstance(above, int) else 0
        known = [size for size in self.opened.resolutions if least < size <= fits]
        return known[::-1] or [fits]

    def _settled(self) -> int | None:
        """The resolution that is not open."""
        if self.facts.resolution is not None:
            return self.facts.resolution
        start = self._start()
        return start.get("resolution") if start.get("name") in _OF_ONE_SIZE else None

    def _untimed(self) -> int:
        settled = self._settled()
        if settled is not None:
            return settled
        if self.opened.follow:  # made for few images of any size
            return min(_power(self.facts.side), self.opened.resolutions[-1])
        return self.facts.largest

    def _sizes(self) -> Sequence[Size]:
        """Those in question, the fastest first; what the preset has where a user has set one of their settings."""
        taken = dotted(self.given).keys()
        free = all(not dotted(size.settings).keys() & taken for size in self.opened.sizes)
        return (self.opened.sizes if free else ()) or [_AS_IT_IS]

    # --- reasons --------------------------------------------------------------------------------------------------

    def _resolution(self, resolution: int, why: str) -> Iterator[Choice]:
        if self.opened.resolution and self.facts.resolution is None and why:
            yield Choice(settings={"model.resolution": resolution}, why=why)
        usual = self.opened.usual(resolution)
        if usual is not None:
            yield Choice(settings={"train.usual_kimg": usual})

    def _why_so_large(self, rung: _Rung) -> str:
        if self._settled() is not None:
            return self._that_of_the_start()
        side, budget, size = self.facts.side, self.facts.budget, rung.resolution
        fits = _power(side)
        if not outlook.reaches(rung.share):
            return (
                f"the images have {side} px, and {budget} is too short even for {size} px, which come nearest"
            )
        if size == min(fits, self.opened.resolutions[-1]):
            return f"{_as_large(side, size, fits, self.name)}, and {budget} is enough for it"
        return f"the images have {side} px, and {budget} is too short to learn more than {size} px"

    def _why_untimed(self, resolution: int) -> str:
        """Empty where data and device decide, as for all presets (fastgan.training.sizes)."""
        if not self.opened.follow:
            return ""
        if self._settled() is not None:
            return self._that_of_the_start()
        side = self.facts.side
        why = _as_large(side, resolution, _power(side), self.name)
        return why if self.facts.budget.images is None else f"{why}, and a budget in images leaves time out"

    def _that_of_the_start(self) -> str:
        name = self._start().get("name")
        return f"that of the {name} to start from, of which nothing fits at any other"

    def _size(self, rung: _Rung) -> Iterator[Choice]:
        if not rung.size.settings:
            return
        most = rung.size is self.opened.sizes[-1]
        why = "the largest of this preset" if most else "the largest that is fast enough"
        if not outlook.reaches(rung.share):
            why = "the fastest of this preset"
        own = f"; {rung.size.why}" if rung.size.why else ""
        why = f"{why}: {outlook.rounded(rung.img_per_s)} images/s{own}"
        yield Choice(settings=dotted(rung.size.settings), why=why)

    # --- rules, and the model that is asked for -------------------------------------------------------------------

    def _rest(self, resolution: int) -> list[Choice]:
        """What follows from the number of images and their size."""
        chosen = [
            Choice(settings={f"model.{key}": value}, why="that of the model to start from")
            for key, value in self._start().items()
            if key not in _NOT_TAKEN
        ]
        own, base = self._own_models(), dotted(self.base)
        asked = dotted(self.given) | tables_dotted(chosen)
        for rule in self.opened.applying(self.facts.images):
            model = str(asked.get("model.name", self.base.get("model", {}).get("name", "")))
            if not rule.holds(self.facts, resolution, model):
                continue
            choice = rule.choice(self.facts, resolution)
            fresh = {key: value for key, value in choice.settings.items() if key not in asked}
            asked |= fresh
            borrowed = rule not in self.opened.rules
            if borrowed:  # nothing to say of what is the same here
                fresh = {key: value for key, value in fresh.items() if value != base.get(key)}
            if fresh:
                chosen.append(Choice(settings=fresh, why=choice.why))
        if self.opened.follow and self.facts.projected:
            return [*chosen, *self._of_preset("projected")]
        name = str(asked.get("model.name", ""))
        if self.opened.follow and name not in own and name in preset_names():
            chosen += [c for c in self._of_preset(name) if "train.batch" not in c.settings]
        return chosen

    def _start(self) -> Mapping[str, Any]:
        """The settings of the model to start from, where it is of the kind that is asked for."""
        start, asked = self.facts.start or {}, self.given.get("model", {})
        if not self.opened.follow or asked.get("name", start.get("name")) != start.get("name"):
            return {}
        return {key: value for key, value in start.items() if key == "resolution" or key not in asked}

    def _own_models(self) -> set[str]:
        """The models that the preset itself takes, or has rules for."""
        tables = [self.base, *(rule.settings for rule in self.opened.rules)]
        taken = {str(table["model"]["name"]) for table in tables if "name" in table.get("model", {})}
        return taken.union(*(rule.model for rule in self.opened.rules))

    def _of_preset(self, name: str) -> Iterator[Choice]:
        """Where the preset `name` trains otherwise than this one; nothing that this one has measured is about it."""
        ours, theirs = self.base, preset(name)
        # Presets leave out what is the default, and this one has a penalty, and an interval.
        default = {"penalty_interval": 1} if "penalty" in theirs["loss"] else {"penalty": "none"}
        theirs["loss"] = default | theirs["loss"]
        for table in ("discriminator", "loss", "train"):
            for key, value in theirs.get(table, {}).items():
                if value != ours.get(table, {}).get(key):
                    yield Choice(settings={f"{table}.{key}": value}, why=f"that of --preset {name}")


def tables_dotted(choices: Sequence[Choice]) -> dict[str, Any]:
    """What `choices` settle, by dotted names."""
    return dotted(tables(choices))


def _power(side: int) -> int:
    """The largest power of two from 8 up that is not above `side`."""
    return max(1 << side.bit_length() - 1, 8)


def _as_large(side: int, size: int, fits: int, name: str) -> str:
    if size < fits:
        return f"the images have {side} px, and {name} trains at {size} px at most"
    return (
        "as large as the images allow" if size == side else f"the power of two that suits images of {side} px"
    )
