"""Activation checkpointing (Chen et al. 2016): blocks keep their input alone and run again in the backward pass.

A third more arithmetic in a plain step, for the memory of one block at a time. A penalised pass differentiates its
first backward pass, whose graph holds what was recomputed: it gains little.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(network: nn.Module) -> None:
    """Make every member of the lists and sequences that `network` directly holds, its blocks, run again, in place.

    Outputs and gradients of every order are the same: random numbers are drawn again as they were, and running
    statistics move once. Spectral normalisation inside a block is not possible, for its weights move with each call.
    """
    for child in network.children():
        if isinstance(child, (nn.ModuleList, nn.Sequential)):
            for block in child:
                _recompute(block)


def _recompute(block: nn.Module) -> None:
    forward = block.forward

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _StatisticsAtRest(block)

    def run(*args: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts)

    block.forward = run  # a module around it would rename its parameters


class _StatisticsAtRest:
    """Batch norm in a block normalises as ever, and its running statistics do not move; to be entered many times."""

    def __init__(self, block: nn.Module) -> None:
        self.norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
