"""Every op that fastgan.ops declares, on every case: values, first and second derivatives, and tracing.

The references are the oracle, run in float64; they are themselves checked against torch's own layers in
test_references.py.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fastgan import ops
from fastgan.ops import Case, Maker, Op

CASES = [pytest.param(op, case, id=f"{op.name}-{case.id}") for op in ops.discover() for case in op.cases]
LAYOUTS = [
    pytest.param(torch.contiguous_format, id="NCHW"),
    pytest.param(torch.channels_last, id="NHWC"),
]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def tensors(values: Sequence[object]) -> list[Tensor]:
    return [v for v in values if isinstance(v, Tensor)]


def to_float64(values: Sequence[object]) -> list[object]:
    return [
        v.detach().double().requires_grad_(v.requires_grad) if isinstance(v, Tensor) else v for v in values
    ]


def assert_as_close_as_torch(ours: Tensor, torchs: Tensor, exact: Tensor) -> None:
    """The error of `ours` is at most twice that of torch at the same dtype, both against float64.

    Errors are relative to the largest value, and a few units in the last place are always allowed, since
    torch may round to the exact answer by luck.
    """
    assert ours.dtype == torchs.dtype
    assert ours.shape == exact.shape
    if exact.numel() == 0:
        return
    if exact.isnan().any():  # the mean over an empty batch
        assert ours.isnan().equal(exact.isnan())
        return
    size = exact.abs().max().clamp_min(1e-30)
    units = (
        8 if ours.dtype != torch.float64 else 100
    )  # float64 has no better reference to measure torch against
    error = ((ours.double() - exact).abs().max() / size).item()
    allowed = ((torchs.double() - exact).abs().max() / size).item()
    assert error <= 2 * allowed + units * torch.finfo(ours.dtype).eps, (error, allowed)


@pytest.fixture
def native(device: torch.device) -> None:
    assert ops.backend(device.type) == "native", ops.build_info()


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("op", "case"), CASES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_and_gradients(
    op: Op, case: Case, layout: torch.memory_format, dtype: torch.dtype, device: torch.device
) -> None:
    """Forward and backward agree with the float64 reference as well as the reference at that dtype does."""
    make = Maker(device=device, dtype=dtype, memory_format=layout, requires_grad=True)
    inputs = case.inputs(make)
    exact_inputs = to_float64(inputs)

    ours = op.public(*inputs, **case.kwargs)
    torchs = op.reference(*inputs, **case.kwargs)
    exact = op.reference(*exact_inputs, **case.kwargs)
    assert_as_close_as_torch(ours, torchs, exact)
    if ours.dim() == 4 and min(inputs[0].shape) > 1:  # type: ignore[attr-defined]
        assert ours.is_contiguous(memory_format=layout)

    if exact.isnan().any():
        return
    g = Maker(device=device, dtype=ours.dtype, seed=1).image(*exact.shape)
    our_grads = torch.autograd.grad(ours, tensors(inputs), g)
    torch_grads = torch.autograd.grad(torchs, tensors(inputs), g, materialize_grads=True)
    exact_grads = torch.autograd.grad(exact, tensors(exact_inputs), g.double(), materialize_grads=True)
    for a, b, c in zip(our_grads, torch_grads, exact_grads, strict=True):
        assert_as_close_as_torch(a, b, c)


def is_small(case: Case) -> bool:
    """Whether derivatives can be taken numerically: not empty, and one evaluation for each value is affordable."""
    sizes = [t.numel() for t in tensors(case.inputs(Maker()))]
    return min(sizes) > 0 and sum(sizes) <= 400


SMALL = [p for p in CASES if is_small(p.values[1])]  # type: ignore[arg-type]


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("op", "case"), SMALL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradcheck(op: Op, case: Case, layout: torch.memory_format, device: torch.device) -> None:
    inputs = case.inputs(Maker(device=device, dtype=torch.float64, memory_format=layout, requires_grad=True))
    assert torch.autograd.gradcheck(lambda *a: op.public(*a, **case.kwargs), inputs)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("op", "case"), SMALL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradgradcheck(op: Op, case: Case, layout: torch.memory_format, device: torch.device) -> None:
    inputs = case.inputs(Maker(device=device, dtype=torch.float64, memory_format=layout, requires_grad=True))
    assert torch.autograd.gradgradcheck(lambda *a: op.public(*a, **case.kwargs), inputs)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", sorted({op.name for op in ops.discover()}))
def test_third_derivative_is_that_of_the_reference(name: str, device: torch.device) -> None:
    op = next(op for op in ops.discover() if op.name == name)
    case = op.cases[0]

    def third(function, inputs):  # type: ignore[no-untyped-def]
        weights = torch.Generator(device=device).manual_seed(1)

        def contract(values: Sequence[Tensor | None]) -> Tensor:
            kept = [v for v in values if v is not None]
            w = [torch.randn(v.shape, generator=weights, dtype=v.dtype, device=device) for v in kept]
            return sum(
                ((v * v * w_).sum() for v, w_ in zip(kept, w, strict=True)), torch.zeros(()).to(kept[0])
            )

        leaves = tensors(inputs)
        values: Sequence[Tensor | None] = [function(*inputs, **case.kwargs)]
        for _ in range(3):
            values = torch.autograd.grad(contract(values), leaves, create_graph=True, allow_unused=True)
        return values

    make = {"device": device, "dtype": torch.float64, "requires_grad": True}
    ours = third(op.public, case.inputs(Maker(**make)))
    exact = third(op.reference, case.inputs(Maker(**make)))
    for a, b in zip(ours, exact, strict=True):
        a_, b_ = (torch.zeros(()) if v is None else v.detach().cpu() for v in (a, b))
        assert torch.allclose(a_, b_.expand_as(a_), rtol=1e-7, atol=1e-7 * max(1.0, b_.abs().max().item()))


def raw_calls(op: Op, case: Case, make: Maker) -> list[tuple[str, tuple[object, ...]]]:
    """The raw ops that a forward, backward and double backward of this case call, with their arguments."""
    calls: list[tuple[str, tuple[object, ...]]] = []

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.namespace == "fastgan":
                detached = tuple(a.detach().clone() if isinstance(a, Tensor) else a for a in args)
                calls.append((func._schema.name.split("::")[1], detached))
            return func(*args, **(kwargs or {}))

    inputs = case.inputs(make)
    with Recorder():
        y = op.public(*inputs, **case.kwargs)
        grads = torch.autograd.grad(y.square().sum(), tensors(inputs), create_graph=True)
        second = sum((g.square().sum() for g in grads), torch.zeros((), device=y.device))
        torch.autograd.grad(second, tensors(inputs), allow_unused=True)
    return list({name: (name, args) for name, args in calls}.values())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", sorted({op.name for op in ops.discover()}))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_opcheck(name: str, layout: torch.memory_format, device: torch.device) -> None:
    """Schema, fake kernels, autograd registration and tracing of every raw op."""
    op = next(op for op in ops.discover() if op.name == name)
    for case in op.cases[:2]:
        make = Maker(device=device, memory_format=layout, requires_grad=True)
        for raw, args in raw_calls(op, case, make):
            differentiable = tuple(
                a.requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args
            )
            torch.library.opcheck(getattr(torch.ops.fastgan, raw).default, differentiable)
