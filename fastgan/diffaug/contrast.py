"""Contrast: distance of all colours from the mean of their image (Zhao et al. 2020, "color")."""

import torch
from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._colours import recolour

RANGE = (0.5, 1.5)
"""Factor: uniform."""


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale colours about each image's mean. images: [N, C, H, W]; factor: [N, 1, 1, 1]; 1 is exact."""
    return recolour(
        images, lambda colours: torch.lerp(colours.mean((1, 2, 3), keepdim=True), colours, factor)
    )


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Change the contrast of each of `images` [N, C, H, W] with probability `p`."""
    chosen, factor = _draw.chosen(images, p), _draw.uniform(images, *RANGE)
    return contrast(images, factor.where(chosen, 1.0))
