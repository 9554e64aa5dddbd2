"""The model for minutes on a CPU: a lean DCGAN generator, and a discriminator that sees fine detail as well as shapes.

Two things keep DCGAN's pictures poor in short runs: its transposed convolutions write four phases that know nothing of
each other, and what its discriminator learns first is what is large. Here maps are doubled by nearest neighbours, with
noise that textures are made of, and the discriminator's layers see, beside the maps of the layer before, the level of
the image's Laplacian pyramid (Burt & Adelson 1983) of their size. The power of images falls with frequency, and what
has little power is learnt late: the finest level is amplified most, so that all weigh alike. (SWAGAN, Gal et al. 2021,
judges wavelets for that reason.) The discriminator has no norm, so that it judges each image alone and R1 keeps it in
check.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import ops
from fastgan.models import _checks, _noise
from fastgan.models._config import ModelConfig
from fastgan.nn import Condition, ConditionalDiscriminator, Conv2d, at_least_float32, check, compute_dtype

SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Size and shape of a swift."""

    width: int = 16
    """Channels at the images' resolution; twice as many at half of it, in both networks."""
    widest: int = 256
    """Channels of the smallest maps at most."""
    detail: float = 8.0
    """What the discriminator's view of the finest detail is multiplied by, that of the next level by half of it, and so
    on down to 1; below 1: it sees the image alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.integer("width", self.width, 1, 1024)
        _checks.integer("widest", self.widest, 1, 4096)
        _checks.number("detail", self.detail, 0.0, 1000.0)

    @property
    def channels(self) -> list[int]:
        """Channels of the maps from 4x4 pixels to the images' resolution."""
        doublings = self.resolution.bit_length() - 3
        return [min(self.width << k, max(self.widest, self.width)) for k in reversed(range(doublings + 1))]


class _Up(nn.Module):
    """Convolution, of an input doubled in size where `up`, batch norm, noise, ReLU: [N, in, H, W] -> [N, out, ...].

    Doubled by nearest neighbours, so that a texture is no lattice of four phases. Both steps together are a transposed
    convolution of 4x4, each weight the sum of those that meet the same pixel, at less than half the arithmetic.
    """

    def __init__(self, in_channels: int, out_channels: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, 3, 3))
        self.strength = nn.Parameter(torch.zeros(out_channels)) if up else None
        self.norm = nn.BatchNorm2d(out_channels)
        self.folded: nn.Module | None = None
        nn.init.normal_(self.weight, 0.0, (9 * in_channels / 2) ** -0.5)

    def kernel(self) -> Tensor:
        """Of the transposed convolution, [in, out, 4, 4], or [in, out, 3, 3] of one that doubles nothing."""
        if not self.up:
            return self.weight
        w = F.pad(self.weight, (1, 1, 1, 1))
        return w[..., 1:, 1:] + w[..., 1:, :-1] + w[..., :-1, 1:] + w[..., :-1, :-1]

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """noise: [N or 1, 1, 2 H, 2 W], where it doubles."""
        if self.folded is None:
            x = self.norm(F.conv_transpose2d(x, self.kernel(), stride=2 if self.up else 1, padding=1))
        else:
            x = self.folded(x)
        if self.strength is not None and noise is not None:
            x = x + self.strength.to(x.dtype)[:, None, None] * noise
        return F.relu_(x)  # in place: batch norm's backward needs only its input

    def bake_(self) -> None:
        """Fold batch norm, which is affine in eval mode, into one transposed convolution."""
        kernel, norm = self.kernel(), self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        inputs, outputs, size, _ = kernel.shape
        conv = nn.ConvTranspose2d(inputs, outputs, size, 2 if self.up else 1, 1)
        conv.weight = nn.Parameter(kernel * scale[:, None, None], requires_grad=False)
        conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale, requires_grad=False)
        self.folded = conv
        del self.weight, self.norm


