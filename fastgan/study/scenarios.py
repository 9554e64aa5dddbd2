"""How much of the training images a classifier may see.

- as given: all of them;
- n a class: n of each class, drawn anew by each seed. For attributes: as few images as have n with and n without each;
- imbalance: as given or n a class, and of one class a few alone.

What hyperparameters are chosen on shrinks with it: at most as many validation images of a class as training images, or
FEWEST_VAL, for nobody with 20 images a class, or 5 of a rare one, has 200 to validate on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.errors import ConfigError, DataError
from fastgan.naming import named
from fastgan.study.task import Task
from fastgan.text import quoted, whole

FEWEST_VAL = 10


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One of the above."""

    per_class: int | None = None
    """None: as given"""
    minority: str | None = None
    """The class that is thinned"""
    few: int = 0
    """to so many images"""

    @property
    def name(self) -> str:
        """`20 a class`, `as given`, `20 a class, 5 of cat`."""
        much = "as given" if self.per_class is None else f"{self.per_class} a class"
        return much if self.minority is None else f"{much}, {self.few} of {self.minority}"

    def rows(self, task: Task, pool: Tensor, seed: int) -> Tensor:
        """Rows int64 of training images, of those with the targets `pool`: drawn by the seed."""
        order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(10_000 + seed))
        chosen = order if self.per_class is None else _draw(task, pool, order, self.per_class)
        if self.minority is not None:
            chosen = _thin(task, pool, chosen, self.minority, self.few)
        return chosen.sort().values

    def val_rows(self, task: Task, val: Tensor, seed: int) -> Tensor:
        """Rows int64 of validation images, of those with the targets `val`."""
        order = torch.randperm(len(val), generator=torch.Generator().manual_seed(20_000 + seed))
        chosen = order if self.per_class is None else _draw(task, val, order, max(self.per_class, FEWEST_VAL))
        if self.minority is not None:
            chosen = _thin(task, val, chosen, self.minority, max(self.few, FEWEST_VAL))
        return chosen.sort().values


def _thin(task: Task, targets: Tensor, rows: Tensor, name: str, few: int) -> Tensor:
    """`rows` with the first few of the class `name` alone."""
    own = targets[rows] == task.names.index(name)
    return torch.cat([rows[~own], rows[own][:few]])


def _draw(task: Task, targets: Tensor, order: Tensor, n: int) -> Tensor:
    """The first rows in `order` until there are n of each class, or n with and n without each attribute."""
    if not task.multi:
        return torch.cat([order[targets[order] == k][:n] for k in range(task.outputs)])
    have = torch.zeros(2, task.outputs)
    chosen = []
    for row in order.tolist():
        is_of = torch.stack([targets[row] == 0, targets[row] == 1])
        if bool((is_of & (have < n)).any()):
            have += is_of
            chosen.append(row)
    return torch.tensor(chosen)


def plan(task: Task, pool: Tensor, per_class: tuple[int, ...], imbalance: str | None) -> list[Scenario]:
    """The scenarios that were asked for. pool: targets of all training images.

    imbalance: `NAME=N`, or N for the first class. ConfigError and DataError for what these images do not allow.
    """
    smallest = min(zip(task.counts(pool), task.names, strict=True))
    for n in per_class:
        if n < 2:
            raise ConfigError(f"{named('per_class')} {n} is too few to learn from: give 2 or more")
        if n > smallest[0]:
            raise DataError(
                f"{named('per_class')} {n} needs as many training images of {smallest[1]!r}, and it has {smallest[0]} "
                f"beside those for validation and test: give at most {smallest[0]}, or leave the class out"
            )
    found = [Scenario(per_class=n) for n in per_class] or [Scenario()]
    if imbalance is not None:
        found.append(_thinned(task, pool, max(per_class, default=None), imbalance))
    return found


def _thinned(task: Task, pool: Tensor, per_class: int | None, text: str) -> Scenario:
    if task.multi:
        raise ConfigError(
            f"{named('imbalance')} thins a class, and attributes are not classes: leave it away"
        )
    name, equals, number = text.rpartition("=")
    name = name if equals else task.names[0]
    if name not in task.names:
        raise ConfigError(
            f"{named('imbalance')} {text}: there is no class {name!r}; the classes are {', '.join(task.names[:20])}"
        )
    few = whole(number) or 0
    if few < 2:
        raise ConfigError(
            f"{named('imbalance')} {text} must read CLASS=N with N of 2 or more, as in {quoted(f'{name}=5')}"
        )
    has = min(task.counts(pool)[task.names.index(name)], per_class or len(pool))
    if few >= has:
        raise ConfigError(
            f"{named('imbalance')} {text} thins nothing, for {name!r} has {has} training images: give fewer"
        )
    return Scenario(per_class=per_class, minority=name, few=few)
