"""What must hold of every op on fuzzed calls besides its accuracy: see test_accuracy.py for that, fuzz.py for calls."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan import ops
from fastgan.benchmark.suite import threads
from tests.conftest import DEVICE
from tests.ops.fuzz import IMAGE_OPS, NORMALISING, OPS, TAPS, Call, calls, fraction, fuzz, one_of
from tests.ops.oracle import BOUND, ratios

pytestmark = pytest.mark.skipif(ops.backend(DEVICE.type) != "native", reason="the reference is the oracle")
ORDINARY = ["normal", "integers", "wide"]


def results(call: Call, args: list[Tensor | None] | None = None, *, reference: bool = False) -> list[Tensor]:
    """The output and the gradient of every argument."""
    args = call.build() if args is None else args
    op = OPS[call.op]
    y = (op.reference if reference else op.public)(*args, **call.kwargs)
    leaves = [a for a in args if a is not None]
    grads = torch.autograd.grad(y, leaves, call.build_cotangent(y), materialize_grads=True)
    return [y.detach(), *grads]


def bits(x: Tensor) -> Tensor:
    """`x` as integers, in which NaN equals itself and zero does not equal minus zero."""
    return x.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()])


def same(a: Tensor, b: Tensor) -> bool:
    return bits(a).equal(bits(b))


# --- NaN and infinity -------------------------------------------------------------------------------------------


def poisoned(
    call: Call, poison: float, where: float, argument: float
) -> tuple[list[Tensor | None], int, int]:
    """The call's arguments with one value replaced; which argument, and which of its values in logical order."""
    args = call.build(layout="nchw" if call.layout in ("shared", "flat planes") else None)
    images = [i for i, a in enumerate(args) if a is not None and a.numel() and 0 not in a.stride()]
    chosen = images[int(argument * len(images))]
    victim = args[chosen]
    assert victim is not None
    index = int(where * victim.numel())
    with torch.no_grad():
        victim[tuple(int(i) for i in torch.unravel_index(torch.tensor(index), victim.shape))] = poison
    return args, chosen, index


@fuzz(
    150,
    call=calls(values=ORDINARY, taps=[t for t in TAPS if len(t) == 4 and 0 not in t], empty=False),
    poison=one_of([torch.nan, torch.inf, -torch.inf]),
    where=fraction,
    argument=fraction,
)
def test_nan_and_infinity_land_where_torch_puts_them(
    call: Call, poison: float, where: float, argument: float
) -> None:
    args, _, _ = poisoned(call, poison, where, argument)
    ours, torchs = results(call, args), results(call, args, reference=True)
    assert ours[0].isnan().equal(torchs[0].isnan())
    assert ours[0].isposinf().equal(torchs[0].isposinf())
    assert ours[0].isneginf().equal(torchs[0].isneginf())
    if poison != poison:
        for a, b in zip(ours[1:], torchs[1:], strict=True):
            assert a.isnan().equal(b.isnan())


@fuzz(60, call=calls(ops=["upsample2x", "downsample2x"], values=ORDINARY, empty=False), where=fraction)
def test_nan_reaches_what_its_taps_reach(call: Call, where: float) -> None:
    """Where a tap is 0 torch's own convolutions differ (0 times NaN): it may spread there, and no further."""
    args, _, index = poisoned(call, torch.nan, where, 0)
    mark = torch.zeros(call.shape, dtype=torch.float64)
    mark.view(-1)[index] = 1
    reference, taps = OPS[call.op].reference, call.kwargs["taps"]
    must = reference(mark, [float(t != 0) for t in taps]) > 0
    may = reference(mark, (1, 1, 1, 1)) > 0
    got = results(call, args)[0].isnan().cpu()
    assert (got | ~must).all()
    assert (may | ~got).all()


@fuzz(
    80,
    call=calls(ops=IMAGE_OPS, values=ORDINARY, empty=False, flat=False),
    poison=one_of([torch.nan, torch.inf]),
    where=fraction,
)
def test_other_planes_do_not_notice(call: Call, poison: float, where: float) -> None:
    args, _, index = poisoned(call, poison, where, 0)
    clean = call.build(layout="nchw" if call.layout in ("shared", "flat planes") else None)
    plane = index // (call.shape[2] * call.shape[3])
    others = torch.arange(call.shape[0] * call.shape[1]) != plane
    for a, b in zip(results(call, args)[:2], results(call, clean)[:2], strict=True):
        assert same(a.flatten(0, 1)[others.to(DEVICE)], b.flatten(0, 1)[others.to(DEVICE)])


