"""The Wasserstein loss (Arjovsky et al. 2017, eq. 2-3): the difference of the critic's means, no logarithms.

It needs a critic that is about 1-Lipschitz: use it with the penalty `gp` (Gulrajani et al. 2017), with spectral
normalisation, or as first published, with `clip_weights` after each of the critic's steps.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

GENERATOR_NEEDS_REAL = False


def generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """-E[D(fake)]. fake_logits: [N], float32 or wider -> scalar, same dtype."""
    return -fake_logits.mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[D(fake)] - E[D(real)]. Both: [N], float32 or wider -> scalar, same dtype."""
    return fake_logits.mean() - real_logits.mean()


def realness(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How far the real logits [N] lie above the fakes' mean: a critic has no zero."""
    return real_logits - fake_logits.mean()


@torch.no_grad()
def clip_weights(parameters: Iterable[Tensor], limit: float = 0.01) -> None:
    """Clamp every entry of the critic's `parameters` to [-limit, limit] in place (algorithm 1, line 7)."""
    tensors = list(parameters)
    torch._foreach_clamp_min_(tensors, -limit)
    torch._foreach_clamp_max_(tensors, limit)
