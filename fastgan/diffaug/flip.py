"""Horizontal flip (Karras et al. 2020, ADA, appendix B, pixel blitting)."""

from torch import Tensor

from fastgan.diffaug import _draw


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror left to right those of `images` [N, C, H, W] where `flipped` [N, 1, 1, 1] is true."""
    return images.flip(3).where(flipped, images)


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Toss a coin with probability `p` for each of `images` [N, C, H, W]: heads flips.

    So both sides stay as likely as in the data, at most, and the generator cannot take the flip for the data's own.
    """
    return flip(images, _draw.chosen(images, p) & _draw.coin(images))