# --- planes without spread --------------------------------------------------------------------------------------


@fuzz(
    80,
    call=calls(
        ops=NORMALISING, dtypes=[torch.float32, torch.float64], values=["constant", "zeros"], empty=False
    ),
    value=one_of([0.1, -3.3, 1e4, 12345.678, 1e-20, 1e12]),
)
def test_constant_planes_give_the_shift(call: Call, value: float) -> None:
    """As in torch, where a plane's mean is its value: what eps divides is nothing, or a rounding of it."""
    args = call.build(layout="nchw" if call.layout == "shared" else None)
    with torch.no_grad():
        x, *_, scale, shift = args
        assert x is not None
        assert scale is not None
        assert shift is not None
        x = x.new_full((), value).expand(x.shape).clone(memory_format=torch.preserve_format).requires_grad_()
        for a in args[1:-2]:  # no noise, no bias: nothing but the plane
            if a is not None:
                a.mul_(0.0) if 0 not in a.stride() else a[(0,) * a.dim()].mul_(0.0)
        args[0] = x
    y, dx, *others = results(call, args)
    slope = call.kwargs.get("slope", 1.0) if value < 0 else 1.0
    # The mean is off by two units in its last place at most, one of them the sum's.
    mean = 2 * torch.finfo(y.dtype).eps * abs(value * slope) / (call.kwargs["eps"] ** 0.5)
    wanted = shift[..., None, None].to(y.dtype)
    allowed = mean * (1 + scale.abs())[..., None, None] + 2 * torch.finfo(y.dtype).eps * wanted.abs()
    assert ((y - wanted).abs() <= allowed).all()
    for gradient in (dx, *others):
        assert gradient.isfinite().all() or call.cotangent == "huge"


@fuzz(
    40,
    call=calls(
        ops=NORMALISING,
        dtypes=[torch.float32, torch.bfloat16],
        values=["constant"],
        layouts=["nchw", "nhwc"],
        empty=False,
    ),
    value=one_of([0.1, -3.3, 1e4, 12345.678]),
)
def test_constant_planes_have_no_gradient(call: Call, value: float) -> None:
    """Nor a second one, where what comes in is constant, too: whatever rounds in the mean rounds in its values."""
    args = call.build()
    with torch.no_grad():
        for a in args:
            if a is not None and a.dim() == 4:
                a.copy_(a[..., :1, :1].clone().expand(a.shape) * value)
    y = OPS[call.op].public(*args, **call.kwargs)
    images = [a for a in args if a is not None and a.dim() == 4]
    grads = torch.autograd.grad(y, images, torch.ones_like(y).requires_grad_(), create_graph=True)
    total = sum((grad.double().flatten()[0] for grad in grads), torch.zeros((), dtype=torch.float64))
    second = torch.autograd.grad(total, images, materialize_grads=True)
    gain = (call.kwargs["eps"] ** -0.5) * sum(
        1 + a.detach().abs().double().sum() for a in args[1:] if a is not None
    )
    for order, gradients in enumerate((grads, second), start=1):
        assert all((grad.abs() <= 1e-6 * gain**order).all() for grad in gradients)


@fuzz(
    40,
    call=calls(
        ops=NORMALISING, dtypes=[torch.float32, torch.bfloat16], values=["square overflows"], empty=False
    ),
)
def test_planes_whose_squares_overflow_give_the_shift(call: Call) -> None:
    """As `F.instance_norm` does: the variance is infinite, and 1 / std is 0."""
    call = replace(call, cotangent="normal", parameters="small")
    args = call.build()
    x, scale, shift = args[0], args[-2], args[-1]
    assert x is not None
    assert scale is not None
    assert shift is not None
    y, dx, *others = results(call, args)
    if math.prod(call.shape[2:]) > 1 and 0 not in x.stride()[2:]:
        assert y.equal(shift[..., None, None].to(y.dtype).expand_as(y))
        assert not dx.any()
    for gradient in (dx, *others):
        assert gradient.isfinite().all()


