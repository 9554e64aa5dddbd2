"""Saturation: distance of each pixel's colours from their own mean (Zhao et al. 2020, "color"). Grey stays grey."""

import torch
from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._colours import recolour

RANGE = (0.0, 2.0)
"""Factor: uniform between no colour and twice as much."""


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Scale colours about each pixel's mean. images: [N, C, H, W]; factor: [N, 1, 1, 1]; 1 is exact."""
    return recolour(images, lambda colours: torch.lerp(colours.mean(1, keepdim=True), colours, factor))


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Change the saturation of each of `images` [N, C, H, W] with probability `p`."""
    chosen, factor = _draw.chosen(images, p), _draw.uniform(images, *RANGE)
    return saturate(images, factor.where(chosen, 1.0))
