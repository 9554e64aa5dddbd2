"""The model that GANs start from: which it is, how much of it fits, and that it has not seen what is judged by.

What a GAN has learnt of other images it may put into its images of these: it is the one way in which synthetic images
can hold more than the training images they are made from. It must not be the validation and test images themselves.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fastgan.data import Dataset, open_dataset
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError
from fastgan.study import families
from fastgan.training import assemble, checkpoint, transfer
from fastgan.training import folder as folders
from fastgan.training.settings import RunConfig


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A run, a checkpoint or a release."""

    path: Path
    """Absolute"""
    digest: str
    """SHA-256 (hex) of its networks: it is another one when it has been trained on, and not when it was moved"""


def open_origin(path: Path) -> Origin:
    """The model `path`; CheckpointError for what is none."""
    found = hashlib.sha256()
    for name, tensor in sorted(checkpoint.load_networks(path).items()):
        found.update(f"{name} {tensor.dtype} {[*tensor.shape]} ".encode())
        found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return Origin(path=path.absolute(), digest=found.hexdigest())


def fits(origin: Origin, config: RunConfig) -> str:
    """How much of the generator of the (resolved) `config` comes from `origin`; ConfigError where that is nothing."""
    generator = assemble.networks(config, torch.device("cpu"))["generator"]
    try:
        return transfer.initialise_generator(
            generator, checkpoint.load_networks(origin.path), str(origin.path)
        )
    except CheckpointError as error:
        raise ConfigError(
            f"--gan-init-from: {error} than the GANs of this study ({config.model['name']}): train it with the preset "
            "that --gan-preset names, or name that of the model"
        ) from error


def unseen(
    origin: Origin,
    held: Tensor,
    where: str,
    note: Callable[[str], None],
    near: float = families.ALIKE,
) -> None:
    """DataError where one of the images `held` back, uint8 [N, H, W, C], is among those that `origin` was trained on.

    Copies and near copies alike, at the size of the study. A note where its training images are not at hand.
    """
    for path in _lineage(origin.path):
        theirs = _trained_on(path, held)
        if theirs is None:
            note(
                f"the images that {path} was trained on are not at hand: see to it that no validation or test image "
                f"of {where} is among them"
            )
            return
        shared = families.shared(held, theirs.images, near)
        if len(shared):
            row = int(shared[0, 1])
            one = theirs.names[row] if theirs.names else f"image {row}"
            raise DataError(
                f"--gan-init-from: {path} was trained on {len(shared[:, 0].unique())} of the {len(held)} validation "
                f"and test images of {where}, or on near copies ({one} there is one): start from a model of other "
                "images"
            )


def _lineage(path: Path) -> Iterator[Path]:
    """`path`, what it was started from itself, and so on."""
    known: set[Path] = set()
    while path not in known:
        known.add(path)
        yield path
        try:
            before = folders.read_config(folders.existing(path)).train.init_from
        except FastganError:  # `unseen` has said of it what there is to say
            return
        if not before:
            return
        path = Path(before)


def _trained_on(path: Path, like: Tensor) -> Dataset | None:
    """The training images of a model, as large as `like`; None where they are gone, or have changed since."""
    try:
        file = folders.training_images(folders.existing(path))
        state = checkpoint.read_state(checkpoint.locate(path))
        if file is None or open_dataset(file).content_hash != state["data"]["content_hash"]:
            return None
        return open_dataset(file, resolution=like.shape[1], channels=like.shape[3])
    except FastganError:  # a release, a checkpoint without its run, a set that was moved or damaged
        return None
