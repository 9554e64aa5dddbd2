"""StyleGAN (Karras et al. 2019): mapping network, AdaIN styles, per-pixel noise; discriminator of Karras et al. 2018.

Both networks can run at any lower resolution from 4 px, with a fade-in of the newest one (progressive growing):
there is one `to_rgb` and one `from_rgb` a resolution, and those not used in a call get no gradient.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import draws
from fastgan.models import _checks, _noise
from fastgan.models._config import ModelConfig
from fastgan.nn import (
    Condition,
    ConditionalDiscriminator,
    ConvAct,
    DownBlock,
    EqualizedConv2d,
    EqualizedLinear,
    MinibatchStddev,
    StyledConv,
    StyleEpilogue,
    at_least_float32,
    check,
    compute_dtype,
    full_precision,
)

SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Size and shape of a StyleGAN; the defaults are the paper's, at 64 px."""

    z_dim: int = 512
    """Length of the latent vector."""
    w_dim: int = 512
    """Length of the intermediate latent vector w, and width of the mapping network."""
    mapping_layers: int = 8
    """Depth of the mapping network from z to w, at least 1."""
    mapping_lr_multiplier: float = 0.01
    """How much slower the mapping network learns than the rest, above 0 and at most 1."""
    channel_multiplier: float = 1.0
    """Scales the paper's channels, min(512, 16384 / r) at r x r pixels; the result is a multiple of 8, at least 8."""
    style_mixing_prob: float = 0.9
    """In training, the share of images made from two latents that swap at a random layer."""
    w_avg_decay: float = 0.995
    """Decay, a training batch, of the running mean of w, towards which truncation pulls."""
    minibatch_stddev_group: int = 4
    """Samples among which the discriminator measures variety."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.integer("w_dim", self.w_dim, 1, 65536)
        _checks.integer("mapping_layers", self.mapping_layers, 1, 64)
        _checks.number("mapping_lr_multiplier", self.mapping_lr_multiplier, 0.0, 1.0, above=True)
        _checks.number("channel_multiplier", self.channel_multiplier, 0.0, 16.0, above=True)
        _checks.number("style_mixing_prob", self.style_mixing_prob, 0.0, 1.0)
        _checks.number("w_avg_decay", self.w_avg_decay, 0.0, 1.0)
        _checks.integer("minibatch_stddev_group", self.minibatch_stddev_group, 1, 4096)

    def channels(self, size: int) -> int:
        """Channels of the feature maps of `size` x `size` pixels; multiples of 8 fill vector registers."""
        return max(8, 8 * round(self.channel_multiplier * min(512, 16384 // size) / 8))

    @property
    def stages(self) -> int:
        """How many times the image doubles from 4x4: 4 * 2**stages is the resolution."""
        return int(math.log2(self.resolution)) - 2


def _stage(config: Config, resolution: int | None) -> int:
    """How many doublings lead from 4x4 to `resolution` (None: the full one)."""
    if resolution is None:
        return config.stages
    stage = resolution.bit_length() - 3
    if resolution != 4 << max(stage, 0) or stage > config.stages:
        raise ValueError(
            f"resolution is {resolution}; it must be a power of two from 4 to {config.resolution}."
        )
    return stage


def _faded(alpha: float | Tensor) -> bool:
    """Whether the previous resolution still shows. A tensor always counts as such: asking it would wait for it."""
    return isinstance(alpha, Tensor) or alpha != 1.0


def _fade(previous: Tensor, current: Tensor, alpha: float | Tensor) -> Tensor:
    """Blend from `previous` (alpha 0) to `current` (alpha 1), exact at both ends."""
    return torch.lerp(previous, current, alpha.to(current.dtype) if isinstance(alpha, Tensor) else alpha)


class Mapping(nn.Module):
    """z [N, z_dim], c -> w [N, layers, w_dim], the same w for every layer (a view). Runs in float32 or wider."""

    def __init__(self, config: Config, layers: int) -> None:
        super().__init__()
        self.layers, self.condition_dim = layers, config.condition_dim
        conditional = config.condition_dim > 0
        self.linears = nn.ModuleList(
            EqualizedLinear(
                config.w_dim if k else config.z_dim * (1 + conditional),
                config.w_dim,
                lr_multiplier=config.mapping_lr_multiplier,
            )
            for k in range(config.mapping_layers)
        )
        self.condition = None
        if conditional:
            self.condition = Condition(config.condition_dim, config.z_dim, norm=math.sqrt(config.z_dim))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Normalise `z` to unit mean square, put the embedded `c` beside it, then apply the layers."""
        check(c, self.condition_dim)
        x = at_least_float32(z)
        with full_precision(x):
            x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
            if self.condition is not None:
                x = self.condition(x, c)
            for linear in self.linears:
                x = F.leaky_relu(linear(x), SLOPE)
        return x.unsqueeze(1).expand(-1, self.layers, -1)


