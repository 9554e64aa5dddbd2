"""The least-squares loss (Mao et al. 2017, eq. 2) with labels 0 for fake and 1 for real (eq. 9: a = 0, b = c = 1).

The discriminator's output is compared with the labels as it is, without a sigmoid.
"""

from torch import Tensor

GENERATOR_NEEDS_REAL = False


def generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """E[(D(fake) - 1)^2] / 2. fake_logits: [N], float32 or wider -> scalar >= 0, same dtype."""
    return (fake_logits - 1).square().mean() / 2


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[(D(real) - 1)^2] / 2 + E[D(fake)^2] / 2. Both: [N], float32 or wider -> scalar >= 0."""
    return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2


def realness(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How far the real logits [N] lie beyond the middle of the two labels."""
    return real_logits - 0.5
