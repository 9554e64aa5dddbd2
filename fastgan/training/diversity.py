"""Collapse, seen in the pixels: how far apart a batch of fakes lies, and how many are near copies of another.

Both are measured against as many real images, so they mean the same on any data: 1 is as diverse as the data, 0 one
image over and over. The fakes are those of the sample grid, so they cost nothing but 64 x 64 distances.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.data import Dataset

_SIDE = 16  # pixels: what is left after pooling is what an image shows, not its noise
_NEAR = 0.1  # of the mean distance of two real images


class Spread(NamedTuple):
    """How a batch of images is spread."""

    distance: float
    """Mean distance of two images."""
    near: float
    """Share of the images that have a near copy among the others."""


def describe(images: Tensor) -> Tensor:
    """images [N, C, R, R] of any type -> float32 [N, C * 16 * 16], what two images are compared by."""
    side = min(_SIDE, images.shape[-1])
    return torch.cat([F.adaptive_avg_pool2d(part.float(), side).flatten(1) for part in images.split(16)])


def spread(features: Tensor, near: float) -> Spread:
    """The spread of `features` [N >= 2, D], where closer than `near` counts as a copy."""
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")  # [N, N]
    n = len(distances)
    others = distances.masked_fill(torch.eye(n, dtype=torch.bool), float("inf")).amin(1)  # [N]
    return Spread(distances.sum().item() / (n * (n - 1)), (others < near).float().mean().item())


class Diversity:
    """The yardstick: `n` real images, spread evenly over the set."""

    def __init__(self, dataset: Dataset, n: int) -> None:
        rows = torch.linspace(0, len(dataset) - 1, min(max(n, 2), len(dataset))).long()
        features = (
            describe(dataset.images[rows].permute(0, 3, 1, 2)) / 127.5
        )  # pooled as fakes are, to the same range
        self.distance = max(spread(features, 0.0).distance, 1e-6)  # a set of one image over and over has none
        self.near = spread(features, _NEAR * self.distance).near

    def measure(self, fakes: Tensor) -> dict[str, float]:
        """fakes [N >= 2, C, R, R] on the CPU -> `diversity`, in units of the data's, and the share of `duplicates`.

        Duplicates are those beyond what the data itself has.
        """
        distance, near = spread(describe(fakes), _NEAR * self.distance)
        return {"diversity": distance / self.distance, "duplicates": max(near - self.near, 0.0)}