class Generator(nn.Module):
    """z [N, z_dim], c [N, condition_dim] -> images [N, img_channels, R, R] in [-1, 1], float32 or wider.

    `truncation_psi` is accepted so that every generator can be called alike; this one has no truncation.
    """

    has_truncation = False
    grows = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.condition_dim = config.z_dim, config.condition_dim
        conditional, channels = config.condition_dim > 0, config.channels
        self.noise_shapes = [(1, 1, 8 << k, 8 << k) for k in range(len(channels) - 1)]
        self.project = nn.Linear(config.z_dim * (1 + conditional), 16 * channels[0])
        self.norm = nn.BatchNorm2d(channels[0])
        self.blocks = nn.ModuleList(_Up(i, o, up=True) for i, o in pairwise(channels))
        self.last = _Up(channels[-1], channels[-1], up=False)
        self.to_image = Conv2d(channels[-1], config.img_channels, 3, padding=1)
        _noise.add_constants(self, self.noise_shapes)
        self.condition = Condition(config.condition_dim, config.z_dim) if conditional else None
        nn.init.normal_(self.to_image.weight, 0.0, 0.04)
        nn.init.zeros_(self.to_image.bias)  # type: ignore[arg-type]

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float | Tensor = 1.0,
        noise: list[Tensor] | None = None,
    ) -> Tensor:
        """Generate one image for each row of `z`, as the row of `c` asks.

        noise: one [N or 1, 1, h, w] a block, shapes as in `noise_shapes`; None draws fresh noise in train mode and
        takes the buffers `noise_const_<k>` in eval mode.
        """
        check(c, self.condition_dim)
        if self.condition is not None:
            z = self.condition(z, c)
        if noise is None:
            noise = _noise.planes(self, self.noise_shapes, z, compute_dtype(z))
        x = self.project(z).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)  # [N, C, 4, 4], channels_last
        x = F.relu_(self.norm(x))
        for block, plane in zip(self.blocks, noise, strict=True):
            x = block(x, plane)
        return torch.tanh(at_least_float32(self.to_image(self.last(x))))


class _Layer(nn.Module):
    """Convolution, bias, leaky ReLU, of maps that are blurred and halved first where `down`."""

    def __init__(self, in_channels: int, out_channels: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_normal_(self.conv.weight, SLOPE)

    def forward(self, x: Tensor, fine: Tensor | None = None) -> Tensor:
        """fine: [N, C, h, w], what is seen beside the maps, as large as the result."""
        x = ops.downsample2x(x) if self.down else x
        if fine is not None:
            x = torch.cat([x, fine.to(x.dtype)], 1)
        return ops.bias_act(self.conv(x), self.bias, SLOPE)


class Discriminator(ConditionalDiscriminator):
    """images [N, img_channels, R, R], c -> logits [N], float32 or wider."""

    judges_alone = True

    def __init__(self, config: Config) -> None:
        super().__init__(config.classes, config.attributes)
        self.config = config
        channels = config.channels[::-1]
        gains = [config.detail / 2**k for k in range(len(channels) - 1)]
        self.gains = [gain for gain in gains if gain >= 1]
        """Of the levels of the pyramid, from the finest"""
        before = [config.img_channels, *channels]
        self.blocks = nn.ModuleList(
            _Layer(before[k] + config.img_channels * (k < len(self.gains)), channels[k], down=k > 0)
            for k in range(len(channels))
        )
        self.logit = nn.Linear(16 * channels[-1], 1)
        nn.init.normal_(self.logit.weight, 0.0, (16 * channels[-1]) ** -0.5)
        nn.init.zeros_(self.logit.bias)
        self.add_conditions(config.conditioning, 16 * channels[-1])

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, phi [N, 16 C]."""
        x = image = images
        for k, block in enumerate(self.blocks):
            if k < len(self.gains):
                half = ops.downsample2x(image)
                x = block(x, self.gains[k] * (image - ops.upsample2x(half)))
                image = half
            else:
                x = block(x)
        return at_least_float32(x.permute(0, 2, 3, 1).flatten(1))  # no copy if channels_last

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Score each image: the larger, the more it looks real, and like `c`."""
        return self.judge(self.features(images), c)
