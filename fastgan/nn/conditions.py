"""Classes and attributes: one vector c of what an image should show, and the layers that take it.

The generator reads an embedding of c beside its latent; the discriminator judges images by c as in Miyato & Koyama
2018 ("cGANs with projection discriminator"), or has a head that tells c from the image, as in Odena et al. 2017
("Conditional image synthesis with auxiliary classifier GANs").
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan.nn.equalized import EqualizedLinear
from fastgan.nn.precision import at_least_float32, full_precision

CONDITIONINGS = ("projection", "auxiliary")
"""How a discriminator may use c."""


def encode(labels: Tensor | None, attributes: Tensor | None, classes: int) -> Tensor:
    """c float32 [N, classes + 2 A]: one-hot label, attribute values (0: unknown), 1 where the attribute is known.

    labels: int64 [N] below `classes`, or None where there are no classes; attributes: float32 [N, A], NaN where
    unknown, or None. Raises ValueError where both are missing or `labels` and `classes` do not go together.
    """
    if (labels is None) != (classes == 0) or (labels is None and attributes is None):
        raise ValueError("a condition has labels where there are classes, attributes, or both.")
    parts = []
    if labels is not None:
        parts.append(F.one_hot(labels, classes).float())  # waits for nothing on a GPU
    if attributes is not None:
        known = ~attributes.isnan()
        parts += [attributes.where(known, torch.zeros_like(attributes)), known.float()]
    return torch.cat(parts, dim=1)


def check(c: Tensor | None, condition_dim: int) -> None:
    """ValueError unless `c` is what a network of this `condition_dim` takes: nothing where that is 0."""
    if c is None:
        if condition_dim:
            raise ValueError(f"this network is conditional: it needs c [N, {condition_dim}].")
    elif c.ndim != 2 or c.shape[1] != condition_dim or not condition_dim:
        wanted = f"[N, {condition_dim}]" if condition_dim else "none, for this network is unconditional"
        raise ValueError(f"c is {list(c.shape)}; it must be {wanted}.")


class Condition(nn.Module):
    """z [N, z_dim] and c [N, condition_dim] -> [N, 2 z_dim]: z, and beside it c embedded.

    Each entry of c starts as a vector of length `norm`: 1 is that of the one-hot class that Mirza & Osindero 2014 put
    beside z, which is sqrt(z_dim) long. Where images are made of z directly, an embedding as long as z drowns it: the
    few directions of the classes are the first to be learnt, and all images of a class look the same. A mapping network
    learns slowly, and needs it that long. Where nothing is known, c and its embedding are zero.
    """

    def __init__(self, condition_dim: int, z_dim: int, norm: float = 1.0) -> None:
        super().__init__()
        self.embed = nn.Linear(condition_dim, z_dim, bias=False)
        nn.init.normal_(self.embed.weight, 0.0, norm / math.sqrt(z_dim))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Float32 or wider, whatever autocast says."""
        z = at_least_float32(z)
        with full_precision(z):
            return torch.cat([z, self.embed(c.to(z.dtype))], dim=1)


class ConditionalDiscriminator(nn.Module):
    """How discriminators end: features phi [N, F] of the images, and what is made of them and c.

    A subclass has `features` (images -> phi, float32 or wider) and the last layer `logit` (phi -> [N, 1]).
    """

    logit: nn.Module
    judges_alone = False
    """Whether real and fake images may be judged as one batch, none of which depends on another."""

    def __init__(self, classes: int, attributes: int) -> None:
        super().__init__()
        self.classes, self.attributes = classes, attributes
        self.condition_dim = classes + 2 * attributes
        self.projection: nn.Module | None = None
        self.auxiliary: nn.Module | None = None

    def add_conditions(self, conditioning: str, features: int, *, equalized: bool = False) -> None:
        """The layers that conditions need, after all others, whose first values stay as they are without."""
        if self.condition_dim == 0:
            return
        if conditioning == "projection":
            # The projection starts about as large as psi, whose weights have variance 1 / F, or smaller.
            gain = 1 / math.sqrt(features)
            if equalized:
                self.projection = EqualizedLinear(self.condition_dim, features, gain=gain, bias=False)
            else:
                self.projection = nn.Linear(self.condition_dim, features, bias=False)
                nn.init.normal_(self.projection.weight, 0.0, gain / math.sqrt(self.condition_dim))
        else:
            linear: Callable[..., nn.Module] = EqualizedLinear if equalized else nn.Linear
            self.auxiliary = linear(features, self.classes + self.attributes)

    def judge(self, phi: Tensor, c: Tensor | None) -> Tensor:
        """Logits [N]: psi(phi) + <V c, phi> (Miyato & Koyama 2018, eq. 3), or psi(phi) alone without projection."""
        check(c, self.condition_dim)
        with full_precision(phi):  # a few dot products an image, and losses compare their last digits
            logits: Tensor = self.logit(phi).squeeze(1)
            if self.projection is not None and c is not None:
                logits = logits + (self.projection(c.to(phi.dtype)) * phi).sum(1)
        return logits

    def own_error(self, phi: Tensor, images: Tensor) -> Tensor | None:
        """A scalar to minimise beside the loss on real `images`, of which `phi` was made; None: nothing of its own."""
        return None

    def guess(self, phi: Tensor) -> Tensor:
        """What the images show [N, classes + attributes]: logits of the classes, then one number an attribute."""
        if self.auxiliary is None:
            raise ValueError('only a discriminator of conditioning "auxiliary" guesses.')
        with full_precision(phi):
            guesses: Tensor = self.auxiliary(phi)
        return guesses
