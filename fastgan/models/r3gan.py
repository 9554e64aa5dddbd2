"""R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN!"): residual networks without normalisation.

Both networks are stages of residual blocks, 1x1 expansion, grouped 3x3, 1x1 projection (the paper's config E), with
one transition a change of resolution. No styles, no noise, no minibatch statistics: what keeps training stable is the
loss "rpgan" with the penalty "r1+r2". The paper's sizes are `resolution=32` (CIFAR-10: four stages of 768 channels)
and `resolution=256` (FFHQ-256: 4x4 to 32x32 with 768 channels, then 384, 192, 96), all else at its default.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastgan import ops
from fastgan.errors import ConfigError
from fastgan.models import _checks
from fastgan.models._config import ModelConfig
from fastgan.nn import (
    Condition,
    ConditionalDiscriminator,
    Conv2d,
    at_least_float32,
    check,
    compute_dtype,
    full_precision,
)

SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Size and shape of an R3GAN; the defaults are the paper's, at 64 px."""

    z_dim: int = 64
    """Length of the latent vector."""
    channel_multiplier: float = 1.0
    """Scales the paper's channels, min(768, 24576 / r) at r x r pixels; the result is a multiple of 8, at least 8."""
    blocks: int = 2
    """Residual blocks a resolution."""
    expansion: int = 2
    """How many times wider a block is inside than outside."""
    group_size: int = 16
    """Channels that a 3x3 convolution mixes; divides `expansion` times the channels of every resolution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.number("channel_multiplier", self.channel_multiplier, 0.0, 16.0, above=True)
        _checks.integer("blocks", self.blocks, 1, 64)
        _checks.integer("expansion", self.expansion, 1, 16)
        _checks.integer("group_size", self.group_size, 1, 65536)
        widths = [self.expansion * self.channels(size) for size in self.sizes]
        if any(width % self.group_size for width in widths):
            inside = ", ".join(str(width) for width in sorted(set(widths)))
            raise ConfigError(
                f"[model] group_size = {self.group_size} must divide the channels inside every block: {inside}."
            )

    def channels(self, size: int) -> int:
        """Channels of the feature maps of `size` x `size` pixels; multiples of 8 fill vector registers."""
        return max(8, 8 * round(self.channel_multiplier * min(768, 24576 // size) / 8))

    @property
    def sizes(self) -> list[int]:
        """The resolutions of the stages, from 4 to that of the images."""
        return [4 << k for k in range(self.resolution.bit_length() - 2)]


def _linear_(weight: Tensor) -> None:
    """Start a layer that no activation follows so that it keeps the variance."""
    nn.init.normal_(weight, 0.0, 1 / math.sqrt(weight[0].numel()))


class _Block(nn.Module):
    """x + 1x1(act(grouped 3x3(act(1x1(x))))): [N, C, H, W] -> [N, C, H, W], `depth` such blocks in the network.

    Initialised as in Zhang et al. 2019 ("Fixup", section 3): the last layer zero, so that the block starts as the
    identity, the other two He's times depth^(-1 / (2m - 2)) with m = 3 layers.
    """

    def __init__(self, config: Config, channels: int, depth: int) -> None:
        super().__init__()
        width = config.expansion * channels
        self.expand = Conv2d(channels, width, 1, bias=False)
        self.bias_1 = nn.Parameter(torch.zeros(width))
        self.mix = Conv2d(width, width, 3, padding=1, groups=width // config.group_size, bias=False)
        self.bias_2 = nn.Parameter(torch.zeros(width))
        self.project = Conv2d(width, channels, 1, bias=False)
        for layer in (self.expand, self.mix):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            layer.weight.data.mul_(depth**-0.25)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = ops.bias_act(self.expand(x), self.bias_1, SLOPE)
        h = ops.bias_act(self.mix(h), self.bias_2, SLOPE)
        return x + self.project(h)


class _Transition(nn.Module):
    """From one stage to the next: bilinear resampling, and a 1x1 convolution where the channels change.

    The two commute exactly, so the convolution runs on the smaller of the two planes. The resampling, too, runs on
    the narrower side, because larger planes never have more channels.
    """

    def __init__(self, in_channels: int, out_channels: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv = Conv2d(in_channels, out_channels, 1, bias=False) if in_channels != out_channels else None
        if self.conv is not None:
            _linear_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        if not self.up:
            x = ops.downsample2x(x)
        if self.conv is not None:
            x = self.conv(x)
        return ops.upsample2x(x) if self.up else x


class _Basis(nn.Module):
    """z [N, z_dim] -> [N, C, 4, 4]: learned planes, each scaled by a linear function of z."""

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.planes = nn.Parameter(torch.randn(1, channels, 4, 4))
        self.linear = nn.Linear(z_dim, channels, bias=False)
        _linear_(self.linear.weight)

    def forward(self, z: Tensor) -> Tensor:
        dtype, z = compute_dtype(z), at_least_float32(z)
        with full_precision(z):
            return (self.planes * self.linear(z).unflatten(1, (-1, 1, 1))).to(dtype)


class Generator(nn.Module):
    """z [N, z_dim], c [N, condition_dim] -> images [N, img_channels, R, R], about [-1, 1], float32 or wider.

    The last layer is linear, as in the paper: writers clamp. `noise` and `truncation_psi` are accepted so that every
    generator can be called alike; this one has neither.
    """

    has_truncation = False
    grows = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.condition_dim = config.z_dim, config.condition_dim
        self.noise_shapes: list[tuple[int, int, int, int]] = []
        channels = [config.channels(size) for size in config.sizes]
        depth = config.blocks * len(channels)
        conditional = config.condition_dim > 0
        self.basis = _Basis(config.z_dim * (1 + conditional), channels[0])
        self.stages = nn.Sequential()
        for k, c in enumerate(channels):
            if k > 0:
                self.stages.append(_Transition(channels[k - 1], c, up=True))
            self.stages.extend(_Block(config, c, depth) for _ in range(config.blocks))
        self.to_image = Conv2d(channels[-1], config.img_channels, 1)
        _linear_(self.to_image.weight)
        nn.init.zeros_(self.to_image.bias)  # type: ignore[arg-type]
        self.condition = Condition(config.condition_dim, config.z_dim) if conditional else None

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float | Tensor = 1.0,
        noise: list[Tensor] | None = None,
    ) -> Tensor:
        """Generate one image for each row of `z`, as the row of `c` asks."""
        check(c, self.condition_dim)
        if self.condition is not None:
            z = self.condition(z, c)
        return at_least_float32(self.to_image(self.stages(self.basis(z))))


class Discriminator(ConditionalDiscriminator):
    """images [N, img_channels, R, R], c -> logits [N], float32 or wider: the generator's mirror image."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.classes, config.attributes)
        self.config = config
        channels = [config.channels(size) for size in reversed(config.sizes)]
        depth = config.blocks * len(channels)
        self.from_image = Conv2d(config.img_channels, channels[0], 1, bias=False)
        self.stages = nn.Sequential()
        for k, c in enumerate(channels):
            if k > 0:
                self.stages.append(_Transition(channels[k - 1], c, up=False))
            self.stages.extend(_Block(config, c, depth) for _ in range(config.blocks))
        self.gather = Conv2d(channels[-1], channels[-1], 4, groups=channels[-1], bias=False)
        self.logit = nn.Linear(channels[-1], 1)
        for layer in (self.from_image, self.gather, self.logit):
            _linear_(layer.weight)
        nn.init.zeros_(self.logit.bias)
        self.add_conditions(config.conditioning, channels[-1])

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, phi [N, C]."""
        x = at_least_float32(self.stages(self.from_image(images)))  # [N, C, 4, 4]
        with full_precision(x):
            return self.gather(x).flatten(1)

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Score each image: the larger, the more it looks real, and like `c`."""
        return self.judge(self.features(images), c)
