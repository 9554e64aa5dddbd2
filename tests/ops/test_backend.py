"""Which implementation runs: every instruction set gives the same answers, and a fallback is never silent."""

import os
import subprocess
import sys

import pytest
import torch

from fastgan import ops

PROBE = """
import torch
from fastgan import ops
sums = []
for op in ops.discover():
    for case in op.cases:
        for dtype in (torch.float32, torch.bfloat16):
            for layout in (torch.contiguous_format, torch.channels_last):
                make = ops.Maker(dtype=dtype, memory_format=layout, requires_grad=True)
                inputs = case.inputs(make)
                y = op.public(*inputs, **case.kwargs)
                sums.append(y.double().abs().sum().item())
                if y.numel() and not y.isnan().any():
                    for g in torch.autograd.grad(y.sum(), [t for t in inputs if t is not None], allow_unused=True):
                        sums.append(0.0 if g is None else g.double().abs().sum().item())
print(ops.backend(), ops.build_info().get("isa", "none"), *sums)
"""


def probe(**environment: str) -> tuple[str, str, list[float], str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    backend, isa, *sums = done.stdout.split()
    return backend, isa, [float(s) for s in sums], done.stderr


def test_every_instruction_set_agrees_with_the_reference() -> None:
    _, _, expected, _ = probe(FASTGAN_OPS="reference")
    available = ops.build_info()["isa_built"].split()
    seen = set()
    for isa in available:
        backend, used, sums, _ = probe(FASTGAN_OPS="native", FASTGAN_ISA=isa)
        assert backend == "native"
        seen.add(used)
        assert sums == pytest.approx(expected, rel=2e-2, abs=2e-2, nan_ok=True)
    assert "base" in seen


def test_reference_context_and_variable() -> None:
    assert ops.backend() == "native"
    with ops.reference():
        assert ops.backend() == "reference"
    assert ops.backend() == "native"
    assert probe(FASTGAN_OPS="reference")[0] == "reference"


def test_missing_extension_is_announced_once() -> None:
    code = (
        "import sys; sys.modules['fastgan._C'] = None\n"
        "import torch; from fastgan import ops\n"
        "x = torch.zeros(1, 1, 2, 2); ops.upsample2x(x); ops.upsample2x(x); ops.bias_act(x, torch.zeros(1))\n"
        "print(ops.backend())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "FASTGAN_OPS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "reference"
    assert done.stderr.count("slow reference ops") == 1


def test_native_is_demanded_in_vain() -> None:
    code = "import sys; sys.modules['fastgan._C'] = None\nimport fastgan.ops"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTGAN_OPS": "native"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode != 0
    assert "the native ops are not there" in done.stderr


@pytest.mark.parametrize("name", ["style_epilogue", "bias_act", "upsample2x"])
def test_compiles_as_one_graph(name: str, device: torch.device) -> None:
    """torch.compile sees through the op, forward and backward (aot_eager: no code generation)."""
    op = next(op for op in ops.discover() if op.name == name)
    case = op.cases[0]
    make = {"device": device, "requires_grad": True}
    compiled = torch.compile(lambda *a: op.public(*a, **case.kwargs), backend="aot_eager", fullgraph=True)
    inputs, same = case.inputs(ops.Maker(**make)), case.inputs(ops.Maker(**make))
    y, expected = compiled(*inputs), op.public(*same, **case.kwargs)
    assert torch.equal(y, expected)
    y.square().sum().backward()
    expected.square().sum().backward()
    for a, b in zip(inputs, same, strict=True):
        assert torch.equal(a.grad, b.grad)
