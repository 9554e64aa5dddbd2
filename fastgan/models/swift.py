"""The model for minutes on a CPU: a lean DCGAN generator, and a discriminator that sees fine detail as well as shapes.

Two things keep DCGAN's pictures poor in short runs: its last transposed convolution writes RGB in four phases that know
nothing of each other, and what its discriminator learns first is what is large. Here a 3x3 convolution at the images'
resolution joins the phases. And the discriminator's layers see, beside the maps of the layer before, the level of the
image's Laplacian pyramid (Burt & Adelson 1983) of their size. The power of images falls with frequency, and what has
little power is learnt late: the finest level is amplified most, so that all weigh alike. (SWAGAN, Gal et al. 2021,
judges wavelets for that reason.) The discriminator has no norm, so that it judges each image alone and R1 keeps it in
check.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fusion

from fastgan import ops
from fastgan.models import _checks
from fastgan.models._config import ModelConfig
from fastgan.nn import Condition, ConditionalDiscriminator, Conv2d, at_least_float32, check

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
    """A convolution, transposed where it doubles the size, then batch norm and ReLU."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm: nn.Module = nn.BatchNorm2d(conv.out_channels)
        nn.init.normal_(conv.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.norm(self.conv(x)))  # in place: batch norm's backward needs only its input

    def bake_(self) -> None:
        """Fold batch norm, which is affine in eval mode, into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            transposed = isinstance(self.conv, nn.ConvTranspose2d)
            self.conv = fusion.fuse_conv_bn_eval(self.conv, self.norm, transpose=transposed)
            self.norm = nn.Identity()


class Generator(nn.Module):
    """z [N, z_dim], c [N, condition_dim] -> images [N, img_channels, R, R] in [-1, 1], float32 or wider.

    `noise` and `truncation_psi` are accepted so that every generator can be called alike; this one has neither.
    """

    has_truncation = False
    grows = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.condition_dim = config.z_dim, config.condition_dim
        self.noise_shapes: list[tuple[int, int, int, int]] = []
        conditional, channels = config.condition_dim > 0, config.channels
        self.project = nn.Linear(config.z_dim * (1 + conditional), 16 * channels[0])
        self.norm = nn.BatchNorm2d(channels[0])
        self.blocks = nn.Sequential(
            *(_Up(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)) for i, o in pairwise(channels)),
            _Up(Conv2d(channels[-1], channels[-1], 3, padding=1, bias=False)),
        )
        self.to_image = Conv2d(channels[-1], config.img_channels, 3, padding=1)
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
        """Generate one image for each row of `z`, as the row of `c` asks."""
        check(c, self.condition_dim)
        if self.condition is not None:
            z = self.condition(z, c)
        x = self.project(z).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)  # [N, C, 4, 4], channels_last
        x = F.relu_(self.norm(x))
        return torch.tanh(at_least_float32(self.to_image(self.blocks(x))))


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
