"""Hue: colours turned about the grey axis (Karras et al. 2020, ADA, appendix B). Images without three colours stay."""

import math

import torch
from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._colours import recolour


def turn(images: Tensor, angle: Tensor) -> Tensor:
    """Turn the colours of `images` [N, C, H, W] by `angle` [N, 1, 1, 1], in radians; a third of a turn is R to G.

    The angle 0 is exact.
    """
    if images.shape[1] < 3:
        return images
    cos, sin = angle.cos(), angle.sin() / math.sqrt(3)

    def change(colours: Tensor) -> Tensor:
        # Rodrigues' formula for the axis (1, 1, 1) / sqrt(3).
        along = torch.lerp(colours.mean(1, keepdim=True), colours, cos)
        return along + sin * (colours.roll(1, 1) - colours.roll(-1, 1))

    return recolour(images, change)


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Turn the hue of each of `images` [N, C, H, W] with probability `p`, by any angle."""
    chosen, angle = _draw.chosen(images, p), _draw.uniform(images, -math.pi, math.pi)
    return turn(images, angle.where(chosen, 0.0))
