"""Penalties on a network's gradient with respect to its input: the discriminator's, and path length on the generator's.

Each is differentiated twice. The gradient is taken in whatever precision the network runs in (autocast included);
the inputs are float32, so the gradient arrives in float32, and norms and means are computed in float32. The
discriminator's penalties need one whose output for one image does not depend on the other images of the batch, as
batch norm's does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastgan import draws, ops

Discriminator = Callable[[Tensor], Tensor]
"""Images [N, C, H, W] -> logits [N]. Augmentation may be part of it: then the gradient goes through it."""
Synthesis = Callable[[Tensor], Tensor]
"""w [N, w_dim] or [N, layers, w_dim] -> images [N, C, H, W], each of which depends on its own w alone."""


def _input_gradient(discriminator: Discriminator, images: Tensor) -> Tensor:
    """Gradient of each sample's logit with respect to its own image, itself differentiable: [N, C, H, W]."""
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = discriminator(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient


def r1(discriminator: Discriminator, real: Tensor, fake: Tensor | None = None) -> Tensor:
    """E[|grad D(real)|^2] (Mescheder et al. 2018, eq. 9, without its gamma / 2).

    real: [N, C, H, W], float32 or wider -> scalar >= 0 of that dtype.
    """
    return ops.gradient_penalty(_input_gradient(discriminator, real), center=0.0)


def r2(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """E[|grad D(fake)|^2] (Mescheder et al. 2018, eq. 10, without its gamma / 2). `real` has no part in it.

    fake: [N, C, H, W], float32 or wider -> scalar >= 0 of that dtype.
    """
    return ops.gradient_penalty(_input_gradient(discriminator, fake), center=0.0)


def r1_r2(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """R1 + R2 (Huang et al. 2024, R3GAN, section 2.2, without its gamma / 2).

    real, fake: [N, C, H, W], float32 or wider -> scalar >= 0 of that dtype. Two passes, so that layers that look
    at the whole batch never see real and fake images at once.
    """
    return r1(discriminator, real) + r2(discriminator, real, fake)


def wgan_gp(discriminator: Discriminator, real: Tensor, fake: Tensor, t: Tensor | None = None) -> Tensor:
    """E[(|grad D(x)| - 1)^2] at x = real + t (fake - real) (Gulrajani et al. 2017, eq. 3, without its lambda).

    real, fake: [N, C, H, W], float32 or wider; t: [N], uniform in [0, 1], drawn here if None -> scalar >= 0 of
    the images' dtype.
    """
    t = draws.uniform(len(real), device=real.device) if t is None else t
    x = ops.interpolate(real.detach(), fake.detach(), t)
    return ops.gradient_penalty(_input_gradient(discriminator, x), center=1.0)


@dataclass(frozen=True)
class GradientPenalty:
    """One of the discriminator's penalties, and how papers weigh it."""

    function: Callable[..., Tensor]
    """(discriminator, real, fake) -> scalar."""
    share: float
    """The paper's term is weight * share * function: lambda * GP, but gamma / 2 * R1."""

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, *drawn: Tensor) -> Tensor:
        """Its value without any weight."""
        return self.function(discriminator, real, fake, *drawn)


PENALTIES = {
    "none": None,
    "gp": GradientPenalty(wgan_gp, 1.0),
    "r1": GradientPenalty(r1, 0.5),
    "r2": GradientPenalty(r2, 0.5),
    "r1+r2": GradientPenalty(r1_r2, 0.5),
}
"""What `[loss] penalty` may name."""


class PathLength(nn.Module):
    """Path length regularisation of a generator (Karras et al. 2020, StyleGAN2, eq. 4), with its running target.

    E[(|J_w^T y| - a)^2], y an image of standard normal pixels and a the running mean of the norm, the buffer
    `mean`: it is state, and a checkpoint that leaves it out does not resume exactly. a is that of the batches before,
    so that the penalty of a batch is the mean of those of its parts.
    """

    mean: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, synthesis: Synthesis, w: Tensor) -> Tensor:
        """One value of the penalty; then moves `mean`. Its gradient reaches w and the synthesis network.

        w: [N, w_dim], or [N, layers, w_dim], where the norm is the root mean square over layers; float32 or wider
        -> scalar >= 0 of that dtype. With `mean` on w's device nothing is read back from it.
        """
        w = w if w.requires_grad else w.detach().requires_grad_()
        with torch.enable_grad():
            images = synthesis(w)
            projection = (images * draws.normal_like(images)).sum()
            (gradient,) = torch.autograd.grad(projection, w, create_graph=True)
        layers = math.prod(w.shape[1:-1])
        lengths = torch.linalg.vector_norm(gradient.flatten(1), dim=1) / math.sqrt(layers)  # [N]
        with torch.no_grad():
            target = self.mean.to(lengths.dtype, copy=True)  # the buffer moves under this graph
            self.mean.lerp_(lengths.mean().to(self.mean.dtype), 1 - self.decay)
        return (lengths - target).square().mean()


def path_length_weight(resolution: int) -> float:
    """The weight that scales with the image: ln 2 / (r^2 (ln r - ln 2)) (Karras et al. 2020, appendix B); r > 2."""
    return math.log(2) / (resolution**2 * (math.log(resolution) - math.log(2)))
