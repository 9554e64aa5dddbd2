"""How good a classifier is, from what it says of images that it has not seen.

For attributes each is judged by itself (there or not, at one half), and the measures are means over them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.study.task import Task

BINS = 15  # of the calibration error, as Guo et al. 2017


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What one classifier was worth."""

    accuracy: float
    macro_f1: float
    """Mean over classes of the harmonic mean of precision and recall; a class that is never named counts 0"""
    recall: tuple[float, ...]
    """Of each class, or attribute"""
    calibration_error: float
    """Expected calibration error: mean |confidence - accuracy| over BINS of confidence, weighted by their images"""
    gap: float
    """Accuracy on the real training images less that on the test images"""
    confusion: tuple[tuple[int, ...], ...]
    """Rows: truth; columns: answer. For attributes a row each: said no rightly, no wrongly, yes wrongly, yes rightly"""

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall: each class counts as much as any, however few its images."""
        return sum(self.recall) / len(self.recall)

    def value(self, name: str) -> float:
        """`accuracy`, `balanced_accuracy`, `macro_f1`, or `recall:K` of class number K."""
        head, _, which = name.partition(":")
        found = getattr(self, head)
        return float(found[int(which)]) if which else float(found)


def measure(task: Task, probabilities: Tensor, targets: Tensor, *, train_accuracy: float) -> Measures:
    """Measures of probabilities float [N, K] on targets."""
    if task.multi:
        table = _of_attributes(probabilities, targets)
        correct, sure = _judged(probabilities, targets)
    else:
        answer = probabilities.argmax(1)
        table = torch.zeros(task.outputs, task.outputs, dtype=torch.int64)
        table.index_put_((targets, answer), torch.ones_like(targets), accumulate=True)
        correct, sure = answer == targets, probabilities.max(1).values
    recall, f1 = _rates(table, multi=task.multi)
    exact = float(correct.double().mean())
    return Measures(
        accuracy=exact,
        macro_f1=float(f1.mean()),
        recall=tuple(recall.tolist()),
        calibration_error=calibration_error(sure, correct),
        gap=train_accuracy - exact,
        confusion=tuple(map(tuple, table.tolist())),
    )


def accuracy(task: Task, probabilities: Tensor, targets: Tensor) -> float:
    """Share of right answers: of images, or of known attributes of images."""
    if task.multi:
        return float(_judged(probabilities, targets)[0].double().mean())
    return float((probabilities.argmax(1) == targets).double().mean())


def calibration_error(sure: Tensor, correct: Tensor) -> float:
    """Of confidences [N] in 0..1 and whether the answers were right, bool [N]."""
    bins = (sure.double() * BINS).long().clamp(0, BINS - 1)
    zero = torch.zeros(BINS, dtype=torch.float64)
    difference = zero.index_add(0, bins, sure.double() - correct.double())
    return float(difference.abs().sum() / len(sure))


def _judged(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of every known attribute of every image: whether the answer is right, and how sure it is."""
    known = ~targets.isnan()
    right = (probabilities >= 0.5) == (targets == 1)
    return right[known], torch.maximum(probabilities, 1 - probabilities)[known]


def _of_attributes(probabilities: Tensor, targets: Tensor) -> Tensor:
    """int64 [A, 4]: right no, wrong no, wrong yes, right yes."""
    yes, is_so, is_not = probabilities >= 0.5, targets == 1, targets == 0
    return torch.stack(
        [(~yes & is_not).sum(0), (~yes & is_so).sum(0), (yes & is_not).sum(0), (yes & is_so).sum(0)], 1
    )


def _rates(table: Tensor, *, multi: bool) -> tuple[Tensor, Tensor]:
    """Recall and F1 of each class (or attribute's presence), float64."""
    table = table.double()
    hit = table[:, 3] if multi else table.diagonal()
    truth = table[:, 1] + table[:, 3] if multi else table.sum(1)
    said = table[:, 2] + table[:, 3] if multi else table.sum(0)
    return hit / truth.clamp(min=1), 2 * hit / (truth + said).clamp(min=1)
