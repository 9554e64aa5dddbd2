"""DCGAN (Radford et al. 2016): strided convolutions, batch norm, ReLU up and leaky ReLU down.

At 64 px and width 64: generator 4x4x1024, 8x8x512, 16x16x256, 32x32x128, 64x64x3; discriminator 64x64x3
(stride 1), 32x32x64, 16x16x128, 8x8x256, 4x4x512, one logit. Other resolutions keep the widths next to the
image and drop or repeat the widest layers.
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
    """Size and shape of a DCGAN."""

    z_dim: int = 100
    """Length of the latent vector."""
    width: int = 64
    """Channels of the discriminator's first strided layer. The widest layers have 16 (G) and 8 (D) times as many."""
    norm: str = "batch"
    """"batch" or "none", in the discriminator. Gradient penalties (gp, r1) need "none": with batch norm one
    image's logit depends on the others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.integer("width", self.width, 1, 1024)
        _checks.choice("norm", self.norm, ("batch", "none"))


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), batch norm's from N(1, 0.02), biases zero (the paper, section 4)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def _initialise_without_norm(module: nn.Module) -> None:
    """He's weights: N(0, 0.02) counts on batch norm, without which signals halve layer by layer and learning stalls."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, SLOPE)


def _see_colours(first: nn.Module) -> None:
    """Start the first layer as x + 1, which is never negative, so that its ReLU lets everything through.

    It has as few channels as the image: random weights would mix colours away there, and dark ones would pass at a
    fifth of their strength, too faint to teach the generator.
    """
    assert isinstance(first, _DownBlock)
    assert first.bias is not None
    nn.init.dirac_(first.conv.weight)
    nn.init.ones_(first.bias)


class _Projection(nn.ConvTranspose2d):
    """The 4x4 transposed convolution of a 1x1 image, [N, C, 1, 1] -> [N, out, 4, 4], as one matrix product."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        x, channels = x.flatten(1), self.weight.shape[1]
        if self.weight.is_contiguous(memory_format=torch.channels_last):
            y = x @ self.weight.permute(0, 2, 3, 1).flatten(1)  # no copy of the weight, none of the output
            y = y.unflatten(1, (4, 4, channels)).permute(0, 3, 1, 2)
        else:
            y = (x @ self.weight.flatten(1)).unflatten(1, (channels, 4, 4))
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]


class _UpBlock(nn.Module):
    """Transposed convolution, batch norm, ReLU."""

    def __init__(self, conv: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm: nn.Module = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.norm(self.conv(x)))  # in place: batch norm's backward needs only its input

    def bake_(self) -> None:
        """Fold batch norm, which is affine in eval mode, into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fusion.fuse_conv_bn_eval(self.conv, self.norm, transpose=True)
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
        r, w = config.resolution, config.width
        channels = [min(16 * w, r * w // size) for size in _sizes(4, r // 2)]
        conditional = config.condition_dim > 0
        self.project = _UpBlock(_Projection(config.z_dim * (1 + conditional), channels[0]))
        self.blocks = nn.Sequential(
            *(_UpBlock(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)) for i, o in pairwise(channels))
        )
        self.to_image = nn.ConvTranspose2d(channels[-1], config.img_channels, 4, 2, 1)
        self.condition = Condition(config.condition_dim, config.z_dim) if conditional else None
        self.apply(_initialise)
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
        x = self.project(z[:, :, None, None])  # [N, 16 width, 4, 4]
        return torch.tanh(at_least_float32(self.to_image(self.blocks(x))))


class _DownBlock(nn.Module):
    """Convolution, then bias or batch norm, then leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, kernel, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels) if norm else None
        self.bias = None if norm else nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.bias is not None:
            return ops.bias_act(x, self.bias, SLOPE)
        assert self.norm is not None
        return F.leaky_relu_(self.norm(x), SLOPE)


class Discriminator(ConditionalDiscriminator):
    """images [N, img_channels, R, R], c -> logits [N], float32 or wider. No batch norm on the first layer."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.classes, config.attributes)
        self.config = config
        r, w, norm = config.resolution, config.width, config.norm == "batch"
        channels = [min(8 * w, r * w // (2 * size)) for size in reversed(_sizes(4, r // 2))]
        self.blocks = nn.Sequential(
            _DownBlock(config.img_channels, config.img_channels, 3, 1, norm=False),
            *(
                _DownBlock(i, o, 4, 2, norm=norm)
                for i, o in zip([config.img_channels, *channels], channels, strict=False)
            ),
        )
        self.logit = nn.Linear(channels[-1] * 16, 1)
        self.apply(_initialise)
        if not norm:
            self.blocks.apply(_initialise_without_norm)
            _see_colours(self.blocks[0])
        nn.init.zeros_(self.logit.bias)
        self.add_conditions(config.conditioning, channels[-1] * 16)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, phi [N, 128 width]."""
        x = self.blocks(images).permute(
            0, 2, 3, 1
        )  # [N, 4, 4, 8 width]: flat without a copy if channels_last
        return at_least_float32(x.flatten(1))

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Score each image: the larger, the more it looks real, and like `c`."""
        return self.judge(self.features(images), c)


def _sizes(low: int, high: int) -> list[int]:
    """The powers of two from `low` to `high`."""
    return [1 << k for k in range(low.bit_length() - 1, high.bit_length())]
