"""The penalty on a critic's gradient norm: WGAN-GP (Gulrajani et al. 2017, eq. 3), R1/R2 (Mescheder et al. 2018)."""

import torch
from torch import Tensor

from fastgan.ops import _check
from fastgan.ops._native import dense, has_op, is_native, plain
from fastgan.ops.cases import Case, Maker, accumulation_dtype


def gradient_penalty(grad: Tensor, center: float = 1.0) -> Tensor:
    """Mean over samples of (norm2(grad_i) - center)^2.

    grad: [N, ...] float32, bfloat16, float16 or float64, the critic's gradient at N inputs; norms and mean in
    float32 (float64 for float64). Returns a scalar of that dtype. center 1 is WGAN-GP's penalty; 0 gives the
    mean squared norm of R1 and R2, smooth at zero. A zero gradient at another center has derivative 0. An
    empty batch gives NaN, as torch's mean does. Raises TypeError on a wrong dtype, ValueError on no dimension.
    """
    _check.floating("gradient_penalty", "grad", grad)
    if grad.dim() == 0:
        raise ValueError("gradient_penalty: grad has no dimension; it must be [N, ...].")
    if not is_native(grad):
        return plain(gradient_penalty_reference)(grad, center)
    return torch.ops.fastgan.gradient_penalty(dense(grad), center)[0]


def gradient_penalty_reference(grad: Tensor, center: float = 1.0) -> Tensor:
    """`gradient_penalty` in plain torch."""
    flat = grad.to(accumulation_dtype(grad.dtype)).unsqueeze(-1).flatten(1)
    if center == 0:
        return flat.square().sum(1).mean()
    return (torch.linalg.vector_norm(flat, dim=1) - center).square().mean()


# --- fake kernels ---------------------------------------------------------------------------------------------


def _fake(grad: Tensor, center: float) -> tuple[Tensor, Tensor]:
    acc = accumulation_dtype(grad.dtype)
    return grad.new_empty((), dtype=acc), grad.new_empty(grad.shape[0], dtype=acc)


def _fake_backward(g: Tensor, grad: Tensor, norms: Tensor, center: float) -> Tensor:
    return torch.empty_like(grad)


# --- autograd -------------------------------------------------------------------------------------------------
# With v = grad and n = |v|:  dv = g * 2/N * (1 - center / n) * v.  The backward op takes n as an argument of its
# own, so its derivative has a term for it, which the forward's backward carries on: dn/dv = v / n.


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    grad, ctx.center = inputs
    ctx.save_for_backward(grad, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx, g, g_norms):  # type: ignore[no-untyped-def]
    grad, norms = ctx.saved_tensors
    d_grad = None
    if g is not None:
        d_grad = torch.ops.fastgan.gradient_penalty_backward(g, grad, norms, ctx.center)
    if g_norms is not None:
        from_norms = (_each(g_norms * _inverse(norms), grad) * grad.to(norms.dtype)).to(grad.dtype)
        d_grad = from_norms if d_grad is None else d_grad + from_norms
    return d_grad, None


def _inverse(norms: Tensor) -> Tensor:
    """1 / norms, and 0 where a norm is 0: the subgradient that the kernels take."""
    return torch.where(norms > 0, norms, torch.inf).reciprocal()


def _each(v: Tensor, x: Tensor) -> Tensor:
    return v.reshape(-1, *[1] * (x.dim() - 1))


def _setup_context_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    g, grad, norms, ctx.center = inputs
    ctx.save_for_backward(g, grad, norms)


def _backward_backward(ctx, u):  # type: ignore[no-untyped-def]
    g, v, norms = ctx.saved_tensors
    acc, n = norms.dtype, max(v.shape[0], 1)
    inverse = _inverse(norms)
    # A zero gradient has weight 0 in the kernel (unless the center is 0, where the weight is always 1).
    weight = torch.where(norms > 0, 1 - ctx.center * inverse, 0.0) if ctx.center else torch.ones_like(norms)
    along = (u.to(acc) * v.to(acc)).unsqueeze(-1).flatten(1).sum(1)
    to_g = 2 / n * (weight * along).sum()
    to_v = (2 / n * g * _each(weight, u) * u.to(acc)).to(v.dtype)
    to_norms = 2 / n * g * ctx.center * inverse.square() * along
    return to_g, to_v, to_norms, None


if has_op("gradient_penalty"):
    torch.library.register_fake("fastgan::gradient_penalty", _fake)
    torch.library.register_fake("fastgan::gradient_penalty_backward", _fake_backward)
    torch.library.register_autograd("fastgan::gradient_penalty", _backward, setup_context=_setup_context)
    torch.library.register_autograd(
        "fastgan::gradient_penalty_backward", _backward_backward, setup_context=_setup_context_backward
    )


def _case(*shape: int, center: float) -> Case:
    def inputs(make: Maker) -> tuple[Tensor]:
        return (make.image(*shape),)

    return Case(f"{'x'.join(map(str, shape))}-center{center:g}", inputs, {"center": center})


CASES = {
    "gradient_penalty": [
        _case(2, 3, 4, 4, center=1.0),
        _case(2, 3, 4, 4, center=0.0),
        _case(3, 5, 7, 9, center=0.7),
        _case(4, 33, center=1.0),
        _case(0, 3, 4, 4, center=1.0),
    ]
}
