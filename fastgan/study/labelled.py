"""Images with their targets, the currency of a study; and the way there from any data set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastgan.errors import DataError
from fastgan.naming import named
from fastgan.study.task import Task
from fastgan.text import quoted

if TYPE_CHECKING:
    from fastgan.data import Dataset


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images uint8 [N, H, W, C] and their targets (see `Task`)."""

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Tensor) -> "Labelled":
        """The images `rows`, int64 [n]."""
        return Labelled(self.images[rows], self.targets[rows])

    def __add__(self, other: "Labelled") -> "Labelled":
        return Labelled(torch.cat([self.images, other.images]), torch.cat([self.targets, other.targets]))


def labelled(
    dataset: "Dataset", attributes: tuple[str, ...], left_out: tuple[str, ...], where: str
) -> tuple[Task, Labelled, Tensor]:
    """The task that `dataset` poses, its images with targets, and their rows in it, int64 [N].

    attributes: names of those to be told; none: the classes. left_out: classes that are not looked at, where there are
    any (`check_left_out`). DataError, with a way out, where there is nothing to be told.
    """
    if attributes:
        return _attributes(dataset, attributes, where)
    return _classes(dataset, left_out, where)


def check_left_out(left_out: tuple[str, ...], sets: "dict[str, Dataset]") -> None:
    """DataError where a class of `left_out` is in none of the `sets`, named by where they are from."""
    classes = list(dict.fromkeys(name for dataset in sets.values() for name in dataset.class_names))
    unknown = [name for name in left_out if name not in classes]
    if unknown and classes:
        have = f"{' and '.join(sets)} {'have' if len(sets) > 1 else 'has'}"
        raise DataError(
            f"{have} no class {unknown[0]!r} to leave out: the classes are {', '.join(classes[:20])}"
        )


def _classes(dataset: "Dataset", left_out: tuple[str, ...], where: str) -> tuple[Task, Labelled, Tensor]:
    if dataset.labels is None:
        has = (
            f"it has attributes: name those to be told, as in {named('attributes')} "
            f"{quoted(dataset.attribute_names[0])}"
            if dataset.attribute_names
            else "sort its images into a folder for each class, or add dataset.json or attributes.csv"
        )
        raise DataError(f"{where} has no classes to tell apart: {has}")
    kept = [k for k, name in enumerate(dataset.class_names) if name not in left_out]
    present = dataset.labels.bincount(minlength=len(dataset.class_names))
    kept = [k for k in kept if present[k]]
    if len(kept) < 2:
        only = f"the single class {dataset.class_names[kept[0]]!r}" if kept else "no class"
        raise DataError(
            f"{where} has {only}, and a classifier needs two to tell apart: give each class a folder of its own"
        )
    number = torch.full((len(dataset.class_names),), -1)
    number[kept] = torch.arange(len(kept))
    targets = number[dataset.labels]
    rows = (targets >= 0).nonzero()[:, 0]
    names = tuple(dataset.class_names[k] for k in kept)
    return Task(names), Labelled(dataset.images[rows], targets[rows]), rows


def _attributes(dataset: "Dataset", wanted: tuple[str, ...], where: str) -> tuple[Task, Labelled, Tensor]:
    if dataset.attributes is None:
        raise DataError(f"{where} has no attributes: leave {named('attributes')} away, or add attributes.csv")
    unknown = [name for name in wanted if name not in dataset.attribute_names]
    if unknown:
        shown = ", ".join(dataset.attribute_names[:20])
        raise DataError(f"{where} has no attribute {unknown[0]!r}: its attributes are {shown}")
    table = dataset.attributes[:, [dataset.attribute_names.index(name) for name in wanted]]
    for name, column in zip(wanted, table.T, strict=True):
        values = column[~column.isnan()].unique().tolist()
        if not {*values} <= {0.0, 1.0}:
            raise DataError(
                f"the attribute {name} of {where} has values such as {next(v for v in values if v not in (0, 1)):g}: "
                "a classifier tells those that are 0 or 1 alone"
            )
        if len(values) < 2:
            raise DataError(f"the attribute {name} of {where} is the same in every image: leave it out")
    return Task(tuple(wanted), multi=True), Labelled(dataset.images, table.clone()), torch.arange(len(table))
