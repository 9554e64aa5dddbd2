"""Which implementation runs, and that a fallback is never silent."""

import os
import subprocess
import sys

import pytest
import torch

from fastgan import ops

PROBE = 'from fastgan import ops; print(ops.backend(), ops.build_info().get("isa", "none"))'


def probe(**environment: str) -> list[str]:
    """The backend and the instruction set of a process with these variables."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


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
