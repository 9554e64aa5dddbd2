"""The preset "few-shot": what the number of images, their size and the budget say about how to train.

Each choice comes with its reason, and is saved with the settings of the run: a resumed run does not choose again. The
runs behind the rules are in docs/few-shot.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastgan.config import Duration, merge, preset, preset_names
from fastgan.training import checkpoint

PRESET = "few-shot"
FEW, MANY = 100, 2000
"""Images that the preset is made for."""
_SMALLEST, _LARGEST = 8, 256
"""Resolutions that are chosen."""
_PATIENCE = {8: 0.0, 16: 0.0, 32: 0.0, 64: 240.0, 128: 3600.0, 256: 14400.0}
"""Seconds on a CPU from which a resolution shows more than half of it would: doubling it costs about four times."""
_GPU = 30.0
"""How many times as much a GPU does in a second, about."""
_SMALL = 500
_NOT_TAKEN = ("resolution", "img_channels", "classes", "attributes", "norm")
"""Of the settings of a model to start from: what the data says, and what R1 does."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A setting, and why."""

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.why}"


def choose(
    images: int,
    side: int,
    budget: Duration,
    *,
    gpu: bool,
    resolution: int | None = None,
    model: Mapping[str, Any] | None = None,
    projected: bool = False,
    conditional: bool = False,
) -> list[Choice]:
    """What to train on so many `images` of `side` x `side` pixels within `budget`, on a GPU or a CPU.

    resolution, model (its `name`, and settings of its own), projected (a discriminator on pretrained features) and
    conditional (on classes or attributes): where they are settled, and the other choices have to suit them.
    """
    begun = model or {}
    if resolution is not None:
        chosen, why = resolution, "as asked for"
    elif begun.get("name") == "dcgan" and "resolution" in begun:
        chosen, why = (
            begun["resolution"],
            "that of the dcgan to start from, of which nothing fits at any other",
        )
    else:
        chosen, why = _resolution(side, budget, gpu=gpu)
    settled = list(_model(chosen, begun))
    name = next(choice.value for choice in settled if choice.key == "model.name")
    return [
        Choice(key="model.resolution", value=chosen, why=why),
        *settled,
        *(_of_preset("projected") if projected else _against_its_own(name, images, chosen, conditional)),
    ]


