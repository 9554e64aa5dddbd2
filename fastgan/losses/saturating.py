"""The minimax loss of the first GAN (Goodfellow et al. 2014, eq. 1): both players share one value function.

The generator's gradient vanishes where the discriminator is sure of its fakes; `nonsaturating` is the same game
with a generator that learns there too.
"""

import torch.nn.functional as F
from torch import Tensor

from fastgan.losses.nonsaturating import GENERATOR_NEEDS_REAL, discriminator, realness

__all__ = ["GENERATOR_NEEDS_REAL", "discriminator", "generator", "realness"]


def generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """E[log(1 - sigmoid(D(fake)))]. fake_logits: [N], float32 or wider -> scalar <= 0, same dtype."""
    return -F.softplus(fake_logits).mean()
