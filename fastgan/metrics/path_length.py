"""Perceptual path length: how far the image moves as its latent moves a little (Karras et al. 2019, section 4.1).

    l_Z = E[ d(G(slerp(z1, z2; t)), G(slerp(z1, z2; t + eps))) / eps^2 ]          (eq. 4)
    l_W = E[ d(g(lerp(w1, w2; t)), g(lerp(w1, w2; t + eps))) / eps^2 ]            (eq. 5)

t is uniform in [0, 1] (full) or 0 (end). Images are not cropped, no outlier is left out, and pixels are not rounded to
bytes, which would be all there is to see at this eps.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fastgan.metrics.checks import check_finite

EPSILON = 1e-4
Render = Callable[[Tensor], Tensor]
"""Latents [N, ...] -> images, float [N, H, W, C] in 0..255, not rounded"""
Distance = Callable[[Tensor, Tensor], Tensor]
"""Two sets of images -> their distances [N]"""


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Along the great circle from a / |a| to b / |b|, both [N, D]; t [N]. On the unit sphere (Shoemake 1985)."""
    a, b = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
    cosine = (a * b).sum(-1, keepdim=True).clamp(-1, 1)
    across = b - cosine * a
    across = across / across.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    angle = t[:, None] * cosine.acos()
    return angle.cos() * a + angle.sin() * across


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """a + t (b - a), of [N, ...]; t [N]."""
    return a + t.reshape(-1, *[1] * (a.ndim - 1)) * (b - a)


def path_lengths(
    a: Tensor,
    b: Tensor,
    t: Tensor,
    render: Render,
    distance: Distance,
    between: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Squared lengths a unit of t, float64 [N], from latents a to b [N, ...] at t [N]; `between`: slerp or lerp.

    Raises MetricError where one is NaN or infinite.
    """
    a, b, t = a.double(), b.double(), t.double()
    here, there = (render(between(a, b, at).float()) for at in (t, t + EPSILON))
    lengths = distance(here, there).double() / EPSILON**2
    check_finite(lengths[:, None].cpu(), "generated")
    return lengths


def positions(start: int, n: int) -> Tensor:
    """t of pairs start ... start + n - 1: float64 [n], each of its number alone."""
    return torch.stack(
        [
            torch.rand((), generator=torch.Generator().manual_seed(index), dtype=torch.float64)
            for index in range(start, start + n)
        ]
    )
