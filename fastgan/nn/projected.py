"""The projected discriminator (Sauer et al. 2021, "Projected GANs converge faster"): it judges pretrained features.

A frozen network sees the image at four scales. Random 1x1 convolutions mix the channels of each (CCM, section 3.2), and
random 3x3 convolutions, from the coarsest scale up, mix the scales (CSM), so that no feature is easier to exploit than
another. Both stay as they were drawn. A small discriminator for each scale judges what comes out, patch by patch.
"""

import math
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import ops
from fastgan.nn.conditions import ConditionalDiscriminator, check
from fastgan.nn.conv import Conv2d, conv2d
from fastgan.nn.precision import at_least_float32, full_precision
from fastgan.nn.spectral import spectral_norm

SLOPE = 0.2
PATCHES = 4  # on each axis


class Features(Protocol):
    """A frozen network. It is no module: nothing of it is trained, averaged or saved."""

    name: str
    sha256: str
    """Of its weights: they are in no checkpoint, and with others it would be another game."""
    channels: tuple[int, ...]
    """Channels of its maps, from fine to coarse, each half as wide and high as the one before."""
    reductions: tuple[int, ...]
    """How many times smaller than the input each of them is."""

    def __call__(self, images: Tensor) -> list[Tensor]:
        """[N, 3, S, S] in [-1, 1] -> its maps [N, C, s, s], in the autocast dtype."""


class _Head(nn.Module):
    """The discriminator of one scale: [N, C, s, s] -> features [N, 16, F] of 4x4 patches, and their logits.

    Strided 4x4 convolutions lead to 4x4; maps that are as small take a 3x3 convolution. Of smaller ones each value
    counts for several patches, so that all scales weigh the same.
    """

    def __init__(self, channels: int, size: int, features: int, condition_dim: int) -> None:
        super().__init__()
        halvings = max(round(math.log2(size / PATCHES)), 0)
        widths = [max(features >> k, 1) for k in range(halvings)][::-1] or [features]
        self.convs, self.biases = nn.ModuleList(), nn.ParameterList()
        for width in widths:
            kernel, stride = (4, 2) if halvings else (3, 1)
            self.convs.append(Conv2d(channels, width, kernel, stride, padding=1, bias=False))
            self.biases.append(nn.Parameter(torch.zeros(width)))
            channels = width
        self.logit = nn.Linear(features, 1)
        nn.init.zeros_(self.logit.bias)
        self.projection = nn.Linear(condition_dim, features, bias=False) if condition_dim else None
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, 0.0, 1 / math.sqrt(features * condition_dim))

    def forward(self, x: Tensor) -> Tensor:
        """What the last layer sees, float32 or wider."""
        for conv, bias in zip(self.convs, self.biases, strict=True):
            x = ops.bias_act(conv(x), bias, SLOPE)
        if x.shape[-1] < PATCHES:
            x = F.interpolate(x, size=(PATCHES, PATCHES), mode="nearest")
        return at_least_float32(x).flatten(2).transpose(1, 2)

    def judge(self, phi: Tensor, c: Tensor | None) -> Tensor:
        """Logits [N, 16] of `phi` [N, 16, F]: psi(phi) + <V c, phi> (Miyato & Koyama 2018, eq. 3) of each patch."""
        logits: Tensor = self.logit(phi).squeeze(-1)
        if self.projection is not None and c is not None:
            logits = logits + (self.projection(c.to(phi.dtype)).unsqueeze(1) * phi).sum(-1)
        return logits


