"""The hinge loss (Lim & Ye 2017, eq. 5-6; Miyato et al. 2018, eq. 16-17): logits beyond the margin teach nothing more.

At its best with spectral normalisation.
"""

import torch.nn.functional as F
from torch import Tensor

GENERATOR_NEEDS_REAL = False


def generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """-E[D(fake)]. fake_logits: [N], float32 or wider -> scalar, same dtype."""
    return -fake_logits.mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))]. Both: [N], float32 or wider -> scalar >= 0."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def realness(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The real logits [N]: the two margins meet at 0."""
    return real_logits
