"""The layer of a style-based generator (Karras et al. 2019, figure 1b)."""

import torch
from torch import Tensor, nn

from fastgan import ops
from fastgan.nn.equalized import EqualizedConv2d, EqualizedLinear


class StyleEpilogue(nn.Module):
    """What follows the convolution: noise, bias, leaky ReLU, instance norm and style, in one fused op.

    The style is an affine map "A" of w to a scale and a shift a channel. Its bias starts at zero and the op
    multiplies by 1 + scale, so that a new layer starts at the identity. The noise strength "B" starts at zero.
    """

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.affine = EqualizedLinear(w_dim, 2 * channels, gain=1.0)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x: [N, C, H, W]; w: [N, w_dim]; noise: [N or 1, 1, H, W] or None -> [N, C, H, W], x's dtype and layout."""
        scale, shift = self.affine(w).chunk(2, dim=1)  # [N, C] each
        return ops.style_epilogue(x, noise, self.strength, self.bias, scale, shift)


class StyledConv(nn.Module):
    """3x3 convolution with a style, at the size of its input or, with `up`, at twice that size.

    The paper upsamples by nearest neighbour, convolves, then blurs with [1, 2, 1]. We blur before convolving,
    where upsampling and blur are one pass of `ops.upsample2x`: a convolution and a blur commute but for the
    zero padding of the outermost pixels, and both learn the same function of the inside.
    """

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self.conv = EqualizedConv2d(in_channels, out_channels)
        self.epilogue = StyleEpilogue(out_channels, w_dim)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x: [N, in, H, W]; w: [N, w_dim]; noise: [N or 1, 1, sH, sW] or None -> [N, out, sH, sW], s 1 or 2."""
        if self.up:
            x = ops.upsample2x(x)
        return self.epilogue(self.conv(x), w, noise)
