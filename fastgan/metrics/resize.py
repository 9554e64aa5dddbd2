"""Pixels -> what an extractor takes: the step in which published numbers silently differ (Parmar et al. 2022).

Every resizer works on float32 [N, C, H, W] in 0..255, keeps fractions (nothing is rounded back to bytes), and has a
name that stands in the protocol card.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def to_rgb(images: Tensor) -> Tensor:
    """[N, H, W, C] in 0..255, uint8 or float -> float32 [N, 3, H, W]: grey is repeated, RGBA is laid on white."""
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[1] == 1:
        return pixels.expand(-1, 3, -1, -1)
    if pixels.shape[1] == 4:
        alpha = pixels[:, 3:] / 255
        return pixels[:, :3] * alpha + 255 * (1 - alpha)
    return pixels


def bilinear(pixels: Tensor, size: int) -> Tensor:
    """[N, C, H, W] -> [N, C, size, size], half-pixel centres, antialiased where it shrinks, as PIL does it."""
    return _interpolate(pixels, size, "bilinear")


def bicubic(pixels: Tensor, size: int) -> Tensor:
    """As `bilinear`, with PIL's cubic (a = -0.5), clamped to 0..255."""
    return _interpolate(pixels, size, "bicubic").clamp(0, 255)


def tensorflow1(pixels: Tensor, size: int) -> Tensor:
    """[N, C, H, W] -> [N, C, size, size] as TensorFlow 1's resize_bilinear: what the FID's Inception was fed with.

    Output pixel i is read at i * H / size: corners are not centres, and nothing is antialiased.
    """
    rows = _tensorflow1_weights(pixels.shape[2], size).to(pixels)
    columns = _tensorflow1_weights(pixels.shape[3], size).to(pixels)
    return rows @ pixels @ columns.T


RESIZERS = {"bilinear": bilinear, "bicubic": bicubic, "tensorflow1": tensorflow1}


def _interpolate(pixels: Tensor, size: int, mode: str) -> Tensor:
    if pixels.shape[2:] == (size, size):
        return pixels
    return F.interpolate(pixels, size=(size, size), mode=mode, antialias=True, align_corners=False)


def _tensorflow1_weights(length: int, size: int) -> Tensor:
    """[size, length]: the two weights of each output pixel."""
    at = torch.arange(size, dtype=torch.float32) * torch.tensor(length / size, dtype=torch.float32)
    low = at.long().clamp(max=length - 1)
    high = (low + 1).clamp(max=length - 1)
    share = at - low
    weights = torch.zeros(size, length)
    every = torch.arange(size)
    weights[every, low] += 1 - share
    weights[every, high] += share
    return weights
