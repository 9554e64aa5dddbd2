"""The model that GANs start from: which it is, how much of it fits, and that it has not seen what is judged by.

What a GAN has learnt of other images it may put into its images of these: it is the one way in which synthetic images
can hold more than the training images they are made from. It must not be the validation and test images themselves.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.data import Dataset, Feed, open_dataset
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError
from fastgan.naming import named
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


def fits(origin: Origin, config: RunConfig, images: Dataset) -> list[str]:
    """What GANs of the (resolved) `config` and of `images` take from `origin`, as `transfer.initialise` tells it.

    ConfigError where that is next to nothing, and where something would be frozen that is not in it.
    """
    feed = Feed(images, device=torch.device("cpu"), seed=0)
    trainer = assemble.make_trainer(config, feed, torch.device("cpu"), "fp32")
    there, features = checkpoint.load_networks(origin.path), checkpoint.describe(origin.path).get("features")
    try:
        return transfer.initialise(trainer, there, str(origin.path), features=features)
    except CheckpointError as error:
        own = checkpoint.describe(origin.path)["config"]["model"]
        raise ConfigError(
            f"{named('gan_init_from')}: {error}: it is a {own['name']} of {own['resolution']} px, and GANs are "
            f"{config.model.name} of {config.model.resolution} here ({named('gan_preset')}, {named('size')})"
        ) from error
    finally:
        feed.close()


def unseen(origin: Origin, held: Tensor, note: Callable[[str], None], near: float = families.ALIKE) -> None:
    """DataError where one of the images `held` back, uint8 [N, H, W, C], is among those that `origin` was trained on.

    Or that what it was started from was trained on, and so on; copies and near copies alike, at the smaller of both
    sizes. A note for each whose training images are out of reach.
    """
    for path in _lineage(origin.path):
        theirs = _trained_on(path, held)
        if theirs is None:
            note(
                f"the images that {path} was trained on are no longer where they were: see to it that no validation or "
                "test image of this study is among them"
            )
            continue
        ours = _smaller(held, theirs.resolution)
        shared = families.shared(ours, theirs.images, near)
        if len(shared):
            row = int(shared[0, 1])
            one = theirs.names[row] if theirs.names else f"image {row}"
            raise DataError(
                f"{named('gan_init_from')}: {path} was trained on {len(shared[:, 0].unique())} of the {len(held)} "
                f"validation and test images of this study, or on near copies ({one} there is one): "
                "start from a model of other images"
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
    """The training images of a model, at most as large as `like`; None where they are gone, or have changed since."""
    try:
        file = folders.training_images(folders.existing(path))
        if file is None:
            return None
        found = open_dataset(file)
        if found.content_hash != checkpoint.describe(path)["data"]["content_hash"]:
            return None
        return open_dataset(file, resolution=min(found.resolution, like.shape[1]), channels=like.shape[3])
    except FastganError:  # a release or a checkpoint without its run, a set that was damaged
        return None


def _smaller(images: Tensor, side: int) -> Tensor:
    """uint8 [N, H, W, C] -> uint8 [N, side, side, C], where that is less."""
    if images.shape[1] <= side:
        return images
    planes = images.permute(0, 3, 1, 2).float()
    shrunk = F.interpolate(planes, size=(side, side), mode="bilinear", antialias=True)
    return shrunk.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
