"""Blurred resampling by two, the "bilinear" up- and downsampling of Karras et al. 2019 (after Zhang 2019)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.ops import _check
from fastgan.ops._native import dense, has_op, is_native, plain
from fastgan.ops.cases import Case, Maker, accumulation_dtype

BLUR = (1.0, 3.0, 3.0, 1.0)


def upsample2x(x: Tensor, taps: Sequence[float] = BLUR) -> Tensor:
    """Double height and width: insert zeros, blur each axis with the normalised taps, gain 4, zero padding.

    x: [N, C, H, W] float32, bfloat16, float16 or float64, contiguous or channels_last -> [N, C, 2H, 2W], same
    dtype and layout. taps: 2 or 4 numbers with a non-zero sum. The default equals nearest-neighbour doubling
    followed by [1, 2, 1] / 4 on each axis; (1, 1) is nearest-neighbour doubling alone. Linear, and
    differentiable to any order. Raises ValueError on a wrong shape or taps, TypeError on a wrong dtype.
    """
    _check.image("upsample2x", "x", x)
    f = [2 * t for t in normalised_taps("upsample2x", taps)]
    if not is_native(x):
        return plain(upsample2x_reference)(x, taps)
    return torch.ops.fastgan.upsample2x(dense(x), *f, 2 * x.shape[2], 2 * x.shape[3])


def downsample2x(x: Tensor, taps: Sequence[float] = BLUR) -> Tensor:
    """Halve height and width: blur each axis with the normalised taps, zero padding, keep every second pixel.

    x: [N, C, H, W], H and W at least 2, dtypes and layouts as in `upsample2x` -> [N, C, H // 2, W // 2].
    The default equals [1, 2, 1] / 4 on each axis followed by a 2x2 mean. It is the adjoint of `upsample2x`
    divided by 4. Raises as `upsample2x` does.
    """
    _check.image("downsample2x", "x", x)
    if min(x.shape[2:]) < 2:
        raise ValueError(f"downsample2x: x has shape {list(x.shape)}; height and width must be at least 2.")
    f = normalised_taps("downsample2x", taps)
    if not is_native(x):
        return plain(downsample2x_reference)(x, taps)
    return torch.ops.fastgan.downsample2x(dense(x), *f)


def normalised_taps(op: str, taps: Sequence[float]) -> list[float]:
    """Four taps with sum 1; two taps are the middle ones."""
    if len(taps) not in (2, 4) or not sum(taps):
        raise ValueError(f"{op}: taps is {tuple(taps)}; it must be 2 or 4 numbers with a non-zero sum.")
    padded = [0.0, *taps, 0.0] if len(taps) == 2 else list(taps)
    return [t / sum(taps) for t in padded]


def upsample2x_reference(x: Tensor, taps: Sequence[float] = BLUR) -> Tensor:
    """`upsample2x` in plain torch."""
    n, c, h, w = x.shape
    if c == 0:  # which torch's grouped convolutions refuse
        return x.reshape(n, c, 2 * h, 2 * w)
    k = _kernel(x, [2 * t for t in normalised_taps("upsample2x", taps)])
    return F.conv_transpose2d(x.to(k.dtype), k, stride=2, padding=1, groups=c).to(x.dtype)


def downsample2x_reference(x: Tensor, taps: Sequence[float] = BLUR) -> Tensor:
    """`downsample2x` in plain torch."""
    n, c, h, w = x.shape
    if c == 0:
        return x.reshape(n, c, h // 2, w // 2)
    k = _kernel(x, normalised_taps("downsample2x", taps))
    return F.conv2d(x.to(k.dtype), k, stride=2, padding=1, groups=c).to(x.dtype)


def _kernel(x: Tensor, f: list[float]) -> Tensor:
    """The separable blur as a depthwise convolution weight [C, 1, 4, 4]."""
    axis = torch.tensor(f, dtype=accumulation_dtype(x.dtype), device=x.device)
    return torch.outer(axis, axis).expand(x.shape[1], 1, 4, 4)


# --- fake kernels ---------------------------------------------------------------------------------------------


def _like(x: Tensor, height: int, width: int) -> Tensor:
    """An empty [N, C, height, width] in the memory format that the kernels give for `x`."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    out = x.new_empty(x.shape[0], x.shape[1], height, width)
    return out.to(memory_format=torch.channels_last) if channels_last else out


def _fake_upsample(x: Tensor, t0: float, t1: float, t2: float, t3: float, height: int, width: int) -> Tensor:
    return _like(x, height, width)


def _fake_downsample(x: Tensor, t0: float, t1: float, t2: float, t3: float) -> Tensor:
    return _like(x, x.shape[2] // 2, x.shape[3] // 2)


# --- autograd -------------------------------------------------------------------------------------------------
# The two raw ops are linear and, with the same taps, each the adjoint of the other.


def _setup_context_upsample(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.taps = inputs[1:5]


def _backward_upsample(ctx, g):  # type: ignore[no-untyped-def]
    return torch.ops.fastgan.downsample2x(g, *ctx.taps), *[None] * 6


def _setup_context_downsample(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, *ctx.taps = inputs
    ctx.height, ctx.width = x.shape[2:]


def _backward_downsample(ctx, g):  # type: ignore[no-untyped-def]
    return torch.ops.fastgan.upsample2x(g, *ctx.taps, ctx.height, ctx.width), *[None] * 4


if has_op("upsample2x"):
    torch.library.register_fake("fastgan::upsample2x", _fake_upsample)
    torch.library.register_fake("fastgan::downsample2x", _fake_downsample)
    torch.library.register_autograd(
        "fastgan::upsample2x", _backward_upsample, setup_context=_setup_context_upsample
    )
    torch.library.register_autograd(
        "fastgan::downsample2x", _backward_downsample, setup_context=_setup_context_downsample
    )


def _case(n: int, c: int, h: int, w: int, taps: tuple[float, ...] = BLUR) -> Case:
    def inputs(make: Maker) -> tuple[Tensor]:
        return (make.image(n, c, h, w),)

    return Case(f"{n}x{c}x{h}x{w}-{len(taps)}taps", inputs, {"taps": taps})


CASES = {
    "upsample2x": [
        _case(2, 3, 4, 4),
        _case(2, 19, 5, 7, (1, 2, 4, 3)),
        _case(1, 32, 33, 17),
        _case(3, 2, 1, 1),
        _case(1, 5, 2, 40, (1, 1)),
        _case(0, 4, 8, 8),
    ],
    "downsample2x": [
        _case(2, 3, 4, 4),
        _case(2, 19, 5, 7, (1, 2, 4, 3)),
        _case(1, 32, 33, 17),
        _case(3, 2, 2, 2),
        _case(1, 5, 3, 40, (1, 1)),
        _case(0, 4, 8, 8),
    ],
}
