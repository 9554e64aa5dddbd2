"""EfficientNet-Lite0 (Tan & Le 2019, without squeeze and excitation, ReLU6 for swish): a frozen network of features.

Weights are folded with their batch norm, kept once in each dtype that asks, and belong to no module: no optimiser,
average or checkpoint meets them. Gradients reach the images, of any order.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from fastgan.nn.precision import compute_dtype

_EPS = 1e-3
_STAGES = (  # kernel, stride of the first block, blocks
    (3, 1, 1),
    (3, 2, 2),
    (5, 2, 2),
    (3, 2, 3),
    (5, 1, 3),
    (5, 2, 4),
    (3, 1, 1),
)
_TAPS = (2, 4, 10, 15)
"""The last blocks of four scales."""
_SPREAD = (10.0, 9.0, 7.0, 3.0)
"""Their standard deviations, about, on avatars, flags, emoji, animals and photographs at 64 and 128 px."""

Weights = dict[str, tuple[Tensor, Tensor]]


class EffnetLite0:
    """Images [N, 3, S, S] in [-1, 1], S a multiple of 32 -> four maps, of 24, 40, 112 and 320 channels.

    Each is divided by about its standard deviation on small images, so that those who mix them mix them evenly.
    """

    name = "effnet-lite0"
    channels: tuple[int, ...] = (24, 40, 112, 320)
    reductions: tuple[int, ...] = (4, 8, 16, 32)

    def __init__(self, state: Mapping[str, Tensor], sha256: str, device: torch.device) -> None:
        """state: the published network's tensors by name; KeyError where one is missing. sha256: of its file."""
        self.sha256 = sha256
        self._strides = [stride if k == 0 else 1 for _, stride, n in _STAGES for k in range(n)]
        self._by_dtype: dict[torch.dtype, Weights] = {
            torch.float32: _folded(state, len(self._strides), device)
        }

    def __call__(self, images: Tensor) -> list[Tensor]:
        """The four maps, in the autocast dtype, channels_last."""
        dtype = compute_dtype(images)
        weights = self._weights(dtype)
        x = (images * 127.5 + 0.5) / 128  # from [-1, 1] to (0..255 - 127) / 128
        x = x.to(dtype, memory_format=torch.channels_last)
        with torch.autocast(x.device.type, enabled=False):
            x = F.relu6(_same(x, *weights["stem"], 2), inplace=True)
            maps: list[Tensor] = []
            for k, stride in enumerate(self._strides):
                x = _block(x, weights, k, stride)
                if k in _TAPS:
                    maps.append(x / _SPREAD[len(maps)])
        return maps

    def _weights(self, dtype: torch.dtype) -> Weights:
        if dtype not in self._by_dtype:
            full = self._by_dtype[torch.float32]
            self._by_dtype[dtype] = {name: (w.to(dtype), b.to(dtype)) for name, (w, b) in full.items()}
        return self._by_dtype[dtype]


def _block(x: Tensor, weights: Weights, k: int, stride: int) -> Tensor:
    """A mobile inverted bottleneck: 1x1 wider, depthwise, 1x1 narrower, and x added where the shape stays."""
    h = x
    if f"{k}.expand" in weights:
        h = F.relu6(F.conv2d(h, *weights[f"{k}.expand"]), inplace=True)
    h = F.relu6(_same(h, *weights[f"{k}.depthwise"], stride), inplace=True)
    h = F.conv2d(h, *weights[f"{k}.project"])
    return x + h if stride == 1 and h.shape == x.shape else h


def _same(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """TensorFlow's padding "same" of even sizes: with stride 2 it is one pixel less, at the left and at the top."""
    depthwise = weight.shape[1] == 1
    if stride == 2:
        x = F.pad(x, _around(weight))
        return _Halved.apply(x, weight, bias) if depthwise else F.conv2d(x, weight, bias, 2)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight) if depthwise else 1)


def _around(weight: Tensor) -> tuple[int, int, int, int]:
    k = weight.shape[-1]
    return ((k - 2) // 2, (k - 1) // 2) * 2


class _Halved(Function):
    """A frozen depthwise convolution of stride 2 without padding, [N, C, H, W] -> [N, C, (H - k) / 2 + 1, ...].

    torch has no fast kernel for its input gradient in bf16 on CPUs: two thirds of a backward pass went there. As a
    convolution of stride 1, over the gradient with zeros between, it takes the fast kernel of forward passes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.weight, ctx.shape = weight, x.shape
        return F.conv2d(x, weight, bias, 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (n, c, h, w), k = ctx.shape, ctx.weight.shape[-1]
        apart = g.new_zeros(n, h + k - 1, w + k - 1, c).permute(0, 3, 1, 2)  # channels_last
        inside = apart[:, :, k - 1 : k - 1 + 2 * g.shape[2] : 2, k - 1 : k - 1 + 2 * g.shape[3] : 2]
        inside.copy_(g)
        return F.conv2d(apart, ctx.weight.flip(2, 3), groups=c), None, None


def _folded(state: Mapping[str, Tensor], blocks: int, device: torch.device) -> Weights:
    """Each convolution with the batch norm after it: weight [out, in / groups, k, k] and bias [out]."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    for k in range(blocks):
        parts = (("expand", "_expand_conv", "_bn0"), ("depthwise", "_depthwise_conv", "_bn1"))
        for part, conv, norm in (*parts, ("project", "_project_conv", "_bn2")):
            if k or part != "expand":  # the first block is as wide inside as outside
                pairs[f"{k}.{part}"] = (f"_blocks.{k}.{conv}", f"_blocks.{k}.{norm}")
    folded = {}
    for name, (conv, norm) in pairs.items():
        scale = state[f"{norm}.weight"] * torch.rsqrt(state[f"{norm}.running_var"] + _EPS)
        weight = state[f"{conv}.weight"] * scale[:, None, None, None]
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        folded[name] = (weight.to(device, memory_format=torch.channels_last), bias.to(device))
    return folded
