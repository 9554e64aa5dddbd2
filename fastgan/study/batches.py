"""Which images a training step shows: those of an arm, epoch by epoch, in an order that the seed draws.

It is the same for all arms that train on the same images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.study.labelled import Labelled
from fastgan.study.task import Task


@dataclass(frozen=True, eq=False)
class Course:
    """The training images of one arm: real ones, and how synthetic ones join them."""

    real: Labelled | None
    """None: synthetic ones alone"""
    synthetic: Labelled | None = None
    each_epoch: int = 0
    """Synthetic images in an epoch: the first so many, or the next"""
    redrawn: bool = False
    """The next so many in each epoch"""
    balanced: bool = False
    """Real images of small classes are repeated until each class has as many"""

    def batches(self, task: Task, size: int, seed: int) -> Iterator[Labelled]:
        """Endless batches of `size` images, each epoch in an order of its own."""
        real = self._balanced(task) if self.balanced else self.real
        left = torch.empty(0, dtype=torch.int64)
        pool = _joined(real, self.synthetic)
        offset = 0 if real is None else len(real)
        epoch = 0
        while True:
            while len(left) < size:
                left = torch.cat([left, self._epoch(offset, seed, epoch)])
                epoch += 1
            yield pool.take(left[:size])
            left = left[size:]

    def _epoch(self, offset: int, seed: int, epoch: int) -> Tensor:
        rows = torch.arange(offset)
        if self.synthetic is not None:
            begin = epoch * self.each_epoch if self.redrawn else 0
            drawn = (begin + torch.arange(self.each_epoch)) % len(self.synthetic)
            rows = torch.cat([rows, offset + drawn])
        random = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        return rows[torch.randperm(len(rows), generator=random)]

    def _balanced(self, task: Task) -> Labelled:
        assert self.real is not None
        counts = task.counts(self.real.targets)
        rows = []
        for k, count in enumerate(counts):
            own = (self.real.targets == k).nonzero()[:, 0]
            rows.append(own.repeat(-(-max(counts) // max(count, 1)))[: max(counts)])
        return self.real.take(torch.cat(rows))

    def everything(self) -> Labelled:
        """What a learner that looks at all images at once is given: an epoch, or all that were drawn."""
        synthetic = self.synthetic
        if synthetic is not None and not self.redrawn:
            synthetic = synthetic.take(torch.arange(min(self.each_epoch, len(synthetic))))
        return _joined(self.real, synthetic)


def _joined(real: Labelled | None, synthetic: Labelled | None) -> Labelled:
    if real is None or synthetic is None:
        found = real if synthetic is None else synthetic
        assert found is not None
        return found
    return real + synthetic
