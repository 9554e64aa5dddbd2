"""Images in their two forms: uint8 [N, H, W, C], and floats [N, C, H, W] about [-1, 1], as networks take and give them.

One rule for torch, numpy and exported graphs. Importing this imports no torch: ONNX Runtime generates without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def to_uint8(images: Tensor) -> Tensor:
    """Floats [N, C, H, W] about [-1, 1] -> uint8 [N, H, W, C]: round(clamp(127.5 x + 127.5, 0, 255)), halves to even.

    It is computed in float32, whatever the dtype.
    """
    return levels(images).round().byte().permute(0, 2, 3, 1).contiguous()


def levels(images: Tensor) -> Tensor:
    """`to_uint8` before it rounds: floats about [-1, 1] of any shape -> float32 from 0 to 255, in that shape."""
    return (images.float() * 127.5 + 127.5).clamp(0, 255)


def array_to_uint8(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`to_uint8` of a numpy array: float32 [N, C, H, W] -> uint8 [N, H, W, C], a view of an array [N, C, H, W]."""
    scaled = images * np.float32(127.5) + np.float32(127.5)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)


def to_float(images: Tensor) -> Tensor:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W] in [-1, 1], channels_last: x / 127.5 - 1, exact at both ends."""
    import torch

    # NHWC memory seen as NCHW is channels_last already.
    planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
    return planes.div_(127.5).sub_(1.0)


def snr(images: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """`snr_db` of images against those that they should be, both uint8 of one shape, as values in [-1, 1]."""
    expected = reference.astype(np.float64)
    return snr_db(expected / 127.5 - 1, (expected - images) / 127.5)


def snr_db(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    """10 log10 of the power of the signal over that of the noise; infinite where there is none."""
    power = float(np.square(noise).sum())
    return (
        math.inf if power == 0 else float(10 * np.log10(max(float(np.square(signal).sum()), 1e-12) / power))
    )
