"""The averaged generator, of one half-life or several: parameters follow slowly, buffers are copied."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def names(half_lives: Sequence[float]) -> list[str]:
    """What checkpoints call averages of these half-lives in kimg: g_ema the first, g_ema_<images> the others."""
    return ["g_ema", *(f"g_ema_{round(1000 * kimg)}" for kimg in half_lives[1:])]


def averages(first: nn.Module, half_lives: Sequence[float]) -> dict[str, nn.Module]:
    """`first` and a copy of it for each further half-life, by name."""
    others = [_copy(first) for _ in half_lives[1:]]
    return dict(zip(names(half_lives), [first, *others], strict=True))


def _copy(module: nn.Module) -> nn.Module:
    """A deep copy, its tensors by torch's own operations: deepcopy alone reads storages, and a fake one has none."""
    copies: dict[int, Any] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        made = tensor.detach().clone()
        is_parameter = isinstance(tensor, nn.Parameter)
        copies[id(tensor)] = nn.Parameter(made, tensor.requires_grad) if is_parameter else made
    return copy.deepcopy(module, copies)


@torch.no_grad()
def update(average: nn.Module, module: nn.Module, beta: float) -> None:
    """average <- beta * average + (1 - beta) * module, all parameters in one launch; buffers are taken over.

    Buffers (batch-norm statistics, StyleGAN's w_avg) are averages already. Host-side only: `beta` is a Python
    float, and nothing is read back from the device.
    """
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), 1.0 - beta)
    buffers = list(average.buffers())
    if buffers:
        torch._foreach_copy_(buffers, list(module.buffers()))
