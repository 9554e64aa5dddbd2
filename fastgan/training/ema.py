"""The averaged generator: parameters follow slowly, buffers are copied."""

import torch
from torch import nn


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
