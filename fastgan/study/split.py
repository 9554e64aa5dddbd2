"""Which images are trained on, which are chosen by, and which are asked at the end, once.

Exact copies are dropped but for one. Families (`families`: near copies, and groups that the user names) stay on one
side. Within each class, families come in an order drawn by the seed; the first go to the test images until their
share is reached, the next to the validation images, the rest is what training may draw from.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.errors import DataError
from fastgan.naming import named
from fastgan.study import families
from fastgan.study.labelled import Labelled
from fastgan.study.task import Task
from fastgan.text import quoted

FEWEST = 6  # families of a class: two on each side
_EACH = 2
Groups = list[str | None]
"""Each image's family by name; None: of its own"""


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
    groups: Groups | None = None,
    near: float = families.ALIKE,
    where: str = "the data",
) -> Split:
    """Split `data`; shares: of validation and of test images. near: the correlation above which images are near copies.

    DataError where a class has fewer than FEWEST families of images.
    """
    kept, notes = _unique(data)
    targets = data.targets[kept]
    pairs = families.near_copies(data.images[kept], near=near)
    named = None if groups is None else [groups[k] for k in kept.tolist()]
    family = families.join(len(kept), pairs, named)
    alone = families.join(len(kept), pairs[:0], named)
    if len(pairs):
        alike = int(len(kept) - len(families.join(len(kept), pairs).unique()))
        told = (
            "1 image is a near copy of another: both stay"
            if alike == 1
            else f"{alike:,} images are near copies of others: they stay"
        )
        notes.append(f"{told} on one side of the split")
    side = _sides(task.strata(targets, family), family, shares, seed)
    _check(task, targets, (family, alone), side, shares=shares, near=near, where=where)
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
    groups: tuple[Groups, Groups] | None = None,
    near: float = families.ALIKE,
    where: tuple[str, str],
) -> tuple[Split, Labelled]:
    """Split `data` into training and validation where `test` images are given; they follow it in the second value.

    names, groups: of the images of both. DataError where a test image is a copy, or a near one, of another, or is of
    its family.
    """
    shared = families.shared(test.images, data.images, near)
    if len(shared):
        theirs, ours = _called(names, shared[0])
        nearly = "" if near >= 1 else ", or nearly"
        raise DataError(
            f"{len(shared[:, 0].unique())} of {len(test)} test images of {where[1]} are also in {where[0]}{nearly} "
            f"({theirs} is {ours}): remove them from one of the two, or let fastgan split one set"
        )
    if groups is not None:
        _check_groups(groups, names, where)
    own = None if groups is None else groups[0]
    found = make(task, data, shares=(share, 0.0), seed=seed, groups=own, near=near, where=where[0])
    kept, notes = _unique(test, f" of the test set {where[1]}")
    return Split(found.train, found.val, len(data) + kept, (*found.notes, *notes)), data + test


def _check_groups(
    groups: tuple[Groups, Groups], names: tuple[tuple[str, ...], tuple[str, ...]], where: tuple[str, str]
) -> None:
    first = {group: row for row, group in reversed([*enumerate(groups[0])]) if group is not None}
    shared = [(row, first[group]) for row, group in enumerate(groups[1]) if group in first]
    if shared:
        theirs, ours = _called(names, torch.tensor(shared[0]))
        raise DataError(
            f"{len(shared)} of {len(groups[1])} test images of {where[1]} are of families that are also in {where[0]} "
            f"(by {named('group_by')}, {theirs} and {ours} are both of {groups[0][shared[0][1]]!r}): move each family "
            "into one of the two, or let fastgan split one set"
        )


def _called(names: tuple[tuple[str, ...], tuple[str, ...]], pair: Tensor) -> tuple[str, str]:
    """What a test image and one of the data are called, by their rows."""
    test_row, row = pair.tolist()
    ours, theirs = (part[k] if part else f"image {k}" for part, k in zip(names, (row, test_row), strict=True))
    return theirs, ours


