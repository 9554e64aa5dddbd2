"""Argument checks shared by the ops: one sentence that names the argument, what it is, and what it should be."""

import torch
from torch import Tensor

FLOATING = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def floating(op: str, name: str, x: Tensor) -> None:
    """Raise TypeError unless `x` is of a dtype that the kernels know."""
    if x.dtype not in FLOATING:
        raise TypeError(f"{op}: {name} is {x.dtype}; it must be float32, bfloat16, float16 or float64.")


def image(op: str, name: str, x: Tensor) -> None:
    """Raise unless `x` is a floating [N, C, H, W] tensor with at least one pixel a plane."""
    floating(op, name, x)
    if x.dim() != 4 or x.shape[2] == 0 or x.shape[3] == 0:
        raise ValueError(f"{op}: {name} has shape {list(x.shape)}; it must be [N, C, H, W] with H, W > 0.")


def shape(op: str, name: str, x: Tensor, expected: tuple[int, ...]) -> None:
    """Raise ValueError unless `x` has exactly the expected shape."""
    if tuple(x.shape) != expected:
        raise ValueError(f"{op}: {name} has shape {list(x.shape)}; it must be {list(expected)}.")
