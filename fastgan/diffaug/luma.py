"""Luma flip: light and dark swap while hue and saturation stay (Karras et al. 2020, ADA, appendix B)."""

from torch import Tensor

from fastgan.diffaug import _draw
from fastgan.diffaug._colours import recolour


def flip_luma(images: Tensor, swapped: Tensor) -> Tensor:
    """Mirror colours in the plane of mean 0 where `swapped` [N, 1, 1, 1] is true. images: [N, C, H, W]."""
    twice = 2 * swapped.to(images.dtype)
    return recolour(images, lambda colours: colours - twice * colours.mean(1, keepdim=True))


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Toss a coin with probability `p` for each of `images` [N, C, H, W]: heads swaps light and dark."""
    return flip_luma(images, _draw.chosen(images, p) & _draw.coin(images))
