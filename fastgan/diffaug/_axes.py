"""Resampling along both axes by one matrix an axis and sample.

A zoom is separable, so a matrix product does it as well as `F.grid_sample`, and unlike that one it is deterministic on
CUDA, differentiable to every order on every torch, and free to filter where it shrinks.
"""

import torch
from torch import Tensor


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """out[n, c, i, j] = sum over k, l of rows[n, i, k] * columns[n, j, l] * images[n, c, k, l].

    images: [N, C, H, W]; rows: [N, H, H]; columns: [N, W, W], all of one dtype -> [N, C, H, W].
    """
    x = images.flatten(1, 2) @ columns.transpose(1, 2)  # [N, C * H, W]
    return rows[:, None] @ x.view_as(images)


def positions(length: int, like: Tensor) -> Tensor:
    """0, 1, ..., length - 1 in the dtype of `like` and on its device."""
    return torch.arange(length, device=like.device, dtype=like.dtype)
