"""The preset "few-shot": what the number of images, their size and the budget say about how to train.

Each choice comes with its reason, and is saved with the settings of the run: a resumed run does not choose again. The
runs behind the rules are in docs/few-shot.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastgan.config import Duration, merge

PRESET = "few-shot"
FEW, MANY = 100, 2000
"""Images that the preset is made for."""
_PATIENCE = {32: 0.0, 64: 240.0, 128: 3600.0, 256: 14400.0}
"""Seconds on a CPU from which a resolution shows more than half of it would: doubling it costs about four times."""
_GPU = 30.0
"""How many times as much a GPU does in a second, about."""
_SMALL = 500


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A setting, and why."""

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.why}"


def choose(
    images: int, side: int, budget: Duration, *, gpu: bool, resolution: int | None = None
) -> list[Choice]:
    """What to train on so many `images` of `side` x `side` pixels within `budget`, on a GPU or a CPU.

    resolution: where it is settled, and the other choices have to suit it.
    """
    chosen, why = _resolution(side, budget, gpu=gpu) if resolution is None else (resolution, "as asked for")
    return [
        Choice(key="model.resolution", value=chosen, why=why),
        *_model(chosen),
        *_steps(images, chosen),
        Choice(
            key="train.augment",
            value="ada",
            why="only as much as the discriminator overfits: augmenting every image learns more slowly",
        ),
        Choice(
            key="loss.penalty_weight", value=0.5, why="gamma of R1: held on every set of 32 and 64 px tried"
        ),
    ]


def _resolution(side: int, budget: Duration, *, gpu: bool) -> tuple[int, str]:
    if budget.images is not None:
        return min(side, 256), f"the images have {side} px, and a budget in images leaves time out"
    seconds = (budget.seconds or 0.0) * (_GPU if gpu else 1.0)
    affordable = [size for size, patience in _PATIENCE.items() if size <= side and patience <= seconds]
    resolution = max(affordable, default=side)
    if resolution == side:
        return resolution, f"that of the images, and {budget} is enough for it"
    return (
        resolution,
        f"the images have {side} px, and {budget} is too short to learn more than {resolution} px",
    )


def _model(resolution: int) -> Iterable[Choice]:
    if resolution <= 128:
        yield Choice(key="model.name", value="dcgan", why="learns fastest in minutes of all models here")
        yield Choice(
            key="model.width", value=32, why="half of the paper's: faster, and enough for small images"
        )
        return
    why = (
        f"made for few images of {resolution} px (Liu et al. 2021); not measured here, nor its learning rates"
    )
    yield Choice(key="model.name", value="sle", why=why)


def _steps(images: int, resolution: int) -> Iterable[Choice]:
    """Small networks bear large steps and learn the faster for them; deeper ones lose their balance."""
    if images < _SMALL and resolution > 32:
        yield Choice(key="train.batch", value=16, why=f"{images:,} images: more steps from the same images")
    else:
        why = f"{images:,} images" if images >= _SMALL else f"images of {resolution} px"
        yield Choice(key="train.batch", value=32, why=f"{why}: each step sees more of them")
    if resolution > 128:
        for key in ("train.lr_g", "train.lr_d"):
            yield Choice(key=key, value=2e-4, why="the paper's, for sle")
    elif resolution > 32:
        why = "four times as much learnt nothing from a hundred solar cells of 64 px"
        yield Choice(key="train.lr_g", value=2e-4, why=why)
        yield Choice(key="train.lr_d", value=4e-4, why="twice the generator's: it has to stay ahead")
    else:
        for key in ("train.lr_g", "train.lr_d"):
            yield Choice(key=key, value=8e-4, why=f"learns fastest at {resolution} px")


def tables(choices: Iterable[Choice]) -> dict[str, Any]:
    """The settings that `choices` make."""
    made: dict[str, Any] = {}
    for choice in choices:
        table, _, key = choice.key.partition(".")
        made = merge(made, {table: {key: choice.value}})
    return made


def notes(images: int, choices: Iterable[Choice], given: Mapping[str, Any]) -> list[str]:
    """A sentence for each choice that the `given` settings leave to the preset, and one for a set of another size."""
    said = []
    if not FEW <= images <= MANY:
        other = "small" if images > MANY else "few-shot (there is nothing for fewer)"
        said.append(
            f"few-shot is made for {FEW} to {MANY:,} images, and there are {images:,}: compare with --preset {other}"
        )
    for choice in choices:
        table, _, key = choice.key.partition(".")
        if key not in given.get(table, {}):
            said.append(str(choice))
    return said