def settled(init_from: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The `model` of `choose`: that which is asked for or, with its settings and resolution, the one to start from."""
    there: dict[str, Any] = checkpoint.describe(init_from)["config"]["model"] if init_from else {}
    found = there if asked.get("name", there.get("name")) == there.get("name") else {}
    return {**found, **{key: value for key, value in asked.items() if key != "resolution"}}


def _resolution(side: int, budget: Duration, *, gpu: bool) -> tuple[int, str]:
    fits = max(1 << side.bit_length() - 1, _SMALLEST)
    largest = min(fits, _LARGEST)
    affordable = largest
    if budget.images is None:
        seconds = (budget.seconds or 0.0) * (_GPU if gpu else 1.0)
        affordable = max(
            size for size, patience in _PATIENCE.items() if size <= largest and patience <= seconds
        )
    if affordable < largest:
        return (
            affordable,
            f"the images have {side} px, and {budget} is too short to learn more than {affordable} px",
        )
    if largest < fits:
        return largest, f"the images have {side} px, and few-shot trains at {_LARGEST} px at most"
    time = "a budget in images leaves time out" if budget.images is not None else f"{budget} is enough for it"
    if fits == side:
        return fits, f"as large as the images allow, and {time}"
    return fits, f"the power of two that suits images of {side} px, and {time}"


def _model(resolution: int, settled: Mapping[str, Any]) -> Iterable[Choice]:
    for key, value in settled.items():
        if key not in _NOT_TAKEN:
            yield Choice(key=f"model.{key}", value=value, why="that of the model to start from")
    name = settled.get("name")
    if name is None and resolution <= 128:
        name = "dcgan"
        yield Choice(key="model.name", value=name, why="learns fastest in minutes of all models here")
    elif name is None:
        name = "sle"
        why = f"made for few images of {resolution} px (Liu et al. 2021); not measured here, nor its learning rates"
        yield Choice(key="model.name", value=name, why=why)
    if name == "dcgan" and "width" not in settled:
        why = "half of the paper's: faster, and enough for small images"
        yield Choice(key="model.width", value=32, why=why)


def _against_its_own(name: str, images: int, resolution: int, conditional: bool) -> Iterable[Choice]:
    """How to train the model `name` and its own discriminator."""
    yield _batch(images, resolution)
    yield _augmentation(images, conditional)
    if name in ("dcgan", "sle"):
        yield Choice(
            key="model.norm", value="none", why="R1 needs a discriminator that judges each image alone"
        )
        why = (
            "held on every set of 32 and 64 px tried" if name == "dcgan" else "dcgan's, not measured with sle"
        )
        yield Choice(key="loss.penalty_weight", value=0.5, why=f"gamma of R1: {why}")
        yield from _rates(name, resolution)
    elif name in preset_names():
        yield from (choice for choice in _of_preset(name) if choice.key != "train.batch")


def _augmentation(images: int, conditional: bool) -> Choice:
    if images <= _SMALL and not conditional:
        why = f"{_told(images)}: covers up to twice as much as ada does, which comes too late in short runs"
        return Choice(key="train.augment", value="color,translation,cutout", why=why)
    why = (
        "only as much as the discriminator overfits: with every image augmented, classifiers learnt less from them"
        if conditional
        else f"{_told(images)}: only as much as the discriminator overfits; with 2,000, either way came out level"
    )
    return Choice(key="train.augment", value="ada", why=why)


def _told(images: int) -> str:
    return f"{images:,} image{'' if images == 1 else 's'}"


def _batch(images: int, resolution: int) -> Choice:
    count = _told(images)
    if images < _SMALL and resolution > 32:
        return Choice(key="train.batch", value=16, why=f"{count}: more steps from the same few")
    why = count if images >= _SMALL else f"images of {resolution} px"
    return Choice(key="train.batch", value=32, why=f"{why}: each step sees more of them")


def _rates(name: str, resolution: int) -> Iterable[Choice]:
    """Small networks bear large steps and learn the faster for them; deeper ones lose their balance."""
    if name == "sle":
        rates, reasons = (2e-4, 2e-4), ["the paper's, for sle"] * 2
    elif resolution > 32:
        rates = (2e-4, 4e-4)
        reasons = ["four times as much learnt nothing from a hundred solar cells of 64 px"]
        reasons += ["twice the generator's: it has to stay ahead"]
    else:
        rates, reasons = (8e-4, 8e-4), [f"learns fastest at {resolution} px"] * 2
    for network, rate, why in zip("gd", rates, reasons, strict=True):
        yield Choice(key=f"train.lr_{network}", value=rate, why=why)


def _of_preset(name: str) -> Iterable[Choice]:
    """Where the preset `name` trains otherwise than this one; nothing that this one has measured is about it."""
    ours, theirs = preset(PRESET), preset(name)
    # Presets leave out what is the default, and this one has a penalty, and an interval.
    default = {"penalty_interval": 1} if "penalty" in theirs["loss"] else {"penalty": "none"}
    theirs["loss"] = default | theirs["loss"]
    for table in ("discriminator", "loss", "train"):
        for key, value in theirs.get(table, {}).items():
            if value != ours.get(table, {}).get(key):
                yield Choice(key=f"{table}.{key}", value=value, why=f"that of --preset {name}")


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
    made_for = f"few-shot is made for {FEW} to {MANY:,} images"
    there = f"there {'is' if images == 1 else 'are'} {images:,}"
    if images > MANY:
        said.append(f"{made_for}, and {there}: compare with --preset small")
    elif images < FEW:
        said.append(f"{made_for}, and {there}: fewer than {FEW} were not measured")
    for choice in choices:
        table, _, key = choice.key.partition(".")
        if key not in given.get(table, {}):
            said.append(str(choice))
    return said
