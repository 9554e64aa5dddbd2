"""Skip-layer excitation (Liu et al. 2021, "Towards faster and stabilized GAN training for high-fidelity few-shot image
synthesis"): a light generator for few images, up to 1024 px.

One convolution a resolution, with batch norm and gated linear units. Small maps excite the channels of maps 16 times as
large (section 3.1), a shortcut for gradients through many scales that costs next to nothing. The discriminator (section
3.2) is residual, and learns by heart less because it must also rebuild the real images from what it has left of them.
Widths are ours: like in all models here, they halve as the resolution doubles.
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

SLOPE = 0.1
_FACTOR = 16  # how much larger the excited maps are
_EXCITED = 512  # and how large at most
_REBUILT = 32  # pixels that the discriminator's decoder makes at most


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Size and shape of an SLE-GAN."""

    z_dim: int = 256
    """Length of the latent vector."""
    width: int = 32
    """Channels at 64 px; twice as many at half the size, in both networks."""
    norm: str = "batch"
    """"batch" or "none", in the discriminator. Gradient penalties (gp, r1) need "none"."""
    reconstruction: float = 1.0
    """What rebuilding real images counts for in the discriminator's loss; 0: it has no decoder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.integer("width", self.width, 1, 1024)
        _checks.choice("norm", self.norm, ("batch", "none"))
        _checks.number("reconstruction", self.reconstruction, 0.0, 1000.0)

    def channels(self, size: int) -> int:
        """Channels of the feature maps of `size` x `size` pixels."""
        return max(64 * self.width // size, 4)

    @property
    def sizes(self) -> list[int]:
        """The resolutions of the feature maps, from 4 to that of the images."""
        return [4 << k for k in range(self.resolution.bit_length() - 2)]


def excited(config: Config) -> dict[int, int]:
    """Which map excites which, by size: 4 -> 64, 8 -> 128 ... 32 -> 512; of images below 64 px, 4 -> the last."""
    last = min(config.resolution, _EXCITED)
    if last < 4 * _FACTOR:
        return {last: 4}
    return {s * _FACTOR: s for s in config.sizes if s * _FACTOR <= last}


class _Gated(nn.Module):
    """Convolution of an input, doubled in size where `up`, noise, batch norm, GLU: [N, in, H, W] -> [N, out, ...]."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, *, up: bool, noisy: bool) -> None:
        super().__init__()
        self.conv, self.up = conv, up
        channels = conv.out_channels
        nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
        self.strength = nn.Parameter(torch.zeros(channels)) if noisy else None
        self.norm: nn.Module = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x)
        if self.strength is not None and noise is not None:
            x = x + self.strength.to(x.dtype)[:, None, None] * noise
        return F.glu(self.norm(x), dim=1)

    def bake_(self) -> None:
        """Fold batch norm, which is affine in eval mode, into the convolution and the strength of the noise."""
        norm = self.norm
        if (
            isinstance(norm, nn.BatchNorm2d)
            and norm.running_mean is not None
            and norm.running_var is not None
        ):
            scale = norm.weight.data * torch.rsqrt(norm.running_var + norm.eps)
            transposed = isinstance(self.conv, nn.ConvTranspose2d)
            self.conv.weight.data *= scale[:, None, None] if transposed else scale[:, None, None, None]
            self.conv.bias = nn.Parameter(norm.bias.data - norm.running_mean * scale, requires_grad=False)
            if self.strength is not None:
                self.strength.data *= scale
            self.norm = nn.Identity()


