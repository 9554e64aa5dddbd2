"""Rotation by 90, 180 and 270 degrees (Karras et al. 2020, ADA, appendix B, pixel blitting)."""

import torch
from torch import Tensor

from fastgan.diffaug import _draw


def rotate(images: Tensor, quarter: Tensor, half: Tensor) -> Tensor:
    """Turn `images` [N, C, H, W] left by a quarter turn, a half turn or both, where these [N, 1, 1, 1] are true.

    Images that are not square have no quarter turn: theirs is left out.
    """
    if images.shape[2] == images.shape[3]:
        images = torch.rot90(images, 1, (2, 3)).where(quarter, images)
    return images.flip((2, 3)).where(half, images)


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """With probability `p` turn each of `images` [N, C, H, W] by 0, 90, 180 or 270 degrees, each as likely."""
    chosen = _draw.chosen(images, p)
    return rotate(images, chosen & _draw.coin(images), chosen & _draw.coin(images))
