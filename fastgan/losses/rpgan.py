"""The relativistic pairing loss (Jolicoeur-Martineau 2019, section 4.1; Huang et al. 2024, R3GAN, eq. 2).

Each fake is judged against one real image: only the difference of their logits counts, so the generator cannot win
by a few modes that score high. R3GAN adds the penalty `r1+r2`.
"""

import torch.nn.functional as F
from torch import Tensor

GENERATOR_NEEDS_REAL = True


def generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """E[softplus(D(real_i) - D(fake_i))]. Both: [N], float32 or wider -> scalar >= 0, same dtype."""
    if real_logits is None:
        raise ValueError("rpgan: the generator's loss needs real_logits, one for each fake.")
    return F.softplus(real_logits - fake_logits).mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[softplus(D(fake_i) - D(real_i))]. Both: [N], float32 or wider -> scalar >= 0, same dtype."""
    return F.softplus(fake_logits - real_logits).mean()


def realness(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How much more real the real image of each pair looks [N]: the logits alone have no zero."""
    return real_logits - fake_logits
