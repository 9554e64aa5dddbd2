"""Penalties on the discriminator's gradient with respect to its input.

Each is differentiated twice: `needs_double_backward` on the function tells the trainer. The gradient is taken
in whatever precision the discriminator runs in (autocast included); the inputs are float32, so the gradient
arrives in float32, and norms and means are computed in float32. Both need a discriminator whose output for one
image does not depend on the other images of the batch, as batch norm's does.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fastgan import ops

Discriminator = Callable[[Tensor], Tensor]
"""Images [N, C, H, W] -> logits [N]."""


def _input_gradient(discriminator: Discriminator, images: Tensor) -> Tensor:
    """Gradient of each sample's logit with respect to its own image, itself differentiable: [N, C, H, W]."""
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = discriminator(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient


def r1(discriminator: Discriminator, real: Tensor) -> Tensor:
    """E[|grad D(real)|^2] (Mescheder et al. 2018, eq. 9, without its gamma / 2).

    real: [N, C, H, W], float32 or wider -> scalar >= 0 of that dtype.
    """
    return ops.gradient_penalty(_input_gradient(discriminator, real), center=0.0)


def wgan_gp(discriminator: Discriminator, real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """E[(|grad D(x)| - 1)^2] at x = real + t (fake - real) (Gulrajani et al. 2017, eq. 3, without its lambda).

    real, fake: [N, C, H, W], float32 or wider; t: [N], uniform in [0, 1] -> scalar >= 0 of that dtype.
    """
    x = ops.interpolate(real.detach(), fake.detach(), t)
    return ops.gradient_penalty(_input_gradient(discriminator, x), center=1.0)


r1.needs_double_backward = True  # type: ignore[attr-defined]
wgan_gp.needs_double_backward = True  # type: ignore[attr-defined]

PENALTIES: dict[str, Callable[..., Tensor] | None] = {"none": None, "gp": wgan_gp, "r1": r1}
"""What `[loss] penalty` may name. `gp` takes (discriminator, real, fake, t), `r1` (discriminator, real)."""