def _unique(data: Labelled, of: str = "") -> tuple[Tensor, list[str]]:
    """Rows of one of each set of copies, the first that knows most; none of those that are labelled in two ways.

    of: whose images they are, for the notes.
    """
    first = families.copies(data.images)
    told = data.targets.reshape(len(data), -1).double()  # [N, 1 or A], NaN: unknown
    into = first[:, None].expand_as(told)
    lowest = torch.full_like(told, torch.inf).scatter_reduce(0, into, told.nan_to_num(torch.inf), "amin")
    highest = torch.full_like(told, -torch.inf).scatter_reduce(0, into, told.nan_to_num(-torch.inf), "amax")
    torn = (lowest < highest).any(1)
    known = (~told.isnan()).sum(1)
    most = torch.zeros_like(known).scatter_reduce(0, first, known, "amax")[first]
    best = (known == most).nonzero()[:, 0]
    chosen = torch.full_like(first, len(first)).scatter_reduce(0, first[best], best, "amin")
    kept = chosen[(first == torch.arange(len(first))) & ~torn].sort().values
    notes = []
    dropped, twice = len(first) - len(first.unique()), int(torn.sum())
    if dropped == 1:
        notes.append(f"1 exact copy of another image{of} was dropped")
    elif dropped:
        notes.append(f"{dropped:,} exact copies of other images{of} were dropped")
    if twice == 1:
        notes.append(f"1 image{of} occurs under two labels and was dropped")
    elif twice:
        notes.append(f"{twice:,} images{of} occur under two labels and were dropped")
    return kept, notes


def _sides(strata: Tensor, family: Tensor, shares: tuple[float, float], seed: int) -> Tensor:
    """int64 [N]: 0 train, 1 val, 2 test; strata: int64 [families]."""
    random = torch.Generator().manual_seed(seed)
    sizes = family.bincount()
    where = torch.zeros(len(sizes), dtype=torch.int64)
    for stratum in strata.unique().tolist():
        own = (strata == stratum).nonzero()[:, 0]
        own = own[torch.randperm(len(own), generator=random)]
        total, at = int(sizes[own].sum()), 0
        for part, share in ((2, shares[1]), (1, shares[0])):
            filled = 0
            begun = at
            while share and at < len(own) and (filled < share * total or at - begun < _EACH):
                where[own[at]] = part
                filled += int(sizes[own[at]])
                at += 1
    return where[family]


def _check(
    task: Task,
    targets: Tensor,
    family: tuple[Tensor, Tensor],
    side: Tensor,
    *,
    shares: tuple[float, float],
    near: float,
    where: str,
) -> None:
    """DataError where a class is too small, or on one side alone. family: as they are, and without near copies."""
    members = task.members(targets)
    what = "attribute" if task.multi else "class"
    sides = (("training", 1.0), ("validation", shares[0]), ("test", shares[1]))
    for k, name in enumerate(task.names):
        own, alone = (len(of[members[:, k]].unique()) for of in family)
        mend = (
            f"leave it out of {named('attributes')}"
            if task.multi
            else f"leave it out with {named('leave_out')} {quoted(name)}"
        )
        if own < alone:
            mend += (
                "; or, where images that differ only look like copies (as before a fixed camera), "
                f"say {named('near')} {0.999 if near < 0.999 else 1:g}"
            )
        by_name = alone < int(members[:, k].sum())
        counted = (
            f"families of images ({named('group_by')})"
            if by_name
            else "images that are not copies of each other"
        )
        if own < FEWEST:
            raise DataError(
                f"the {what} {name!r} of {where} has {own} {counted}, and a split "
                f"into training, validation and test images needs {FEWEST}: add images, or {mend}"
            )
        for part, (called, share) in enumerate(sides):
            if share and not bool(members[side == part, k].any()):
                raise DataError(
                    f"no {called} image has the {what} {name!r} of {where}, for its images are all of few families: "
                    f"add images of others, or {mend}"
                )
