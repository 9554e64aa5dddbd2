"""Synthetic images with their targets: what a GAN makes when it is asked for what the training images have.

Image number i depends on the GAN, i, and the training targets alone. Streams of seeds are kept apart: those of one draw
for all epochs, those that are redrawn, and those drawn wide.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastgan.inference import open_generator
from fastgan.inference.conditions import Conditions
from fastgan.seeds import latents
from fastgan.study.labelled import Labelled
from fastgan.study.task import Task

STATIC, REDRAWN, WIDE = 0, 1 << 32, 2 << 32
"""First seeds of the streams."""
WIDENING = 1.2
"""How far out `WIDE` latents lie: z times it, or, of a model with truncation, styles that far from the mean one."""

Make = Callable[[Tensor, int], Tensor]
"""targets [n], first seed -> images uint8 [n, H, W, C]: a GAN, or what stands for one in a test"""


def opened(task: Task, run: Path, device: str = "auto") -> Make:
    """The averaged generator of `run`."""
    model = open_generator(run, device=device, batch=64)

    def make(targets: Tensor, seed: int) -> Tensor:
        wanted = Conditions(
            labels=None if task.multi else targets.numpy(),
            attributes=targets.numpy() if task.multi else None,
        )
        z = latents(range(seed, seed + len(targets)), model.z_dim)
        psi = 1.0
        if seed >= WIDE:
            z, psi = (z, WIDENING) if model.has_truncation else (z * np.float32(WIDENING), 1.0)
        return torch.from_numpy(model.generate(z, wanted.encode(0 if task.multi else task.outputs), psi))

    return make


def like(targets: Tensor, count: int) -> Tensor:
    """`count` targets in the proportions of the training images', the same ones in the same order for every count.

    The training targets themselves, again and again, each round in another order.
    """
    rounds = [
        targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(50_000 + k))]
        for k in range(-(-count // len(targets)))
    ]
    return torch.cat(rounds)[:count]


def filling(task: Task, targets: Tensor) -> Tensor:
    """Targets that bring every class to the number of the largest."""
    counts = task.counts(targets)
    return torch.cat([torch.full((max(counts) - n,), k) for k, n in enumerate(counts)])


def draw(make: Make, targets: Tensor, seed: int) -> Labelled:
    """Images of `targets`, from `seed` on."""
    return Labelled(make(targets, seed), targets)
