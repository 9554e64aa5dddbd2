"""The GAN of a cell: conditional, one for all classes, trained on the training images alone, and kept.

It lies in a folder named by the hash of what made it, the images and every setting, so that it is trained once, goes on
where it was interrupted, and can never be one that has seen other images, but for those of a model it starts from.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastgan.config import Duration, build, merge
from fastgan.data import Dataset, packed
from fastgan.data.dataset import content_hash
from fastgan.data.feed import Conditions
from fastgan.device import choose
from fastgan.interrupts import Interrupted
from fastgan.pixels import to_float
from fastgan.study.labelled import Labelled
from fastgan.study.origin import Origin
from fastgan.study.task import Task
from fastgan.training import assemble, checkpoint, conditions, weights
from fastgan.training import folder as folders
from fastgan.training import run as training
from fastgan.training.choices.layered import unmeasured
from fastgan.training.outcome import Report
from fastgan.training.portion import Portion
from fastgan.training.settings import RunConfig

RELEASE = "generator.safetensors"
_ROWS = 256


class Stopped(Interrupted):
    """Ctrl-C or another signal while the GAN was training: it is saved, and the next call goes on with it."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How GANs are trained."""

    preset: str
    budget: Duration
    sets: tuple[tuple[str, Any], ...] = ()
    """Further settings: ("train", {"batch": 16}), ..."""
    origin: Origin | None = None
    """What they start from; None: from scratch"""
    device: str = "auto"

    def config(self, task: Task, train: Labelled, source: Path, seed: int) -> RunConfig:
        """All settings of a run on `train`, which lies in `source`."""
        return build(RunConfig, self.tables(task, train, source, seed))

    def tables(self, task: Task, train: Labelled, source: Path, seed: int) -> dict[str, Any]:
        """The settings that this recipe names."""
        own = {
            "data": {"source": str(source), "conditional": "attributes" if task.multi else "labels"},
            "train": {
                "seed": seed,
                "budget": str(self.budget),
                "grid_every": "1h",
                "checkpoint_every": "60s",
                "keep_checkpoints": 1,
                "init_from": "" if self.origin is None else str(self.origin.path),
            },
        }
        given, side = merge(dict(self.sets), own), train.images.shape[1]
        # Nothing is measured: what names a GAN is the same everywhere.
        return unmeasured(self.preset, given, len(train), side, choose(self.device).type)


def data_set(task: Task, train: Labelled) -> Dataset:
    """The training images as a data set of their own."""
    labels, attributes = (None, train.targets) if task.multi else (train.targets, None)
    images = train.images.contiguous()
    return Dataset(
        images=images,
        content_hash=content_hash(images, labels, attributes),
        labels=labels,
        class_names=() if task.multi else task.names,
        attributes=attributes,
        attribute_names=task.names if task.multi else (),
        provenance={"source": "training images of fastgan augment"},
    )


def identity(task: Task, train: Labelled, recipe: Recipe, seed: int) -> str:
    """SHA-256 (hex) of the training images with their targets, of every setting, and of what it starts from."""
    tables = recipe.tables(task, train, Path("train.fgd"), seed)
    made = asdict(build(RunConfig, tables)) | {
        "model": tables["model"]
    }  # without defaults, as GANs were named first
    made["train"] = {key: _named(value) for key, value in made["train"].items() if key != "planned_kimg"}
    if recipe.origin is not None:
        made["train"]["init_from"] = recipe.origin.digest
    text = json.dumps([data_set(task, train).content_hash, made, task.names], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _named(value: Any) -> Any:
    """A setting as a name has it: a portion is no number of kimg."""
    return str(value) if isinstance(value, Portion) else value


def found(identity: str, folder: Path) -> Path | None:
    """The run folder of a GAN that is whole; None where it is to be trained."""
    run = _place(identity, folder) / "run"
    return run if (run / RELEASE).exists() else None  # written last of all


def _place(identity: str, folder: Path) -> Path:
    return folder / identity[:16]


def train(
    task: Task,
    images: Labelled,
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    report: Callable[[Report], None],
) -> Path:
    """The run folder of the GAN of `images`, under `folder`: trained from its start, or from where it was interrupted.

    Raises Stopped on Ctrl-C, once it is saved.
    """
    place = _place(identity(task, images, recipe, seed), folder)
    run = place / "run"
    source = place / "train.fgd"
    if not source.exists():
        packed.write(source, data_set(task, images))
    config = recipe.config(task, images, source, seed)
    started = (run / "latest").exists()
    if started:  # with what was planned when it began, wherever it lies now
        before = folders.read_config(run)
        config = replace(before, data=replace(before.data, source=str(source)))
    elif run.exists():
        shutil.rmtree(run)

    def note(text: str) -> None:
        """What training says stands in its own log."""

    with (
        training.resumed(run, config, device=recipe.device, note=note)
        if started
        else training.new(config, out=run, device=recipe.device, note=note)
    ) as session:
        outcome = session.fit(report)
    if outcome.signum is not None:
        raise Stopped(outcome.signum)
    return run


def facts(run: Path) -> dict[str, Any]:
    """`cur_nimg` and `seconds` of training of a GAN."""
    state = checkpoint.read_state(checkpoint.locate(run))
    return {"cur_nimg": state["cur_nimg"], "seconds": state.get("seconds", 0.0)}


def open_critic(run: Path, device: torch.device) -> Callable[[Labelled], Tensor]:
    """The GAN's discriminator, as a function of images with targets: logits float32 [N], higher for real."""
    config = folders.read_config(run)
    network = assemble.networks(config, device)["discriminator"].eval()
    own = {k.removeprefix("d."): v for k, v in checkpoint.load_networks(run).items() if k.startswith("d.")}
    weights.restore(network, own, str(run))
    encoder = conditions.Encoder(config)

    def score(images: Labelled) -> Tensor:
        parts = []
        for rows in torch.arange(len(images)).split(_ROWS):
            part = images.take(rows)
            known = Conditions(*((None, part.targets) if encoder.attributes else (part.targets, None)))
            c = encoder(known)
            with torch.inference_mode():
                x = to_float(part.images.to(device))
                phi = network(x) if c is None else network(x, c.to(device))
                parts.append(phi.float().cpu())
        return torch.cat(parts)

    return score