class _Excitation(nn.Module):
    """F of eq. 1: a small map [N, in, s, s] -> a factor in [0, 1] for each channel of a large one [N, out, 1, 1]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.gather = nn.Conv2d(in_channels, out_channels, 4)
        self.factor = nn.Conv2d(out_channels, out_channels, 1)

    def forward(self, small: Tensor) -> Tensor:
        pooled = F.avg_pool2d(small, small.shape[-1] // 4)  # [N, in, 4, 4]
        return torch.sigmoid(self.factor(F.leaky_relu(self.gather(pooled), SLOPE)))


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
        sizes, conditional = config.sizes, config.condition_dim > 0
        self.noise_shapes = [(1, 1, size, size) for size in sizes[1:]]
        latent = config.z_dim * (1 + conditional)
        first = nn.ConvTranspose2d(latent, 2 * config.channels(4), 4, bias=False)
        self.project = _Gated(first, up=False, noisy=False)
        self.blocks = nn.ModuleList(
            _Gated(
                Conv2d(config.channels(i), 2 * config.channels(o), 3, padding=1, bias=False),
                up=True,
                noisy=True,
            )
            for i, o in pairwise(sizes)
        )
        self.excitations = nn.ModuleDict(
            {
                str(large): _Excitation(config.channels(small), config.channels(large))
                for large, small in excited(config).items()
            }
        )
        self.to_image = nn.Conv2d(config.channels(sizes[-1]), config.img_channels, 3, padding=1)
        _noise.add_constants(self, self.noise_shapes)
        self.condition = Condition(config.condition_dim, config.z_dim) if conditional else None

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
        maps = {4: self.project(z[:, :, None, None])}  # [N, 16 width, 4, 4]
        links = excited(self.config)
        for block, plane, (before, size) in zip(self.blocks, noise, pairwise(self.config.sizes), strict=True):
            x = block(maps[before], plane)
            if size in links:
                x = x * self.excitations[str(size)](maps[links[size]])
            maps[size] = x
        return torch.tanh(at_least_float32(self.to_image(x)))


class _Norm(nn.Module):
    """Batch norm or a bias, then leaky ReLU."""

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels) if norm else None
        self.bias = None if norm else nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            return ops.bias_act(x, self.bias, SLOPE)
        assert self.norm is not None
        return F.leaky_relu_(self.norm(x), SLOPE)


class _Residual(nn.Module):
    """Half the size along two ways, convolutions and a pooled shortcut, and their mean: H x W -> H/2 x W/2."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: bool) -> None:
        super().__init__()
        self.down = Conv2d(in_channels, out_channels, 4, 2, padding=1, bias=False)
        self.down_norm = _Norm(out_channels, norm=norm)
        self.conv = Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.conv_norm = _Norm(out_channels, norm=norm)
        self.short = Conv2d(in_channels, out_channels, 1, bias=False)
        self.short_norm = _Norm(out_channels, norm=norm)
        for conv in (self.down, self.conv, self.short):
            nn.init.kaiming_normal_(conv.weight, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        long = self.conv_norm(self.conv(self.down_norm(self.down(x))))
        short: Tensor = self.short_norm(self.short(F.avg_pool2d(x, 2)))
        return (long + short) / 2


class Discriminator(ConditionalDiscriminator):
    """images [N, img_channels, R, R], c -> logits [N], float32 or wider."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.classes, config.attributes)
        self.config = config
        norm, sizes = config.norm == "batch", config.sizes[-2::-1]
        self.from_image = Conv2d(config.img_channels, config.channels(sizes[0]), 4, 2, padding=1, bias=False)
        self.from_image_norm = _Norm(config.channels(sizes[0]), norm=False)
        nn.init.kaiming_normal_(self.from_image.weight, SLOPE)
        self.blocks = nn.ModuleList(
            _Residual(config.channels(i), config.channels(o), norm=norm) for i, o in pairwise(sizes)
        )
        self.logit = nn.Linear(16 * config.channels(4), 1)
        self.decoder = _Decoder(config) if config.reconstruction else None
        self.add_conditions(config.conditioning, 16 * config.channels(4))

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, phi [N, 16 C]: C values of each of 4x4 patches."""
        x = self.from_image_norm(self.from_image(images))
        for block in self.blocks:
            x = block(x)
        return at_least_float32(x.permute(0, 2, 3, 1).flatten(1))  # no copy if channels_last

    def own_error(self, phi: Tensor, images: Tensor) -> Tensor | None:
        """E[|decoder(phi) - x|^2], x the real `images` as they were shown, at most 32 px (eq. 4, in pixels)."""
        if self.decoder is None:
            return None
        rebuilt = at_least_float32(self.decoder(phi))
        target = F.avg_pool2d(images, images.shape[-1] // rebuilt.shape[-1])
        return self.config.reconstruction * (rebuilt - target).square().mean()

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Score each image: the larger, the more it looks real, and like `c`."""
        return self.judge(self.features(images), c)


class _Decoder(nn.Module):
    """phi [N, 16 C] -> images [N, img_channels, r, r], small: r is 32 or that of the images."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [size for size in config.sizes if size <= _REBUILT]
        widths = [config.channels(4), *(max(config.channels(size) // 4, 4) for size in sizes[1:])]
        self.convs = nn.ModuleList(Conv2d(i, o, 3, padding=1, bias=False) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(_Norm(o, norm=config.norm == "batch") for o in widths[1:])
        self.to_image = nn.Conv2d(widths[-1], config.img_channels, 3, padding=1)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, SLOPE)  # type: ignore[arg-type]

    def forward(self, phi: Tensor) -> Tensor:
        x = phi.unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return torch.tanh(at_least_float32(self.to_image(x)))
