"""Isotropic scaling about the middle (Karras et al. 2020, ADA, appendix B); beyond the edge the image is mirrored."""

from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._axes import positions, resample

SPREAD = 0.2
"""The standard deviation of the binary logarithm of the factor."""


def scale(images: Tensor, factor: Tensor) -> Tensor:
    """Zoom `images` [N, C, H, W] in by `factor` [N, 1, 1, 1], at least 1/3; below 1 it zooms out.

    Linear between pixels; zooming out widens the triangle so that it takes in every pixel, and nothing aliases.
    """
    h, w = images.shape[2:]
    rows = _zoom(h, factor)
    return resample(images, rows, rows if h == w else _zoom(w, factor))


def _zoom(length: int, factor: Tensor) -> Tensor:
    """The matrices [N, length, length] that zoom by `factor` [N, 1, 1, 1]; each row sums to 1."""
    factor = factor[:, 0]  # [N, 1, 1]
    middle = (length - 1) / 2
    source = middle + (positions(length, factor)[:, None] - middle) / factor  # [N, length, 1], in pixels
    reach = positions(3 * length, factor) - length  # the image and its two mirror images
    weights = (1 - (source - reach).abs() * factor.clamp_max(1)).relu()  # [N, length, 3 length]
    before, inside, after = weights.chunk(3, dim=2)
    weights = before.flip(2) + inside + after.flip(2)
    return weights / weights.sum(2, keepdim=True)


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Zoom each of `images` [N, C, H, W] with probability `p`, by a log-normal factor."""
    chosen, factor = _draw.chosen(images, p), (SPREAD * _draw.normal(images)).exp2()
    return scale(images, factor).where(chosen, images)
