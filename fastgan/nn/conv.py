"""A convolution whose second derivative is as fast as its first.

Gradient penalties differentiate a discriminator twice. torch computes the weight's part of a convolution's
second derivative as a convolution with kernels as large as the image, which can cost more than the rest of the
step. But the convolution C(x, w), its input gradient I(g, w) and its weight gradient G(x, g) are bilinear, and
the adjoints of each are the other two, so three ordinary kernels serve every order:

    C(x, w):  to x: I(g, w)   to w: G(x, g)     g the cotangent of C, shaped as its output
    I(g, w):  to g: C(v, w)   to w: G(v, g)     v the cotangent of I, shaped as x
    G(x, g):  to x: I(g, u)   to g: C(x, u)     u the cotangent of G, shaped as w
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from fastgan.nn.precision import compute_dtype

Geometry = tuple[int, int, int]
"""Stride and padding, alike on both axes, and the number of groups."""


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """`F.conv2d`, with a fast second derivative where both `x` and `weight` require a gradient.

    x: [N, in, H, W]; weight: [out, in / groups, k, k]; bias: [out] -> [N, out, H', W'], in the autocast dtype.
    """
    twice = torch.is_grad_enabled() and x.requires_grad and weight.requires_grad and bias is None
    if not twice or torch.compiler.is_compiling():
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)
    dtype = compute_dtype(x)
    x, weight = x.to(dtype), weight.to(dtype)
    geometry = (stride, padding, groups)
    # Two nodes, one for each gradient: then the first derivative of a penalty, with respect to the input alone, does
    # not compute the weight's, because the engine visits no node that leads to the weight only.
    y = _TowardsInput.apply(x, (weight,), geometry)
    return _Join.apply(y, _TowardsWeight.apply(weight, (x, y), geometry))


def _gradients(g: Tensor, x: Tensor, w: Tensor, geometry: Geometry, mask: list[bool]) -> tuple[Tensor, ...]:
    """torch's own kernels for (I(g, w), G(x, g)), those that `mask` asks for."""
    stride, padding, groups = geometry
    return torch.ops.aten.convolution_backward(
        g, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, [*mask, False]
    )


# A tensor inside a tuple is no input that autograd sees, so it adds no edge to the graph; but it is saved with its
# own history, so that the backward pass can itself be differentiated with respect to it.


class _TowardsInput(Function):
    """C(x, w) with its gradient towards x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, others: tuple[Tensor], geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, *others)
        ctx.geometry = geometry
        stride, padding, groups = geometry
        return F.conv2d(x, *others, None, stride, padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return _InputGradient.apply(g, w, (x,), ctx.geometry), None, None


class _TowardsWeight(Function):
    """Zeros in the shape of C(x, w), which take no memory, with its gradient towards w."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, others: tuple[Tensor, Tensor], geometry: Geometry) -> Tensor:
        x, y = others
        ctx.save_for_backward(x, w)
        ctx.geometry = geometry
        return y.new_zeros(()).expand_as(y)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return _WeightGradient.apply(x, g, (w,), ctx.geometry), None, None


class _Join(Function):
    """y, whose gradient goes both towards the input and towards the weight."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, zeros: Tensor) -> Tensor:
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g, g


class _InputGradient(Function):
    """I(g, w); the x in `like` gives shape and layout only."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, like: tuple[Tensor], geometry: Geometry) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.geometry = geometry
        return _gradients(g, *like, w, geometry, [True, False])[0]

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        g, w = ctx.saved_tensors
        stride, padding, groups = ctx.geometry
        to_g = (
            conv2d(v, w, stride=stride, padding=padding, groups=groups) if ctx.needs_input_grad[0] else None
        )
        to_w = _WeightGradient.apply(v, g, (w,), ctx.geometry) if ctx.needs_input_grad[1] else None
        return to_g, to_w, None, None


class _WeightGradient(Function):
    """G(x, g); the w in `like` gives shape and layout only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor, like: tuple[Tensor], geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, g)
        ctx.geometry = geometry
        return _gradients(g, x, *like, geometry, [False, True])[1]

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> Any:
        x, g = ctx.saved_tensors
        stride, padding, groups = ctx.geometry
        to_x = _InputGradient.apply(g, u, (x,), ctx.geometry) if ctx.needs_input_grad[0] else None
        to_g = (
            conv2d(x, u, stride=stride, padding=padding, groups=groups) if ctx.needs_input_grad[1] else None
        )
        return to_x, to_g, None, None


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with square stride and zero padding and no dilation, on `conv2d`."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        stride, padding = self.stride[0], self.padding[0]
        assert isinstance(padding, int)
        return conv2d(x, self.weight, self.bias, stride=stride, padding=padding, groups=self.groups)
