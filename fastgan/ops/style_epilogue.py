"""The whole tail of a StyleGAN layer in one pass: noise, bias, leaky ReLU, AdaIN (Karras et al. 2019, fig. 1b)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.ops import _check
from fastgan.ops._native import dense, has_op, is_native, operand, plain
from fastgan.ops.adain import adain_double_backward, adain_reference, planes, statistics_backward
from fastgan.ops.cases import Case, Maker, accumulation_dtype


def style_epilogue(
    x: Tensor,
    noise: Tensor | None,
    strength: Tensor,
    bias: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: float = 0.2,
    eps: float = 1e-5,
) -> Tensor:
    """Noise, bias, leaky ReLU and AdaIN after a convolution.

        y = adain(leaky_relu(x + strength * noise + bias, slope), scale, shift, eps)

    x: [N, C, H, W] float32, bfloat16, float16 or float64, contiguous or channels_last (the output keeps dtype
    and layout). noise: [N, 1, H, W] or [1, 1, H, W], or None for none. strength, bias: [C]; scale, shift:
    [N, C]; all four kept in float32 (float64 for float64 x). 0 <= slope. Differentiable to any order, in the
    noise too. Raises ValueError on a wrong shape, TypeError on a wrong dtype.
    """
    _check.image("style_epilogue", "x", x)
    n, c, h, w = x.shape
    if noise is not None and noise.shape != (n, 1, h, w):
        _check.shape("style_epilogue", "noise", noise, (1, 1, h, w))
    _check.shape("style_epilogue", "strength", strength, (c,))
    _check.shape("style_epilogue", "bias", bias, (c,))
    _check.shape("style_epilogue", "scale", scale, (n, c))
    _check.shape("style_epilogue", "shift", shift, (n, c))
    if not is_native(x):
        return plain(style_epilogue_reference)(x, noise, strength, bias, scale, shift, slope, eps)
    noise = None if noise is None else noise.to(x.dtype).contiguous()
    return torch.ops.fastgan.style_epilogue(
        dense(x), noise, *(operand(p, x) for p in (strength, bias, scale, shift)), slope, eps
    )[0]


def style_epilogue_reference(
    x: Tensor,
    noise: Tensor | None,
    strength: Tensor,
    bias: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: float = 0.2,
    eps: float = 1e-5,
) -> Tensor:
    """`style_epilogue` in plain torch."""
    acc = accumulation_dtype(x.dtype)
    h = F.leaky_relu(_preactivation(x.to(acc), noise, strength.to(acc), bias.to(acc)), slope)
    return adain_reference(h, scale, shift, eps).to(x.dtype)


def _preactivation(x: Tensor, noise: Tensor | None, strength: Tensor, bias: Tensor) -> Tensor:
    p = x + planes(bias)
    return p if noise is None else p + planes(strength) * noise.to(x.dtype)


# --- fake kernels ---------------------------------------------------------------------------------------------


def _fake(
    x: Tensor,
    noise: Tensor | None,
    strength: Tensor,
    bias: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(scale), torch.empty_like(scale)


def _fake_backward(
    g: Tensor,
    x: Tensor,
    noise: Tensor | None,
    strength: Tensor,
    bias: Tensor,
    scale: Tensor,
    mean: Tensor,
    rstd: Tensor,
    slope: float,
) -> tuple[Tensor, ...]:
    like = torch.empty_like
    return like(x), like(strength), like(bias), like(scale), like(scale)


# --- autograd -------------------------------------------------------------------------------------------------
# With p = x + strength * noise + bias, h = leaky_relu(p), m = h'(p), and dh from adain's backward:
#   dx = m * dh,   dbias = sum dx,   dstrength = sum dx * noise,   dnoise = sum_c strength * dx.
# mean and rstd are those of h; adain.py says why the backward op takes them as arguments of their own.


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, noise, strength, bias, scale, _, slope, _ = inputs
    _, mean, rstd = output
    ctx.save_for_backward(x, noise, strength, bias, scale, mean, rstd)
    ctx.slope = slope
    ctx.set_materialize_grads(False)


def _backward(ctx, g, g_mean, g_rstd):  # type: ignore[no-untyped-def]
    x, noise, strength, bias, scale, mean, rstd = ctx.saved_tensors
    dx = dnoise = dstrength = dbias = dscale = dshift = None
    of_noise = noise is not None and ctx.needs_input_grad[1]
    if g is not None:
        dx, dstrength, dbias, dscale, dshift = torch.ops.fastgan.style_epilogue_backward(
            g, x, noise, strength, bias, scale, mean, rstd, ctx.slope
        )
        if of_noise:
            # A sum over channels: it takes dx as it was before it was rounded to a narrow dtype.
            exact = x.dtype == mean.dtype
            dp = dx if exact else _input_gradient(g, x, noise, strength, bias, scale, mean, rstd, ctx.slope)
            dnoise = planes(strength) * dp
    if g_mean is not None or g_rstd is not None:
        p = _preactivation(x.to(mean.dtype), noise, strength, bias)
        h = F.leaky_relu(p, ctx.slope)
        dp = statistics_backward(h, mean, rstd, g_mean, g_rstd) * _slopes(p, ctx.slope)  # type: ignore[operator]
        dx = dp.to(x.dtype) if dx is None else dx + dp.to(x.dtype)
        dbias = dp.sum((0, 2, 3)) if dbias is None else dbias + dp.sum((0, 2, 3))
        if noise is not None:
            of_strength = (dp * noise).sum((0, 2, 3))
            dstrength = of_strength if dstrength is None else dstrength + of_strength
        if of_noise:
            dnoise = planes(strength) * dp if dnoise is None else dnoise + planes(strength) * dp
    if dnoise is not None:
        dnoise = _to_noise(dnoise, noise)
    return dx, dnoise, dstrength, dbias, dscale, dshift, None, None


def _input_gradient(g: Tensor, x: Tensor, noise: Tensor, *rest: Tensor | float) -> Tensor:
    """The dx of the backward op in the accumulation dtype, before it would be rounded to that of x."""
    wide = (v.to(accumulation_dtype(x.dtype)) for v in (g, x, noise))
    dx: Tensor = torch.ops.fastgan.style_epilogue_backward(*wide, *rest)[0]
    return dx


def _slopes(p: Tensor, slope: float) -> Tensor:
    """The derivative of leaky ReLU at `p`: 1 where p > 0, `slope` elsewhere, as in torch."""
    return torch.full_like(p, slope).masked_fill(p > 0, 1.0)  # torch.where would round `slope` to float32


def _to_noise(per_channel: Tensor, noise: Tensor) -> Tensor:
    """Sum [N, C, H, W] over channels, and over samples where they share one noise image."""
    over = (0, 1) if noise.shape[0] == 1 else (1,)
    return per_channel.sum(over).reshape(noise.shape).to(noise.dtype)


def _setup_context_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *tensors, slope = inputs
    ctx.save_for_backward(*tensors)
    ctx.slope = slope


def _backward_backward(ctx, u, u_strength, u_bias, u_scale, u_shift):  # type: ignore[no-untyped-def]
    g, x, noise, strength, bias, scale, mean, rstd = ctx.saved_tensors
    acc = mean.dtype
    p = _preactivation(x.to(acc), noise, strength, bias)
    m, h = _slopes(p, ctx.slope), F.leaky_relu(p, ctx.slope)
    # dbias and dstrength are sums of dx, so their cotangents join that of dx, and all pass through the ReLU.
    u_p = u.to(acc) + planes(u_bias)
    if noise is not None:
        u_p = u_p + planes(u_strength) * noise.to(acc)
    to_g, to_h, to_scale, to_mean, to_rstd = adain_double_backward(
        m * u_p, u_scale, u_shift, g.to(acc), h, scale, mean, rstd
    )
    to_p = m * to_h
    to_noise = to_strength = None
    if noise is not None:
        to_strength = (to_p * noise.to(acc)).sum((0, 2, 3))
        if ctx.needs_input_grad[2]:
            dp = _input_gradient(g, x, noise, strength, bias, scale, mean, rstd, ctx.slope)
            to_noise = _to_noise(planes(strength) * to_p + planes(u_strength) * dp, noise)
    return (
        to_g.to(g.dtype),
        to_p.to(x.dtype),
        to_noise,
        to_strength,
        to_p.sum((0, 2, 3)),
        to_scale,
        to_mean,
        to_rstd,
        None,
    )


if has_op("style_epilogue"):
    torch.library.register_fake("fastgan::style_epilogue", _fake)
    torch.library.register_fake("fastgan::style_epilogue_backward", _fake_backward)
    torch.library.register_autograd("fastgan::style_epilogue", _backward, setup_context=_setup_context)
    torch.library.register_autograd(
        "fastgan::style_epilogue_backward", _backward_backward, setup_context=_setup_context_backward
    )


def _case(n: int, c: int, h: int, w: int, noise: int | None) -> Case:
    def inputs(make: Maker) -> tuple[Tensor | None, ...]:
        return (
            make.image(n, c, h, w),
            None if noise is None else make.image(noise, 1, h, w),
            make.parameter(c),
            make.parameter(c),
            make.parameter(n, c),
            make.parameter(n, c),
        )

    return Case(
        f"{n}x{c}x{h}x{w}-{'no' if noise is None else 'own' if noise == n else 'shared'}-noise", inputs
    )


CASES = {
    "style_epilogue": [
        _case(2, 3, 4, 4, 2),
        _case(2, 19, 5, 7, 1),
        _case(3, 4, 6, 5, None),
        _case(1, 32, 33, 17, 1),
        _case(0, 4, 8, 8, 1),
    ]
}
