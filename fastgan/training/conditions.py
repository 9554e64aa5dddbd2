"""What a run is conditioned on: which of the data's labels and attributes, as settings, vectors, samples and rows."""

from typing import Protocol

import torch
from torch import Tensor

from fastgan.data import Dataset
from fastgan.data.feed import Batch, Conditions, Feed, epoch_order
from fastgan.errors import ConfigError
from fastgan.nn import encode
from fastgan.training.settings import RunConfig

SAMPLE = 4096
"""Rows of the data's joint distribution that a checkpoint holds at most."""
_LARGE = 10.0  # |value| of an attribute beyond which it drowns the others


class Known(Protocol):
    """What is known of images before any is seen: a Dataset, or what a survey of its source found."""

    @property
    def resolution(self) -> int:
        """Their side in pixels."""

    @property
    def channels(self) -> int:
        """1, 3 or 4."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Their classes."""

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Their attributes."""


def sizes(asked: str, dataset: Known) -> dict[str, int]:
    """The model's `classes` and `attributes` for data.conditional = `asked`; ConfigError where the data has none."""
    there = {"labels": len(dataset.class_names), "attributes": len(dataset.attribute_names)}
    has = {"labels": there["labels"] > 1, "attributes": there["attributes"] > 0}
    wanted = {"none": [], "both": ["labels", "attributes"], "auto": [k for k in has if has[k]]}.get(
        asked, [asked]
    )
    missing = [name for name in wanted if not has[name]]
    if missing or (asked == "auto" and not wanted):
        what = missing[0] if missing else "labels or attributes"
        raise ConfigError(
            f"data.conditional = {asked!r} needs {what}, and these images have "
            f"{'a single class' if what == 'labels' and there['labels'] else 'none'}: give each class a folder of its "
            'own, add dataset.json or attributes.csv, or train without (data.conditional = "none")'
        )
    return {
        "classes": there["labels"] if "labels" in wanted else 0,
        "attributes": there["attributes"] if "attributes" in wanted else 0,
    }


def notes(config: RunConfig, dataset: Dataset) -> list[str]:
    """What a user should know of the attributes that their run takes."""
    if not config.model.attributes or dataset.attributes is None:
        return []
    largest = dataset.attributes.nan_to_num(0.0).abs().amax(0)
    names = [n for n, value in zip(dataset.attribute_names, largest.tolist(), strict=True) if value > _LARGE]
    if not names:
        return []
    return [
        f"attributes are taken as they are, and {', '.join(names[:5])} goes beyond {_LARGE:g}: "
        "scale such columns to about [-1, 1], else they drown the others"
    ]


class Encoder:
    """Labels and attributes -> c, for the networks of one run."""

    def __init__(self, config: RunConfig) -> None:
        self.classes = config.model.classes
        self.attributes = config.model.attributes
        self.condition_dim = config.model.condition_dim

    def __call__(self, known: Batch | Conditions) -> Tensor | None:
        """c float32 [N, condition_dim]; None where the networks are unconditional."""
        if not self.condition_dim:
            return None
        labels = known.labels if self.classes else None
        return encode(labels, known.attributes if self.attributes else None, self.classes)


def binary(config: RunConfig, dataset: Dataset) -> Tensor:
    """bool [A]: which of the run's attributes are 0 or 1 wherever they are known."""
    if not config.model.attributes or dataset.attributes is None:
        return torch.zeros(0, dtype=torch.bool)
    values = dataset.attributes
    return ((values == 0) | (values == 1) | values.isnan()).all(0)


def sample(config: RunConfig, dataset: Dataset) -> dict[str, Tensor]:
    """`conditions.labels` int64 [M] and `conditions.attributes` float32 [M, A] (NaN: unknown) of up to SAMPLE images.

    Checkpoints hold them, so that a generator can be asked for what goes together in its data; {} if unconditional.
    """
    rows = torch.from_numpy(epoch_order(0, 0, len(dataset))[:SAMPLE]).sort().values
    tensors = {}
    if config.model.classes and dataset.labels is not None:
        tensors["conditions.labels"] = dataset.labels[rows]
    if config.model.attributes and dataset.attributes is not None:
        tensors["conditions.attributes"] = dataset.attributes[rows]
    return tensors


def grid_rows(config: RunConfig, feed: Feed, count: int) -> Conditions | None:
    """What each row of a sample grid shows, at most `count` rows for attributes and twice that for classes.

    Each class in turn (of too many: some, evenly spaced), with the attributes of an image that has it; without classes,
    the attributes of `count` images. None: unconditional.
    """
    classes, dataset = config.model.classes, feed.dataset
    if not classes:
        if not config.model.attributes or dataset.attributes is None:
            return None
        return Conditions(None, dataset.attributes[feed.indices(0, min(count, len(dataset)))])
    shown = torch.linspace(0, classes - 1, min(classes, 2 * count)).round().long()
    attributes = None
    if dataset.attributes is not None and dataset.labels is not None:
        attributes = torch.full((len(shown), dataset.attributes.shape[1]), float("nan"))
        for row, label in enumerate(shown.tolist()):
            found = (dataset.labels == label).nonzero()
            if len(found):
                attributes[row] = dataset.attributes[found[0, 0]]
    return Conditions(shown, attributes)


def zero(config: RunConfig, device: torch.device) -> tuple[Tensor, ...]:
    """A c [1, condition_dim] of zeros for the networks of `config`; () if they take none."""
    count = Encoder(config).condition_dim
    return (torch.zeros(1, count, device=device),) if count else ()
