"""How wrong an op may be: at most twice as wrong as torch itself, both measured against float64.

Torch's error is that of the op's reference, run in the dtype that the op accumulates in, plus half a unit in the last
place for the store. One run of it can be right by luck (a mean that rounds to itself), so where an op seems to exceed
twice that, torch's error is sampled: the reference runs in float64 with a random relative error of one unit in the
last place of the accumulation dtype after every operation (Monte Carlo arithmetic, Parker 1997). What that yields is
what any order of operations might have yielded.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fastgan.ops.adain import planes
from fastgan.ops.cases import accumulation_dtype
from tests.ops.fuzz import OPS, Call

BOUND = 2.0  # times torch's own error
FEW_UNITS = (
    16  # of the accumulation dtype, at the scale of the plane, are always allowed: the longest sums take 11
)
SAMPLES = (4, 60)  # of torch's error, the second only where the first did not suffice
INEXACT_REDUCTIONS = {"convolution", "convolution_backward", "sum", "mean", "linalg_vector_norm"}
INEXACT = INEXACT_REDUCTIONS | {
    *("add", "sub", "rsub", "mul", "div", "pow", "square", "sqrt", "rsqrt", "reciprocal"),
    *("leaky_relu", "leaky_relu_backward"),
}
# Float64 has nothing finer to measure torch's own error in, reductions included: this many units stand for it.
UNITS = {torch.float32: 1, torch.float64: 16}


class RoundingNoise(TorchDispatchMode):
    """Every operation's result is off by one unit in the last place of `dtype`, up or down at random."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.relative = torch.finfo(dtype).eps * UNITS[dtype]
        self.absolute = torch.finfo(dtype).smallest_normal * self.relative

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func._schema.name.removeprefix("aten::")
        if name in INEXACT_REDUCTIONS:  # each term is rounded too
            args = tuple(self.noisy(a) for a in args)
        out = func(*args, **(kwargs or {}))
        if name not in INEXACT:
            return out
        return tuple(self.noisy(o) for o in out) if isinstance(out, tuple) else self.noisy(out)

    def noisy(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dtype != torch.float64:
            return x
        signs = torch.randint_like(x, 0, 2) * 2 - 1
        return x + signs * (self.relative * x.abs() + self.absolute)


def derivatives(
    function: Callable[..., Tensor], args: list[Tensor | None], call: Call, g: Tensor, *, second: bool
) -> dict[str, Tensor]:
    """The output, its gradient for every argument, and with `second` the gradient of their weighted sum."""
    y = function(*args, **call.kwargs)
    leaves = {f"d{i}": a for i, a in enumerate(args) if a is not None}
    grads = grad_of(y, leaves, g, create_graph=second)
    results = {"y": y, **grads}
    if second:
        rng = torch.Generator().manual_seed(call.seed)
        weights = [torch.randn(v.shape, generator=rng, dtype=torch.float64).to(v) for v in grads.values()]
        total = sum((v.double() * w.double()).sum() for v, w in zip(grads.values(), weights, strict=True))
        assert isinstance(total, Tensor)
        results |= {f"second {k}": v for k, v in grad_of(total, {**leaves, "g": g}, None).items()}
    return {k: v.detach() for k, v in results.items()}


def grad_of(y: Tensor, leaves: dict[str, Tensor], g: Tensor | None, **options: Any) -> dict[str, Tensor]:
    if not y.requires_grad:  # nothing of it depends on any argument
        return {k: torch.zeros_like(v) for k, v in leaves.items()}
    grads = torch.autograd.grad(y, list(leaves.values()), g, materialize_grads=True, **options)
    return dict(zip(leaves, grads, strict=True))


def converted(args: list[Tensor | None], dtype: torch.dtype) -> list[Tensor | None]:
    return [None if a is None else a.detach().to(dtype).clone().requires_grad_() for a in args]


def reference_of(call: Call, ours: Tensor) -> Callable[..., Tensor]:
    """The op's reference. For bias_act it takes the branch that our output shows, which is how the op defines its
    gradient: where x + bias is too small for the output's dtype to hold, the two may differ."""
    if call.op != "bias_act":
        return OPS[call.op].reference
    positive = ours > 0

    def bias_act(x: Tensor, bias: Tensor, slope: float, gain: float) -> Tensor:
        p = x + bias.reshape(-1, *[1] * (x.dim() - 2))
        return gain * torch.where(positive, p, slope * p)

    return bias_act


def eager(call: Call) -> Callable[..., Tensor] | None:
    """The best eager torch for the ops with statistics, whose backward pass is one formula; None for the others."""
    pixels = math.prod(call.shape[2:])
    if call.op not in ("adain", "style_epilogue") or pixels < 2 or 0 in call.shape:
        return None

    def adain(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        return torch.addcmul(planes(shift), 1 + planes(scale), F.instance_norm(x, eps=eps))

    def style_epilogue(
        x: Tensor, noise: Tensor | None, strength: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
        slope: float, eps: float,
    ) -> Tensor:  # fmt: skip
        p = x + planes(bias) if noise is None else x + planes(bias) + planes(strength) * noise
        return adain(F.leaky_relu(p, slope), scale, shift, eps)

    return adain if call.op == "adain" else style_epilogue


class Oracle:
    """What a call's results should be, and how far torch is from that."""

    def __init__(self, call: Call, args: list[Tensor | None], g: Tensor, ours: Tensor, second: bool) -> None:
        self.call, self.args, self.g, self.second = call, args, g, second
        self.acc = accumulation_dtype(call.dtype)
        self.compositions = [reference_of(call, ours), *filter(None, [eager(call)])]
        self.exact = self.run(self.compositions[0], torch.float64, args, g)
        few = FEW_UNITS / BOUND * torch.finfo(self.acc).eps
        with torch.no_grad():
            sizes = magnitudes(call, converted(args, torch.float64), g.double(), self.exact)
        self.torchs = {k: few * sizes.get(k, spread(v, call)) for k, v in self.exact.items()}
        self.measure(args, g, self.exact)

    def run(
        self, function: Callable[..., Tensor], dtype: torch.dtype, args: list[Tensor | None], g: Tensor
    ) -> dict[str, Tensor]:
        leaves, cotangent = converted(args, dtype), g.detach().to(dtype).clone().requires_grad_()
        return derivatives(function, leaves, self.call, cotangent, second=self.second)

    def measure(self, args: list[Tensor | None], g: Tensor, exact: dict[str, Tensor]) -> None:
        """Take torch's error on these arguments into account."""
        for function in self.compositions:
            self.widen(self.run(function, self.acc, args, g), exact)

    def widen(self, torchs: dict[str, Tensor], exact: dict[str, Tensor]) -> None:
        for k, v in torchs.items():
            self.torchs[k] = self.torchs[k].maximum(spread(v.double() - exact[k], self.call))

    def sample(self) -> None:
        """Sample what torch's error might have been: see above."""
        with RoundingNoise(self.acc):
            noisy = self.run(self.compositions[0], torch.float64, self.args, self.g)
        self.widen(noisy, self.exact)
        args = [None if a is None else nudged(a) for a in self.args]
        g = nudged(self.g)
        self.measure(args, g, self.run(self.compositions[0], torch.float64, args, g))


def magnitudes(
    call: Call, args: list[Tensor | None], g: Tensor, exact: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The scale of results that are sums: what their terms add up to without their signs."""
    x, *rest = args
    assert x is not None
    dx, over = exact["d0"].abs(), [0, *range(2, x.dim())]
    if call.op == "bias_act":
        return {"d1": dx.sum(over)}
    if call.op == "interpolate":
        assert rest[0] is not None
        return {"d2": (g * (rest[0] - x)).abs().unsqueeze(-1).flatten(1).sum(1)}
    if call.op not in ("adain", "style_epilogue"):
        return {}
    *before, scale, _ = rest
    assert scale is not None
    sizes, h, slopes, noise, strength = {}, x, torch.ones_like(x), None, None
    if call.op == "style_epilogue":
        noise, strength, bias = before
        assert strength is not None
        assert bias is not None
        h = x + planes(bias) + (0 if noise is None else planes(strength) * noise)
        slopes = torch.where(h > 0, 1.0, call.kwargs["slope"])
        h = slopes * h
    centred = h - h.mean((2, 3), keepdim=True)
    rstd = (centred.square().mean((2, 3), keepdim=True) + call.kwargs["eps"]).rsqrt()
    # Wherever it is, xhat is known to a unit of the plane's largest: the mean is rounded for all of them at once.
    xhat, g = (centred * rstd).abs().amax((2, 3), keepdim=True), g.abs()
    terms = g + g.mean((2, 3), keepdim=True) + xhat * (g * xhat).mean((2, 3), keepdim=True)
    dx = ((1 + planes(scale)) * rstd * slopes).abs() * terms
    if noise is not None and strength is not None:
        of_noise = planes(strength).abs() * dx
        sizes["d1"] = of_noise.sum((0, 1) if noise.shape[0] == 1 else 1).reshape(noise.shape)
        sizes["d2"] = (dx * noise.abs()).sum(over)
    last = len(args) - 1
    return sizes | {
        "d0": spread(dx, call),
        **({"d3": dx.sum(over)} if call.op == "style_epilogue" else {}),
        f"d{last - 1}": (g * xhat).sum((2, 3)),
        f"d{last}": g.sum((2, 3)),
    }


def nudged(x: Tensor) -> Tensor:
    """`x` times a factor just above 1: the same data to the eye, with other roundings."""
    return (x.detach().double() * (1 + 0.1 * torch.rand((), dtype=torch.float64).item())).to(x.dtype)


def ratios(call: Call, args: list[Tensor | None], *, second: bool = False) -> dict[str, float]:
    """Our error over torch's for the output and every gradient; at most BOUND is right."""
    with torch.no_grad():
        g = call.build_cotangent(OPS[call.op].public(*args, **call.kwargs))
    ours = derivatives(OPS[call.op].public, args, call, g, second=second)
    oracle = Oracle(call, args, g, ours["y"], second)
    torch.manual_seed(call.seed)
    for samples in (0, *SAMPLES):
        for _ in range(samples):
            oracle.sample()
        found = {k: ratio(v, oracle.exact[k], oracle.torchs[k]) for k, v in ours.items()}
        if max(found.values()) <= BOUND:
            break
    return found


def spread(error: Tensor, call: Call) -> Tensor:
    """The largest error of a plane (or of a sample, where an op knows no planes), for each of its values.

    Not a number means that torch overflowed on the way: any finite answer is then as good.
    """
    error = error.abs().nan_to_num(math.inf, math.inf)
    over = list(range(1 if call.op in ("interpolate", "gradient_penalty") else 2, error.dim()))
    return error.amax(over, keepdim=True) if over and error.numel() else error


def ratio(ours: Tensor, exact: Tensor, torchs: Tensor) -> float:
    """The worst of |ours - exact| / (torch's error + half a unit in the last place of `ours`)."""
    assert ours.shape == exact.shape, (ours.shape, exact.shape)
    if exact.numel() == 0:
        return 0.0
    info = torch.finfo(ours.dtype)
    beyond = info.max * (1 + info.eps / 4) if ours.dtype != torch.float64 else info.max  # rounds to infinity
    got, want = (v.double().clamp(-beyond, beyond) for v in (ours, exact))
    half_unit = 0.5 * info.eps * want.abs().clamp_min(info.smallest_normal)
    error = (got - want).abs() / (torchs + half_unit)
    error = torch.where(got.isnan(), torch.where(exact.isnan() | torchs.isinf(), 0.0, math.inf), error)
    error = torch.where(exact.isnan() & ~got.isnan() & ~torchs.isinf(), math.inf, error)
    return error.nan_to_num(0.0, math.inf).masked_fill(may_flush(ours, exact), 0.0).max().item()


def may_flush(ours: Tensor, exact: Tensor) -> Tensor:
    """Where a bf16 result is off by what subnormal numbers hold at most.

    VCVTNEPS2BF16 stores zero for them, and VDPBF16PS reads zero for them and flushes its sums: what an upsampling's
    gradient loses so is a few of them, with weights that add up to 4.
    """
    if ours.dtype != torch.bfloat16 or not computes_bf16_in_hardware():
        return torch.zeros_like(ours, dtype=torch.bool)
    return (ours.double() - exact).abs() <= 8 * torch.finfo(torch.bfloat16).smallest_normal


def computes_bf16_in_hardware() -> bool:
    return "avx512_bf16" in cpu_flags()


@cache
def cpu_flags() -> tuple[str, ...]:
    try:
        with open("/proc/cpuinfo") as lines:
            return tuple(next(line for line in lines if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return ()
