"""The straight line between real and fake samples on which WGAN-GP measures its gradient (Gulrajani et al. 2017)."""

import torch
from torch import Tensor

from fastgan.ops import _check
from fastgan.ops._native import dense, has_op, is_native, operand, plain
from fastgan.ops.cases import Case, Maker, accumulation_dtype


def interpolate(real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """Compute real + t * (fake - real), one t a sample.

    real, fake: [N, ...] of one shape and dtype (float32, bfloat16, float16, float64). t: [N], in [0, 1] for the
    penalty though any value works. The output has `real`'s dtype and layout. Differentiable to any order.
    Raises ValueError on unlike shapes, TypeError on unlike dtypes.
    """
    _check.floating("interpolate", "real", real)
    if fake.dtype != real.dtype:
        raise TypeError(f"interpolate: fake is {fake.dtype} but real is {real.dtype}; they must be alike.")
    _check.shape("interpolate", "fake", fake, tuple(real.shape))
    _check.shape("interpolate", "t", t, (real.shape[0],))
    if not is_native(real):
        return plain(interpolate_reference)(real, fake, t)
    return torch.ops.fastgan.interpolate(dense(real), fake, operand(t, real))


def interpolate_reference(real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """`interpolate` in plain torch."""
    acc = accumulation_dtype(real.dtype)
    return (real.to(acc) + _each(t.to(acc), real) * (fake.to(acc) - real.to(acc))).to(real.dtype)


def _each(t: Tensor, x: Tensor) -> Tensor:
    """[N] -> [N, 1, ...], to meet `x`."""
    return t.reshape(-1, *[1] * (x.dim() - 1))


def _fake(real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    return torch.empty_like(real)


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _backward(ctx, g):  # type: ignore[no-untyped-def]
    real, fake, t = ctx.saved_tensors
    d_real = d_fake = d_t = None
    if ctx.needs_input_grad[0]:
        d_real = (g * _each(1 - t, g)).to(real.dtype)
    if ctx.needs_input_grad[1]:
        d_fake = (g * _each(t, g)).to(fake.dtype)
    if ctx.needs_input_grad[2]:
        d_t = (g.to(t.dtype) * (fake.to(t.dtype) - real.to(t.dtype))).unsqueeze(-1).flatten(1).sum(1)
    return d_real, d_fake, d_t


if has_op("interpolate"):
    torch.library.register_fake("fastgan::interpolate", _fake)
    torch.library.register_autograd("fastgan::interpolate", _backward, setup_context=_setup_context)


def _case(*shape: int) -> Case:
    def inputs(make: Maker) -> tuple[Tensor, ...]:
        return make.image(*shape), make.image(*shape), make.uniform(shape[0])

    return Case("x".join(map(str, shape)), inputs)


CASES = {"interpolate": [_case(2, 3, 4, 4), _case(3, 5, 7, 9), _case(4, 33), _case(0, 3, 4, 4)]}
