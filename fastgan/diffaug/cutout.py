"""Cutout: a rectangle of half the image's size set to zero, middle grey (Zhao et al. 2020, "cutout")."""

from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._axes import positions

SIZE = 0.5
"""Of the image's height and width."""


def cut(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Cut a hole into `images` [N, C, H, W], its middle at `down` and `right` [N, 1, 1, 1], as shares of the size.

    The hole may reach beyond the image, and lie there whole.
    """
    h, w = images.shape[2:]
    rows, columns = (positions(h, down) + 0.5) / h, (positions(w, right) + 0.5) / w  # middles of the pixels
    hole = ((rows[:, None] - down).abs() < SIZE / 2) & ((columns - right).abs() < SIZE / 2)  # [N, 1, H, W]
    return images.where(~hole, 0.0)


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Cut a hole, its middle anywhere, into each of `images` [N, C, H, W] with probability `p`."""
    chosen, down, right = _draw.chosen(images, p), _draw.uniform(images), _draw.uniform(images)
    return cut(images, down.where(chosen, -1.0), right)
