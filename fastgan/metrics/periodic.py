"""Periodic artefacts: the lattices that strided layers leave, by the power spectrum of the pixels (no network).

A layer that doubles the resolution treats even and odd positions differently, two of them positions of four: what that
leaves repeats every 2 or 4 pixels (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"; spectra of generated
images as in Frank et al. 2020, section 3). The score is the worst ratio of the mean power, generated over real, at the
frequencies of a half and a quarter of the sampling rate in both axes and their combinations: 1 is right. Real images
against others of their kind give about 1.1 (the largest of nine ratios, each with its sampling error). On avatars of 64
px a checkerboard of 1 grey level gives 650, one of 4 levels 10,000, stripes of 4 levels that repeat every 4 pixels 3.4;
white noise gives more than 1 too (4 levels: 6.5), and blur less.
"""

import math

import torch
from torch import Tensor

from fastgan.metrics.resize import to_rgb

SPACE = "pixels"
"""The "feature space" of `powers`, beside those of extractors"""
PERIOD = 4
FREQUENCIES = ((0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2))
"""(vertical, horizontal) in quarters of the sampling rate: half of the plane, as the spectrum is symmetric"""
FLOOR = 1 / 12
"""Power of the rounding to whole grey levels: what real images are taken to have at least"""
WINDOW = "hann"


def powers(images: Tensor) -> Tensor:
    """The power of each image at FREQUENCIES: uint8 [N, H, W, C] -> float64 [N, 9], in squared grey levels a pixel.

    Mean over R, G and B (grey is repeated, RGBA laid on white) of |sum_yx w_yx (x_yx - m) exp(-2 pi i (f y + g x))|^2
    over sum_yx w_yx^2. w is the product of two Hann windows, so that the jump from one border to the other does not
    count, and m the mean under w. White noise of variance s^2 has the power s^2 everywhere. Exact at any size: every
    4 pixels the exponential repeats, so that folding the image to 4 x 4 leaves nothing to interpolate.
    """
    x = to_rgb(images).double()  # [N, 3, H, W]
    height, width = x.shape[2:]
    window = torch.outer(_hann(height), _hann(width)).to(x.device)
    mean = (x * window).sum((2, 3), keepdim=True) / window.sum()
    x = torch.nn.functional.pad((x - mean) * window, (0, -width % PERIOD, 0, -height % PERIOD))
    folded = x.unflatten(3, (-1, PERIOD)).unflatten(2, (-1, PERIOD)).sum((2, 4))  # [N, 3, 4, 4]
    spectrum = torch.fft.fft2(folded).abs().square().mean(1) / window.square().sum()
    rows, columns = zip(*FREQUENCIES, strict=True)
    return spectrum[:, rows, columns]


def periodic_artefacts(real: Tensor, generated: Tensor) -> float:
    """The score from the mean `powers` [9] of both sides: the largest of generated / max(real, FLOOR)."""
    return float((generated.double().cpu() / real.double().cpu().clamp(min=FLOOR)).max())


def _hann(n: int) -> Tensor:
    """float64 [n], symmetric: sin^2(pi (k + 1/2) / n)."""
    return torch.sin(math.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n).square()
