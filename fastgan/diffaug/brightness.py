"""Brightness: one number a sample added to every colour (Zhao et al. 2020, "color")."""

from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._colours import recolour

RANGE = 0.5
"""Added: uniform in [-0.5, 0.5), where images span [-1, 1]."""


def brighten(images: Tensor, amount: Tensor) -> Tensor:
    """images [N, C, H, W] + amount [N, 1, 1, 1]."""
    return recolour(images, lambda colours: colours + amount)


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Brighten or darken each of `images` [N, C, H, W] with probability `p`."""
    chosen, amount = _draw.chosen(images, p), _draw.uniform(images, -RANGE, RANGE)
    return brighten(images, amount.where(chosen, 0.0))
