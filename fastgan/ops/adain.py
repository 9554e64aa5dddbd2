"""Adaptive instance normalisation (Huang & Belongie 2017, eq. 8; Karras et al. 2019, eq. 1), in one pass."""

import torch
from torch import Tensor

from fastgan.ops import _check
from fastgan.ops._native import dense, has_op, is_native, operand, plain
from fastgan.ops.cases import Case, Maker, accumulation_dtype


def adain(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalise every plane of `x` and give it the style's scale and shift.

        y = (1 + scale) * (x - mean) / sqrt(var + eps) + shift

    x: [N, C, H, W] float32, bfloat16, float16 or float64, contiguous or channels_last (the output keeps
    dtype and layout). scale, shift: [N, C]; kept in float32 (float64 for float64 x). Mean and biased variance
    run over H, W in float32 (float64). Differentiable to any order. Raises ValueError on a wrong shape,
    TypeError on a wrong dtype.
    """
    _check.image("adain", "x", x)
    _check.shape("adain", "scale", scale, x.shape[:2])
    _check.shape("adain", "shift", shift, x.shape[:2])
    if not is_native(x):
        return plain(adain_reference)(x, scale, shift, eps)
    return torch.ops.fastgan.adain(dense(x), operand(scale, x), operand(shift, x), eps)[0]


def adain_reference(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """`adain` in plain torch."""
    acc = accumulation_dtype(x.dtype)
    h = x.to(acc)
    mean = h.mean((2, 3), keepdim=True)
    centred = h - mean
    rstd = (centred.square().mean((2, 3), keepdim=True) + eps).rsqrt()
    y = (1 + planes(scale.to(acc))) * (centred * rstd) + planes(shift.to(acc))
    return y.to(x.dtype)


def planes(v: Tensor) -> Tensor:
    """[N, C] -> [N, C, 1, 1], to meet an image."""
    return v[..., None, None]


# --- fake kernels ---------------------------------------------------------------------------------------------


def _fake(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(scale), torch.empty_like(scale)


def _fake_backward(g: Tensor, x: Tensor, scale: Tensor, mean: Tensor, rstd: Tensor) -> tuple[Tensor, ...]:
    return torch.empty_like(x), torch.empty_like(scale), torch.empty_like(scale)


# --- autograd -------------------------------------------------------------------------------------------------
# With xhat = (x - mean) * rstd, a = 1 + scale and <.> the mean over a plane:
#   dx = a * rstd * (g - <g> - xhat * <g * xhat>),   dscale = sum(g * xhat),   dshift = sum(g).
# The backward op takes mean and rstd as arguments of their own, so its derivative has terms for them, which
# the forward's backward carries on to x: derivatives of every order compose from these two.


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, scale, _, _ = inputs
    _, mean, rstd = output
    ctx.save_for_backward(x, scale, mean, rstd)
    ctx.set_materialize_grads(False)


def _backward(ctx, g, g_mean, g_rstd):  # type: ignore[no-untyped-def]
    x, scale, mean, rstd = ctx.saved_tensors
    dx = dscale = dshift = None
    if g is not None:
        dx, dscale, dshift = torch.ops.fastgan.adain_backward(g, x, scale, mean, rstd)
    from_statistics = statistics_backward(x, mean, rstd, g_mean, g_rstd)
    if from_statistics is not None:
        dx = from_statistics if dx is None else dx + from_statistics
    return dx, dscale, dshift, None


def statistics_backward(
    x: Tensor, mean: Tensor, rstd: Tensor, g_mean: Tensor | None, g_rstd: Tensor | None
) -> Tensor | None:
    """Carry gradients of mean and rstd [N, C] to x: d mean/dx = 1/M, d rstd/dx = -rstd^3 (x - mean) / M."""
    if g_mean is None and g_rstd is None:
        return None
    pixels = x.shape[2] * x.shape[3]
    dx = torch.zeros_like(x, dtype=mean.dtype)
    if g_mean is not None:
        dx = dx + planes(g_mean) / pixels
    if g_rstd is not None:
        dx = dx - planes(g_rstd * rstd**3) * centred(x.to(mean.dtype), mean) / pixels
    return dx.to(x.dtype)


def centred(h: Tensor, mean: Tensor) -> Tensor:
    """`h` less its planes' mean, given that mean up to rounding: equal values give 0, however large they are.

    The mean comes from a kernel, which may have rounded h differently; rstd would blow that up to 1 / sqrt(eps) times.
    """
    nearly = h - planes(mean)
    return nearly - nearly.mean((2, 3), keepdim=True)


def _setup_context_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _backward_backward(ctx, u, u_scale, u_shift):  # type: ignore[no-untyped-def]
    g, x, scale, mean, rstd = ctx.saved_tensors
    return adain_double_backward(u, u_scale, u_shift, g, x, scale, mean, rstd)


def adain_double_backward(
    u: Tensor,
    u_scale: Tensor,
    u_shift: Tensor,
    g: Tensor,
    x: Tensor,
    scale: Tensor,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of <u, dx> + <u_scale, dscale> + <u_shift, dshift> for g, x, scale, mean, rstd; plain torch."""
    acc, over = mean.dtype, (2, 3)
    u_, g_, x_ = u.to(acc), g.to(acc), x.to(acc)
    a_rstd = planes((1 + scale) * rstd)
    deviations = centred(x_, mean)
    xhat = deviations * planes(rstd)
    u_mean, g_mean = u_.mean(over, keepdim=True), g_.mean(over, keepdim=True)
    u_xhat, g_xhat = (u_ * xhat).mean(over, keepdim=True), (g_ * xhat).mean(over, keepdim=True)

    to_g = a_rstd * (u_ - u_mean - xhat * u_xhat) + planes(u_scale) * xhat + planes(u_shift)
    # <u, dx> = a * rstd * inner, and inner depends on x through xhat alone.
    inner = (u_ * (g_ - g_mean - xhat * g_xhat)).sum(over)
    to_xhat = planes(u_scale) * g_ - a_rstd * (g_xhat * u_ + u_xhat * g_)
    to_x = to_xhat * planes(rstd)
    to_mean = -to_x.sum(over)
    to_rstd = (to_xhat * deviations).sum(over) + (1 + scale) * inner
    return to_g.to(g.dtype), to_x.to(x.dtype), rstd * inner, to_mean, to_rstd


if has_op("adain"):
    torch.library.register_fake("fastgan::adain", _fake)
    torch.library.register_fake("fastgan::adain_backward", _fake_backward)
    torch.library.register_autograd("fastgan::adain", _backward, setup_context=_setup_context)
    torch.library.register_autograd(
        "fastgan::adain_backward", _backward_backward, setup_context=_setup_context_backward
    )


def _case(n: int, c: int, h: int, w: int) -> Case:
    def inputs(make: Maker) -> tuple[Tensor, ...]:
        return make.image(n, c, h, w), make.parameter(n, c), make.parameter(n, c)

    return Case(f"{n}x{c}x{h}x{w}", inputs)


CASES = {
    "adain": [
        _case(2, 3, 4, 4),
        _case(2, 19, 5, 7),
        _case(1, 32, 33, 17),
        _case(3, 2, 1, 1),
        _case(0, 4, 8, 8),
    ]
}
