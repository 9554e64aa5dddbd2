"""The non-saturating logistic loss (Goodfellow et al. 2014, section 3): binary cross-entropy with logits."""

import torch.nn.functional as F
from torch import Tensor


def generator(fake_logits: Tensor) -> Tensor:
    """-E[log sigmoid(D(fake))]. fake_logits: [N], float32 or wider -> scalar >= 0, same dtype."""
    return F.softplus(-fake_logits).mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E[log sigmoid(D(real))] - E[log(1 - sigmoid(D(fake)))]. Both: [N], float32 or wider -> scalar >= 0."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
