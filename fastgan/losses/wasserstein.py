"""The Wasserstein loss (Arjovsky et al. 2017, eq. 2-3): the difference of the critic's means, no logarithms.

It needs a critic that is about 1-Lipschitz: use it with the penalty `gp` (Gulrajani et al. 2017).
"""

from torch import Tensor


def generator(fake_logits: Tensor) -> Tensor:
    """-E[D(fake)]. fake_logits: [N], float32 or wider -> scalar, same dtype."""
    return -fake_logits.mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[D(fake)] - E[D(real)]. Both: [N], float32 or wider -> scalar, same dtype."""
    return fake_logits.mean() - real_logits.mean()