# --- layouts ----------------------------------------------------------------------------------------------------


@fuzz(
    100,
    call=calls(values=ORDINARY, layouts=["nchw"], flat=False),
    other=one_of(["nhwc", "gap", "offset", "shared"]),
)
def test_layout_changes_nothing_but_rounding(call: Call, other: str) -> None:
    """Every layout is as near to the truth; and the output has its input's memory format."""
    args = call.build(layout=other)
    found = ratios(call, args)
    assert max(found.values()) <= BOUND, found
    y = results(call, args)[0]
    x = args[0]
    assert x is not None
    only_channels_last = (
        y.dim() == 4 and not x.is_contiguous() and other == "nhwc"
    )  # where both hold, ours is NCHW
    assert y.is_contiguous(
        memory_format=torch.channels_last if only_channels_last else torch.contiguous_format
    )


# --- the algebra of resampling ----------------------------------------------------------------------------------


@fuzz(60, call=calls(ops=["upsample2x"], dtypes=[torch.float64], values=["normal"]), taps=one_of(TAPS))
def test_resampling_is_linear_and_adjoint(call: Call, taps: tuple[float, ...]) -> None:
    (x,), (z,) = call.build(), call.build(layout="nchw")
    assert x is not None
    assert z is not None
    z = z.flip(-1)
    up = ops.upsample2x(x, taps)
    y = torch.randn(up.shape, generator=torch.Generator().manual_seed(call.seed), dtype=up.dtype).to(up)
    down = ops.downsample2x(y, taps)
    size = up.norm() * y.norm() + 1
    assert ((up * y).sum() - 4 * (x * down).sum()).abs() <= 1e-13 * size
    combined = ops.upsample2x(2 * x - 3 * z, taps)
    assert (
        F.l1_loss(combined, 2 * up - 3 * ops.upsample2x(z, taps), reduction="sum")
        <= 1e-13 * up.numel() * size
    )
    both = ops.downsample2x(2 * y - 3 * up, taps)
    assert (
        F.l1_loss(both, 2 * down - 3 * ops.downsample2x(up, taps), reduction="sum")
        <= 1e-13 * up.numel() * size
    )


# --- the same bits ----------------------------------------------------------------------------------------------


@fuzz(60, call=calls(values=["normal"]))
def test_same_call_same_bits(call: Call) -> None:
    for a, b in zip(results(call), results(call), strict=True):
        assert same(a, b)


@pytest.mark.skipif(DEVICE.type != "cpu", reason="about threads of the CPU")
@pytest.mark.parametrize("shape", [(2, 33, 65, 64), (1, 3, 257, 255), (4, 64, 16, 17)], ids=str)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("op", sorted(OPS))
def test_threads_do_not_show(op: str, layout: str, shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        call = Call(op=op, dtype=dtype, shape=shape, layout=layout)
        with threads(1):
            alone = results(call)
        with threads(2):
            together = results(call)
        if op == "interpolate":  # torch itself sums the gradient of t
            alone, together = alone[:-1], together[:-1]
        for a, b in zip(alone, together, strict=True):
            assert same(a, b)


# --- instruction sets -------------------------------------------------------------------------------------------

PROBE = """
from fastgan import ops
from tests.ops.fuzz import calls, fuzz
from tests.ops.test_accuracy import check

@fuzz(40, call=calls())
def accurate(call):
    check(call)

accurate()
print(ops.backend(), ops.build_info()["isa"])
"""


@pytest.mark.skipif(DEVICE.type != "cpu", reason="about the CPU")
@pytest.mark.parametrize("isa", ops.build_info().get("isa_built", "").split())
def test_every_instruction_set_is_as_accurate(isa: str) -> None:
    if isa == ops.build_info()["isa"]:
        pytest.skip("what every other test here runs on")
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, "FASTGAN_ISA": isa, "FASTGAN_OPS": "native"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    backend, used = done.stdout.split()[-2:]
    assert backend == "native"
    if isa == "base":  # others only where the processor has them
        assert used == "base"
