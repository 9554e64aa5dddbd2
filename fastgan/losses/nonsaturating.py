"""The non-saturating logistic loss (Goodfellow et al. 2014, section 3): binary cross-entropy with logits."""

import torch.nn.functional as F
from torch import Tensor

GENERATOR_NEEDS_REAL = False


def generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """-E[log sigmoid(D(fake))]. fake_logits: [N], float32 or wider -> scalar >= 0, same dtype."""
    return F.softplus(-fake_logits).mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E[log sigmoid(D(real))] - E[log(1 - sigmoid(D(fake)))]. Both: [N], float32 or wider -> scalar >= 0."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def realness(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The real logits [N]: sigmoid's half lies at 0."""
    return real_logits
