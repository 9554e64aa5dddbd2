"""Which images are trained on, which are chosen by, and which are asked at the end, once.

Exact copies are dropped but for the first. Families (`families`: near copies, and groups that the user names) stay on
one side. Within each class, families come in an order drawn by the seed; the first go to the test images until their
share is reached, the next to the validation images, the rest is what training may draw from.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.errors import DataError
from fastgan.study import families
from fastgan.study.labelled import Labelled
from fastgan.study.task import Task

FEWEST = 6  # families of a class: two on each side
_EACH = 2


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of the study's images, int64, in ascending order."""

    train: Tensor
    val: Tensor
    test: Tensor
    notes: tuple[str, ...]
    """What was decided, in sentences"""

    def parts(self) -> dict[str, Tensor]:
        """The three by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def make(
    task: Task,
    data: Labelled,
    *,
    shares: tuple[float, float],
    seed: int,
    groups: list[str] | None = None,
    where: str = "the data",
) -> Split:
    """Split `data`; shares: of validation and of test images. groups: each image's family by name.

    DataError where a class has fewer than FEWEST families of images.
    """
    kept, notes = _unique(data)
    images, targets = data.images[kept], data.targets[kept]
    pairs = families.near_copies(images)
    family = families.join(len(kept), pairs, None if groups is None else [groups[k] for k in kept.tolist()])
    if len(pairs):
        near = int(len(kept) - len(families.join(len(kept), pairs).unique()))
        told = (
            "1 image is a near copy of another: both stay"
            if near == 1
            else f"{near:,} images are near copies of others: they stay"
        )
        notes.append(f"{told} on one side of the split")
    strata = task.strata(targets)
    side = _sides(strata, family, shares, seed)
    _check(task, targets, family, side, where)
    rows = [kept[side == k] for k in range(3)]
    return Split(train=rows[0], val=rows[1], test=rows[2], notes=tuple(notes))


def apart(
    task: Task,
    data: Labelled,
    test: Labelled,
    *,
    share: float,
    seed: int,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    groups: list[str] | None = None,
    where: tuple[str, str],
) -> tuple[Split, Labelled]:
    """Split `data` into training and validation where `test` images are given; they follow it in the second value.

    names: of the images of both, for messages. DataError where a test image is a copy, or a near one, of another.
    """
    shared = families.near_copies(test.images, data.images)
    if len(shared):
        test_row, row = shared[0].tolist()
        ours, theirs = (
            part[k] if part else f"image {k}" for part, k in zip(names, (row, test_row), strict=True)
        )
        count = len(shared[:, 0].unique())
        raise DataError(
            f"{count} of {len(test)} test images of {where[1]} are also in {where[0]}, or nearly "
            f"({theirs} is {ours}): remove them from one of the two, or let fastgan split one set"
        )
    found = make(task, data, shares=(share, 0.0), seed=seed, groups=groups, where=where[0])
    kept, _ = _unique(test)
    return Split(found.train, found.val, len(data) + kept, found.notes), data + test


def _unique(data: Labelled) -> tuple[Tensor, list[str]]:
    """Rows of the first of each set of copies; none of those that are labelled in two ways."""
    first = families.copies(data.images)
    same = (data.targets == data.targets[first]) | (data.targets != data.targets)  # NaN: unknown
    same = same if same.ndim == 1 else same.all(1)
    torn = first[~same].unique()
    own = torch.arange(len(first))
    kept = own[(first == own) & ~torch.isin(first, torn)]
    notes = []
    copies = int((first != own).sum())
    if copies:
        notes.append(f"{copies} exact copies of other images were dropped")
    if len(torn):
        notes.append(f"{len(torn)} images occur under two labels and were dropped")
    return kept, notes


def _sides(strata: Tensor, family: Tensor, shares: tuple[float, float], seed: int) -> Tensor:
    """int64 [N]: 0 train, 1 val, 2 test. A family is of the class of its first image."""
    random = torch.Generator().manual_seed(seed)
    side = torch.zeros(len(family), dtype=torch.int64)
    sizes = family.bincount()
    first = torch.full((len(sizes),), len(family)).scatter_reduce(
        0, family, torch.arange(len(family)), "amin"
    )
    where = torch.zeros(len(sizes), dtype=torch.int64)
    for stratum in strata.unique().tolist():
        own = (strata[first] == stratum).nonzero()[:, 0]
        own = own[torch.randperm(len(own), generator=random)]
        total, at = int(sizes[own].sum()), 0
        for part, share in ((2, shares[1]), (1, shares[0])):
            filled = 0
            begun = at
            while share and at < len(own) and (filled < share * total or at - begun < _EACH):
                where[own[at]] = part
                filled += int(sizes[own[at]])
                at += 1
    side[:] = where[family]
    return side


def _check(task: Task, targets: Tensor, family: Tensor, side: Tensor, where: str) -> None:
    members = task.members(targets)
    for k, name in enumerate(task.names):
        own = family[members[:, k]].unique()
        what = "attribute" if task.multi else "class"
        mend = "leave it out of --attributes" if task.multi else f"leave it out with --leave-out {name!r}"
        if len(own) < FEWEST:
            raise DataError(
                f"the {what} {name!r} of {where} has {len(own)} images that are not copies of each other, and a split "
                f"into training, validation and test images needs {FEWEST}: add images, or {mend}"
            )
        for part, called in enumerate(("training", "validation", "test")):
            if part < 2 and not bool(members[side == part, k].any()):
                raise DataError(
                    f"no {called} image has the {what} {name!r} of {where}, for its images are all of few families: "
                    f"add images of others, or {mend}"
                )
