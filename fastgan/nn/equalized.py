"""Layers with an equalised learning rate (Karras et al. 2018, section 4.1).

Weights are stored with unit variance and scaled by He's constant at run time, so that one step of an adaptive
optimiser moves every layer by the same share of its weights.
"""

import math

import torch
from torch import Tensor, nn

from fastgan.nn.conv import conv2d

HE_GAIN = math.sqrt(2)
"""He's gain for a layer that a (leaky) ReLU follows."""


class EqualizedConv2d(nn.Module):
    """A convolution of stride 1 that keeps the size: [N, in, H, W] -> [N, out, H, W].

    The run-time scale `gain / sqrt(in * k * k)` goes to the weight, which is far smaller than the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        bias: bool = False,
        gain: float = HE_GAIN,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.scale = gain / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self._sizes = in_channels, out_channels, kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x`, in the autocast dtype and in the memory format of `x` or of the weight."""
        weight = self.weight if self.scale == 1.0 else self.weight * self.scale
        return conv2d(x, weight, self.bias, padding=self.padding)

    def bake_(self) -> None:
        """Fold the scale into the weight."""
        self.weight.data.mul_(self.scale)
        self.scale = 1.0

    def extra_repr(self) -> str:
        """Shape and scale, for print."""
        in_channels, out_channels, k = self._sizes  # asking a parametrised weight would compute it
        return f"{in_channels}, {out_channels}, kernel_size={k}, scale={self.scale:.4g}"


class EqualizedLinear(nn.Module):
    """A fully connected layer: [N, in] -> [N, out].

    `lr_multiplier` m slows learning down m times: weights are stored 1/m times as large and scaled back at run
    time, and so is the bias (Karras et al. 2019, appendix C).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        gain: float = HE_GAIN,
        lr_multiplier: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.scale = gain / math.sqrt(in_features) * lr_multiplier
        self.bias_scale = lr_multiplier
        self._sizes = in_features, out_features

    def forward(self, x: Tensor) -> Tensor:
        """Compute bias_scale * bias + scale * x @ weight.T; the matrix product takes both scales for free."""
        if self.bias is None:
            return x @ self.weight.t() * self.scale
        return torch.addmm(self.bias, x, self.weight.t(), beta=self.bias_scale, alpha=self.scale)

    def bake_(self) -> None:
        """Fold both scales into weight and bias."""
        self.weight.data.mul_(self.scale)
        if self.bias is not None:
            self.bias.data.mul_(self.bias_scale)
        self.scale = self.bias_scale = 1.0

    def extra_repr(self) -> str:
        """Shape and scale, for print."""
        in_features, out_features = self._sizes
        return f"{in_features}, {out_features}, scale={self.scale:.4g}, bias_scale={self.bias_scale:g}"