class Generator(nn.Module):
    """z [N, z_dim], c [N, condition_dim] -> images [N, img_channels, R, R], about [-1, 1], float32 or wider."""

    w_avg: Tensor
    has_truncation = True
    grows = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.condition_dim = config.z_dim, config.condition_dim
        sizes = [4 << k for k in range(config.stages + 1)]
        self.noise_shapes = [(1, 1, size, size) for size in sizes for _ in range(2)]
        channels = [config.channels(size) for size in sizes]
        self.mapping = Mapping(config, layers=len(self.noise_shapes))
        # The paper starts from ones, a plane that instance norm turns to nothing: the first steps of the noise strength
        # would then be all the structure there is. Normal values (Karras et al. 2020) give it some from the start.
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.first = StyleEpilogue(channels[0], config.w_dim)
        self.convs = nn.ModuleList([StyledConv(channels[0], channels[0], config.w_dim)])
        for i, o in pairwise(channels):
            self.convs.append(StyledConv(i, o, config.w_dim, up=True))
            self.convs.append(StyledConv(o, o, config.w_dim))
        self.to_rgb = nn.ModuleList(
            EqualizedConv2d(c, config.img_channels, 1, bias=True, gain=1.0) for c in channels
        )
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        _noise.add_constants(self, self.noise_shapes)

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float | Tensor = 1.0,
        truncation_cutoff: int | Tensor | None = None,
        noise: list[Tensor] | None = None,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """Generate one image for each row of `z`, as the row of `c` asks.

        truncation_psi: pulls w towards its mean over latents and conditions, w_avg + psi (w - w_avg), in the first
        `truncation_cutoff` layers (None: in all); 0 gives the mean image, 1 is off. noise, resolution, alpha: see
        `synthesis`. In train mode also updates w_avg and mixes styles, with random numbers from torch's default
        generator.
        """
        layers = self.layers(resolution)
        w = self._training_styles(z, c, layers) if self.training else self.mapping(z, c)
        w = self.truncate(w, truncation_psi, truncation_cutoff)
        return self.synthesis(w, noise, resolution, alpha)

    def layers(self, resolution: int | None = None) -> int:
        """How many layers, each with a style of its own, make an image of `resolution` (None: the full one)."""
        return 2 * _stage(self.config, resolution) + 2

    def synthesis(
        self,
        w: Tensor,
        noise: list[Tensor] | None = None,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """w [N, layers, w_dim] -> images [N, img_channels, r, r].

        noise: one [N or 1, 1, h, w] a layer, shapes as in `noise_shapes`; None draws fresh noise in train mode
        and takes the buffers `noise_const_<k>` in eval mode. resolution: r, the full one if None. alpha: below
        1 blends the image with that of r / 2, doubled by nearest neighbour (no meaning at r = 4).
        """
        stage = _stage(self.config, resolution)
        noise = self._noise(w, self.layers(resolution)) if noise is None else noise
        x = self.const.to(compute_dtype(w)).expand(w.shape[0], -1, -1, -1).clone()  # dense, const's layout
        x = self.first(x, w[:, 0], noise[0])
        previous = x
        for k, conv in enumerate(self.convs[: 2 * stage + 1], start=1):
            if k == 2 * stage:
                previous = x
            x = conv(x, w[:, k], noise[k])
        images = self.to_rgb[stage](x)
        if stage and _faded(alpha):
            smaller = F.interpolate(self.to_rgb[stage - 1](previous), scale_factor=2.0, mode="nearest")
            images = _fade(smaller, images, alpha)
        return at_least_float32(images)

    def _noise(self, w: Tensor, layers: int) -> list[Tensor]:
        """Fresh noise for `layers` layers from one draw in train mode, the constant buffers in eval mode."""
        return _noise.planes(self, self.noise_shapes[:layers], w, compute_dtype(w))

    def _training_styles(self, z: Tensor, c: Tensor | None, layers: int) -> Tensor:
        """Styles [N, L, w_dim] with mixing regularisation (section 3.1); updates w_avg. Waits for nothing.

        What is mixed comes from two latents and one condition.
        """
        config, n = self.config, z.shape[0]
        if config.style_mixing_prob == 0:
            w = self.mapping(z, c)
        else:
            both = None if c is None else torch.cat([c, c])
            w, other = self.mapping(torch.cat([z, draws.normal_like(z)]), both).chunk(2)
        with torch.no_grad():
            self.w_avg.lerp_(w[:, 0].mean(0).to(self.w_avg.dtype), 1 - config.w_avg_decay)
        if config.style_mixing_prob == 0:
            return w
        swap_at = draws.integers(1, layers, n, 1, device=z.device)
        mixed = draws.uniform(n, 1, device=z.device) < config.style_mixing_prob
        layer = torch.arange(w.shape[1], device=z.device)
        return torch.where((mixed & (layer >= swap_at)).unsqueeze(2), other, w)

    def truncate(self, w: Tensor, psi: float | Tensor, cutoff: int | Tensor | None = None) -> Tensor:
        """The truncation trick (appendix B) on w [N, layers, w_dim], in the first `cutoff` layers (None: in all)."""
        if not isinstance(psi, Tensor) and psi == 1.0:
            return w
        mean = self.w_avg.to(w.dtype)
        truncated = mean + psi * (w - mean)
        if cutoff is None:
            return truncated
        layer = torch.arange(w.shape[1], device=w.device)
        return torch.where((layer < cutoff).unsqueeze(1), truncated, w)


class Discriminator(ConditionalDiscriminator):
    """images [N, img_channels, R, R], c [N, condition_dim] -> logits [N], float32 or wider."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.classes, config.attributes)
        self.config = config
        channels = [config.channels(4 << k) for k in range(config.stages + 1)]
        self.from_rgb = nn.ModuleList(ConvAct(config.img_channels, c, 1) for c in channels)
        self.blocks = nn.ModuleList(DownBlock(i, o) for o, i in pairwise(channels))
        self.stddev = MinibatchStddev(config.minibatch_stddev_group)
        self.conv = ConvAct(channels[0] + 1, channels[0])
        self.linear = EqualizedLinear(channels[0] * 16, channels[0])
        self.logit = EqualizedLinear(channels[0], 1, gain=1.0)
        self.add_conditions(config.conditioning, channels[0], equalized=True)

    def features(
        self, images: Tensor, *, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """What the last layer sees, phi [N, C].

        resolution: that of `images`, the full one if None. alpha: below 1 blends the features of `images` with
        those of `images` halved, as the generator's fade-in does (no meaning at 4).
        """
        stage = _stage(self.config, resolution)
        x = self.from_rgb[stage](images)
        for k in range(stage, 0, -1):
            x = self.blocks[k - 1](x)
            if k == stage and _faded(alpha):
                x = _fade(self.from_rgb[stage - 1](F.avg_pool2d(images, 2)), x, alpha)
        x = self.conv(self.stddev(x)).permute(0, 2, 3, 1).flatten(1)  # [N, 16 * C], no copy if channels_last
        return at_least_float32(F.leaky_relu(self.linear(x), SLOPE))

    def forward(
        self,
        images: Tensor,
        c: Tensor | None = None,
        *,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """Score each image: the larger, the more it looks real, and like `c`. resolution, alpha: see `features`."""
        return self.judge(self.features(images, resolution=resolution, alpha=alpha), c)
