"""Bias, leaky ReLU and gain in one pass: what follows a discriminator's convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.ops import _check
from fastgan.ops._native import dense, has_op, is_native, operand, plain
from fastgan.ops.cases import Case, Maker, accumulation_dtype


def bias_act(x: Tensor, bias: Tensor, slope: float = 0.2, gain: float = 1.0) -> Tensor:
    """Compute y = gain * leaky_relu(x + bias, slope).

    x: [N, C] or [N, C, H, W], float32, bfloat16, float16 or float64, contiguous or channels_last (the output
    keeps dtype and layout). bias: [C], kept in float32 (float64 for float64 x). slope >= 0 and gain > 0, so
    that the sign of y is the sign of x + bias: y is all that the backward pass needs, at any order.
    Raises ValueError on a wrong shape, slope or gain, TypeError on a wrong dtype.
    """
    if x.dim() == 2:
        return bias_act(x[..., None, None], bias, slope, gain)[..., 0, 0]
    _check.image("bias_act", "x", x)
    _check.shape("bias_act", "bias", bias, (x.shape[1],))
    if slope < 0 or gain <= 0:
        raise ValueError(f"bias_act: slope is {slope} and gain is {gain}; slope must be >= 0 and gain > 0.")
    if not is_native(x):
        return plain(bias_act_reference)(x, bias, slope, gain)
    return torch.ops.fastgan.bias_act(dense(x), operand(bias, x), slope, gain)


def bias_act_reference(x: Tensor, bias: Tensor, slope: float = 0.2, gain: float = 1.0) -> Tensor:
    """`bias_act` in plain torch."""
    acc = accumulation_dtype(x.dtype)
    b = bias.to(acc).reshape(-1, *[1] * (x.dim() - 2))
    return (gain * F.leaky_relu(x.to(acc) + b, slope)).to(x.dtype)


# --- fake kernels ---------------------------------------------------------------------------------------------


def _fake(x: Tensor, bias: Tensor, slope: float, gain: float) -> Tensor:
    return torch.empty_like(x)


def _fake_backward(g: Tensor, y: Tensor, slope: float, gain: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(y), y.new_empty(y.shape[1], dtype=accumulation_dtype(y.dtype))


def _fake_tangent(u: Tensor, u_bias: Tensor, y: Tensor, slope: float, gain: float) -> Tensor:
    return torch.empty_like(y)


# --- autograd -------------------------------------------------------------------------------------------------
# Almost everywhere the op is linear with the slopes m(y), so two raw ops, each the other's adjoint, close the
# derivatives of every order:  backward(g) = (gain m g, sum gain m g)  and  tangent(u, u_bias) = gain m (u + u_bias).


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    _, _, ctx.slope, ctx.gain = inputs
    ctx.save_for_backward(output)


def _backward(ctx, g):  # type: ignore[no-untyped-def]
    (y,) = ctx.saved_tensors
    # The slopes are constant almost everywhere, so nothing flows back through y.
    dx, dbias = torch.ops.fastgan.bias_act_backward(g, y.detach(), ctx.slope, ctx.gain)
    return dx, dbias, None, None


def _setup_context_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    _, y, ctx.slope, ctx.gain = inputs
    ctx.save_for_backward(y)


def _backward_backward(ctx, u, u_bias):  # type: ignore[no-untyped-def]
    (y,) = ctx.saved_tensors
    return torch.ops.fastgan.bias_act_tangent(u, operand(u_bias, y), y, ctx.slope, ctx.gain), None, None, None


def _setup_context_tangent(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    _, _, y, ctx.slope, ctx.gain = inputs
    ctx.save_for_backward(y)


def _backward_tangent(ctx, g):  # type: ignore[no-untyped-def]
    (y,) = ctx.saved_tensors
    du, du_bias = torch.ops.fastgan.bias_act_backward(g, y, ctx.slope, ctx.gain)
    return du, du_bias, None, None, None


if has_op("bias_act"):
    torch.library.register_fake("fastgan::bias_act", _fake)
    torch.library.register_fake("fastgan::bias_act_backward", _fake_backward)
    torch.library.register_fake("fastgan::bias_act_tangent", _fake_tangent)
    torch.library.register_autograd("fastgan::bias_act", _backward, setup_context=_setup_context)
    torch.library.register_autograd(
        "fastgan::bias_act_backward", _backward_backward, setup_context=_setup_context_backward
    )
    torch.library.register_autograd(
        "fastgan::bias_act_tangent", _backward_tangent, setup_context=_setup_context_tangent
    )


def _case(*shape: int, slope: float = 0.2, gain: float = 1.0) -> Case:
    def inputs(make: Maker) -> tuple[Tensor, Tensor]:
        x, bias = make.image(*shape), make.parameter(shape[1])
        return x, bias

    return Case("x".join(map(str, shape)), inputs, {"slope": slope, "gain": gain})


CASES = {
    "bias_act": [
        _case(2, 3, 4, 4),
        _case(2, 19, 5, 7, gain=2**0.5),
        _case(4, 33),
        _case(1, 32, 33, 17, slope=0.0),
        _case(3, 2, 1, 1, slope=1.0),
        _case(0, 4, 8, 8),
    ]
}
