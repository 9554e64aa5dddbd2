"""How an image is shown each time: flipped, turned and zoomed, as its position in the endless sequence decides.

What is shown is what the generator learns to make, turned images included, unlike what `fastgan.diffaug` does to real
and generated images alike.
"""

import numpy as np
import torch
from torch.nn import functional as F

from fastgan.data import streams


def flips(seed: int, start: int, count: int, purpose: int = streams.MIRROR) -> np.ndarray:
    """bool [count]: which of the images at positions start, start+1, ... are flipped, by (seed, position) alone."""
    return (streams.words(seed, start, count, purpose) >> np.uint64(63)).astype(bool)


def angles(seed: int, start: int, count: int, limit: float) -> np.ndarray:
    """float64 [count], degrees uniform in +-limit: how far the images at start, start+1, ... are turned."""
    return limit * streams.signed(seed, start, count, streams.ROTATE)


def zooms(seed: int, start: int, count: int, spread: float) -> np.ndarray:
    """float64 [count] from 1 / (1 + spread) to 1 + spread, log-uniform: as often smaller as larger, 1 on average."""
    return (1 + spread) ** streams.signed(seed, start, count, streams.SCALE)


def flip(pixels: torch.Tensor, chosen: np.ndarray, dim: int) -> torch.Tensor:
    """`pixels` [n, H, W, C] with those `chosen` (bool [n]) flipped along `dim`: 1 is top to bottom, 2 left to right."""
    flipped = torch.from_numpy(chosen).to(pixels.device)
    return torch.where(flipped[:, None, None, None], pixels.flip(dim), pixels)


def turn(pixels: torch.Tensor, angle: np.ndarray, zoom: np.ndarray) -> torch.Tensor:
    """Square images uint8 [n, S, S, C], each turned and zoomed about its middle -> float32 [n, S, S, C] in [0, 255].

    angle: degrees [n], anticlockwise. zoom: factors [n]; above 1 enlarges. Linear between pixels; beyond the edge the
    image is mirrored. RGBA is weighted by alpha, so that the colour of what cannot be seen does not shine through.
    """
    planes = pixels.permute(0, 3, 1, 2).float()  # [n, C, S, S]
    grid = _sources(pixels.shape[1], angle, zoom, pixels.device)
    if planes.shape[1] == 4:
        colour, alpha = planes.split((3, 1), 1)
        colour, alpha = _sample(torch.cat([colour * alpha, alpha], 1), grid).split((3, 1), 3)
        turned = torch.cat([torch.where(alpha > 0, colour / alpha, 0), alpha], 3)
    else:
        turned = _sample(planes, grid)
    return turned.clamp_(0, 255)  # the four weights may add up to a little more than 1


def _sources(size: int, angle: np.ndarray, zoom: np.ndarray, device: torch.device) -> torch.Tensor:
    """Where each pixel of the turned image lies in the original: float32 [n, size, size, 2], (x, y) with edges at +-1.

    Written out, as affine_grid multiplies matrices: in TF32 on some GPUs, and not the same in any size of batch.
    """
    radians = np.deg2rad(angle)
    cos, sin = (
        torch.from_numpy((part / zoom).astype(np.float32)).to(device)[:, None, None]
        for part in (np.cos(radians), np.sin(radians))
    )
    middles = (2 * torch.arange(size, device=device) + 1) / size - 1
    x, y = middles[None, None, :], middles[None, :, None]
    return torch.stack([cos * x - sin * y, sin * x + cos * y], 3)


def _sample(planes: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """planes [n, C, S, S] at `grid` -> [n, S, S, C]."""
    sampled = F.grid_sample(planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return sampled.permute(0, 2, 3, 1)