class ProjectedDiscriminator(ConditionalDiscriminator):
    """images [N, 1 to 4, R, R], c -> logits [N, 64], float32 or wider: of 16 patches at each of four scales.

    Every image is judged alone, with spectral normalisation in all layers that are trained and batch norm in none. The
    images are resized to `size` first. Of images with alpha, the network sees two: over black and over white, from
    which colour and alpha follow. For conditions of the kind "auxiliary" there is one classifier of all that it sees.
    """

    judges_alone = True
    network: Features

    def __init__(
        self,
        network: Features,
        *,
        img_channels: int,
        size: int,
        width: int,
        classes: int = 0,
        attributes: int = 0,
        conditioning: str = "projection",
    ) -> None:
        """size: a multiple of the coarsest reduction. width: channels of the finest mixed map; patches have 4 width."""
        super().__init__(classes, attributes)
        self.network, self.size = network, size
        self.views = 2 if img_channels in (2, 4) else 1
        scales = len(network.channels)
        mixed = [width << max(k - 1, 0) for k in range(scales)]  # [w, w, 2 w, 4 w]
        below = [mixed[max(k - 1, 0)] for k in range(scales)]  # what the next finer scale adds to its own
        self.ccm = nn.ParameterList(
            _random(m, self.views * c, 1) for m, c in zip(mixed, network.channels, strict=True)
        )
        self.csm = nn.ParameterList(_random(b, m, 3) for b, m in zip(below, mixed, strict=True))
        projects = self.condition_dim if conditioning == "projection" else 0
        self.heads = nn.ModuleList(
            _Head(b, size // r, 4 * width, projects) for b, r in zip(below, network.reductions, strict=True)
        )
        if self.condition_dim and not projects:
            self.auxiliary = nn.Linear(4 * width * scales, classes + attributes)
        spectral_norm(self.heads)

    def features(
        self, images: Tensor, *, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """What the last layers see, phi [N, 4, 16, F].

        resolution, alpha: of a generator that grows. Images of any resolution are resized to the same.
        """
        views = resize(_views(images), self.size)
        maps = [torch.cat(m.chunk(self.views), 1) if self.views > 1 else m for m in self.network(views)]
        phi: list[Tensor] = []
        mixed: Tensor | None = None
        for k, head in reversed(list(enumerate(self.heads))):
            x = conv2d(maps[k], self.ccm[k])
            mixed = conv2d(x if mixed is None else x + ops.upsample2x(mixed), self.csm[k], padding=1)
            phi.append(head(mixed))
        return torch.stack(phi[::-1], 1)

    def judge(self, phi: Tensor, c: Tensor | None) -> Tensor:
        """Logits [N, 64] of `phi` [N, 4, 16, F]."""
        check(c, self.condition_dim)
        heads: Any = self.heads
        with full_precision(phi):
            return torch.cat([head.judge(phi[:, k], c) for k, head in enumerate(heads)], 1)

    def guess(self, phi: Tensor) -> Tensor:
        """What the images show [N, classes + attributes]; see ConditionalDiscriminator."""
        return super().guess(phi.mean(2).flatten(1))

    def forward(
        self,
        images: Tensor,
        c: Tensor | None = None,
        *,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """Score the patches of each image: the larger, the more they look real, and like `c`."""
        return self.judge(self.features(images, resolution=resolution, alpha=alpha), c)


def input_size(resolution: int, multiple: int) -> int:
    """What images of `resolution` are resized to unless told: themselves, within 64 to 256, in multiples."""
    return max(min(max(resolution, 64), 256) // multiple, 1) * multiple


def resize(images: Tensor, size: int) -> Tensor:
    """[N, C, R, R] -> [N, C, size, size]: bilinear, antialiased where it shrinks, float32 or wider.

    As two matrix products: deterministic on every device, in the gradient too, and differentiable any number of times.
    """
    x = at_least_float32(images)
    if x.shape[-1] == size:
        return x
    with full_precision(x), torch.no_grad():
        identity = torch.eye(x.shape[-1], device=x.device)[None, None]
        across = F.interpolate(identity, (x.shape[-1], size), mode="bilinear", antialias=True)[0, 0].to(
            x.dtype
        )
    with full_precision(x):
        return across.t() @ (x @ across)


def _views(images: Tensor) -> Tensor:
    """[N, 1 to 4, R, R] -> [N, 3, R, R], or with alpha [2 N, 3, R, R]: all over black, then all over white."""
    channels = images.shape[1]
    colour = images[:, : 1 if channels < 3 else 3]
    if channels in (2, 4):
        alpha = (images[:, -1:] + 1) / 2  # [-1, 1] -> [0, 1]
        colour = torch.cat([alpha * (colour + 1) - 1, alpha * (colour - 1) + 1])
    return colour.expand(-1, 3, -1, -1) if colour.shape[1] == 1 else colour


def _random(out_channels: int, in_channels: int, kernel: int) -> nn.Parameter:
    """A convolution's weight that is drawn once: variance 1 / fan-in, so that it keeps the size of what it mixes."""
    weight = torch.randn(out_channels, in_channels, kernel, kernel) / math.sqrt(in_channels * kernel**2)
    return nn.Parameter(weight, requires_grad=False)
