"""Which channels of an image are colours: all but an alpha channel, the last of two or four."""

from collections.abc import Callable

import torch
from torch import Tensor


def recolour(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """`change` applied to the colour channels: [N, 1 to 4, H, W] -> the same shape, alpha untouched."""
    channels = images.shape[1]
    if channels in (1, 3):
        return change(images)
    return torch.cat([change(images[:, : channels - 1]), images[:, channels - 1 :]], dim=1)
