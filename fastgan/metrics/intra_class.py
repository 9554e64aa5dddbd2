"""Intra-class FID: the Frechet distance of each class by itself, and their mean.

A generator may draw fine images of the wrong class, or the same image for a whole class; the distance of all images
together sees neither (Miyato & Koyama 2018, section 5.1, who call it intra FID).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgan.errors import MetricError
from fastgan.metrics.frechet import frechet_distance
from fastgan.naming import named

LEAST = 20  # images of a class on either side


def intra_class_frechet(
    real: Tensor, real_labels: Tensor, generated: Tensor, labels: Tensor, class_names: Sequence[str]
) -> dict[str, float]:
    """Class name -> Frechet distance, of features [N, D] with labels int64 [N] on each side.

    Raises MetricError where a class has fewer than LEAST images on either side.
    """
    check_classes(real_labels, class_names, "real")
    check_classes(labels, class_names, "generated")
    return {
        name: frechet_distance(real[real_labels == index], generated[labels == index])
        for index, name in enumerate(class_names)
    }


def check_classes(labels: Tensor, class_names: Sequence[str], what: str) -> None:
    """Raise MetricError, naming the first class, where one has fewer than LEAST images."""
    counts = torch.bincount(labels, minlength=len(class_names)).tolist()
    for name, count in zip(class_names, counts, strict=True):
        if count < LEAST:
            raise MetricError(
                f"class {name!r} has {count} {what} images, and scores by class need at least {LEAST}: "
                + (
                    f"raise {named('n')}."
                    if what == "generated"
                    else "add some, or pack the data without it."
                )
            )
