"""The auxiliary classifier's loss (Odena et al. 2017, AC-GAN, eq. 3): how well the condition can be told from an image.

The paper maximises L_C = E[log P(C = c | X_real)] + E[log P(C = c | X_fake)] in the discriminator and its second part
in the generator; this is -log P for one of the two, with attributes beside its classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def auxiliary(guesses: Tensor, c: Tensor, classes: int, binary: Tensor) -> Tensor:
    """Cross entropy of the classes, plus the mean over attributes: cross entropy where `binary`, else (v - guess)^2.

    guesses: [N, classes + A], what `ConditionalDiscriminator.guess` gives; c: [N, classes + 2 A], see
    `fastgan.nn.conditions.encode`; binary: bool [A], whether an attribute is 0 or 1 in all images. An unknown attribute
    counts as no loss, not as one fewer to divide by, so that the loss of a batch is the mean of those of its parts.
    Returns a scalar >= 0 in the dtype of `guesses`, float32 or wider.
    """
    attributes = len(binary)
    total = guesses.new_zeros(())
    if classes:
        total = total + F.cross_entropy(guesses[:, :classes], c[:, :classes].to(guesses.dtype))
    if attributes:
        values, known = c[:, classes:].to(guesses.dtype).chunk(2, dim=1)
        numbers = guesses[:, classes:]
        entropy = F.binary_cross_entropy_with_logits(numbers, values, reduction="none")
        error = torch.where(binary, entropy, (values - numbers).square())
        total = total + (known * error).mean()
    return total
