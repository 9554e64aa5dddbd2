"""Similarity classification: each generated image gets the class of the training images it resembles, or none.

The cosine similarity of features, averaged over the NEIGHBOURS most similar training images of a class; the best class
wins where its similarity reaches the threshold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.brief import brief
from fastgan.errors import MetricError

NEIGHBOURS = 5
NONE = -1
_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Similarity:
    """The best class of each generated image."""

    __repr__ = brief

    classes: Tensor
    """int64 [M]: a class, or NONE"""
    similarity: Tensor
    """float32 [M]: of the best class, -1 to 1"""

    def agreement(self, labels: Tensor) -> float:
        """Share of the classified images whose class is the label int64 [M] that they were generated for."""
        classified = self.classes != NONE
        return float((self.classes == labels)[classified].double().mean())


def classify(train: Tensor, labels: Tensor, generated: Tensor, *, threshold: float) -> Similarity:
    """Classes of generated features [M, D] by training features [N, D] with labels int64 [N].

    Raises MetricError for a threshold outside -1..1 and a class with no training image.
    """
    if not -1 <= threshold <= 1:
        raise MetricError(f"the threshold {threshold} is no cosine similarity: give a number from -1 to 1.")
    counts = labels.bincount()
    if not bool(counts.all()):
        raise MetricError(f"class {int(counts.argmin())} has no training image to be similar to.")
    train, generated = _directions(train), _directions(generated)
    members = [train[labels == index] for index in range(len(counts))]
    best, classes = [], []
    for start in range(0, len(generated), _ROWS):
        part = generated[start : start + _ROWS]
        of_class = torch.stack(
            [(part @ own.T).topk(min(NEIGHBOURS, len(own))).values.mean(1) for own in members], 1
        )  # [rows, classes]
        found = of_class.max(1)
        best.append(found.values)
        classes.append(found.indices)
    similarity = torch.cat(best)
    return Similarity(torch.cat(classes).where(similarity >= threshold, torch.tensor(NONE)), similarity)


def _directions(features: Tensor) -> Tensor:
    return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)
