"""csrc/cuda/*.cu compiled as C++ against the CUDA runtime of this folder, and what tests of it share."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

HERE = Path(__file__).parent
UNITS = [
    HERE / "emulation.cpp",
    HERE / "devices.cpp",
    *sorted((HERE.parents[1] / "csrc" / "cuda").glob("*.cu")),
]
DEVICES = ["clusters", "pairs", "no_clusters"]  # devices.cpp has the same table
SCHEMAS = """
adain(Tensor x, Tensor scale, Tensor shift, float eps) -> (Tensor, Tensor, Tensor)
adain_backward(Tensor g, Tensor x, Tensor scale, Tensor mean, Tensor rstd) -> (Tensor, Tensor, Tensor)
style_epilogue(Tensor x, Tensor? noise, Tensor strength, Tensor bias, Tensor scale, Tensor shift, float slope, float eps) -> (Tensor, Tensor, Tensor)
style_epilogue_backward(Tensor g, Tensor x, Tensor? noise, Tensor strength, Tensor bias, Tensor scale, Tensor mean, Tensor rstd, float slope) -> (Tensor, Tensor, Tensor, Tensor, Tensor)
bias_act(Tensor x, Tensor bias, float slope, float gain) -> Tensor
bias_act_backward(Tensor g, Tensor y, float slope, float gain) -> (Tensor, Tensor)
bias_act_tangent(Tensor u, Tensor ubias, Tensor y, float slope, float gain) -> Tensor
upsample2x(Tensor x, float t0, float t1, float t2, float t3, int height, int width) -> Tensor
downsample2x(Tensor x, float t0, float t1, float t2, float t3) -> Tensor
interpolate(Tensor real, Tensor fake, Tensor t) -> Tensor
gradient_penalty(Tensor grad, float center) -> (Tensor, Tensor)
gradient_penalty_backward(Tensor g, Tensor grad, Tensor norms, float center) -> Tensor
""".strip().splitlines()  # noqa: E501

TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
DTYPES = list(TOLERANCE)
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


class Launches(NamedTuple):
    """What the launches of one call took."""

    count: int
    cluster: int  # the widest
    shared: int  # the most dynamic shared memory of a block


class Kernels:
    """The emulated ops: kernels(name, ..., device=) runs in both orders and compares."""

    def __init__(self, library: str) -> None:
        torch.ops.load_library(library)
        self.control = ctypes.CDLL(library)

    def __call__(self, name: str, *arguments, device: str = "clusters"):
        op = getattr(torch.ops.fastgan_emulated, name)
        self.control.emulation_use_device(DEVICES.index(device))
        self.control.emulation_reverse_order(False)
        forward = op(*arguments)
        self.control.emulation_reverse_order(True)
        backward = op(*arguments)
        for a, b in zip(*((r,) if torch.is_tensor(r) else r for r in (forward, backward)), strict=True):
            assert torch.equal(a.nan_to_num(), b.nan_to_num()), f"{name} depends on the order of threads"
        return forward

    def launches(self, name: str, *arguments, device: str) -> Launches:
        self.control.emulation_use_device(DEVICES.index(device))
        getattr(torch.ops.fastgan_emulated, name)(*arguments)
        numbers = (ctypes.c_int64 * 3)()
        self.control.emulation_launches(numbers)
        return Launches(*numbers)


def build(folder: Path) -> Kernels:
    """Compile, link and load; skips the tests where that cannot be."""
    compiler = os.environ.get("CXX", "g++")
    if sys.platform != "linux" or shutil.which(compiler) is None:
        pytest.skip("needs Linux and a C++ compiler")
    root = Path(torch.__file__).parent
    include = [f"-I{HERE}", f"-I{root}/include", f"-I{root}/include/torch/csrc/api/include"]
    flags = ["-std=c++17", "-O1", "-fPIC", "-w", "-DUSE_CUDA", "-DTORCH_TARGET_VERSION=0x020a000000000000ULL"]
    flags += ["-DFASTGAN_WANTED_BLOCKS=4", *include]

    def compile_unit(unit: Path) -> str:
        target = str(folder / f"{unit.name}.o")
        subprocess.run([compiler, "-x", "c++", *flags, "-c", str(unit), "-o", target], check=True)
        return target

    largest_first = sorted(UNITS, key=lambda unit: unit.name != "style_epilogue.cu")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_unit, largest_first))
    library = str(folder / "emulation.so")
    # -Bsymbolic: the emulation's own device guard, not torch's.
    libraries = [f"-L{root}/lib", "-ltorch_cpu", "-lc10", "-lpthread"]
    subprocess.run([compiler, "-shared", "-Wl,-Bsymbolic", *objects, "-o", library, *libraries], check=True)
    for schema in SCHEMAS:
        torch.library.define(f"fastgan_emulated::{schema.split('(')[0]}", schema[schema.index("(") :])
    return Kernels(library)


def acc(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def draw(*shape: int, dtype: torch.dtype, layout: str = "nchw", mean: float = 0.0) -> torch.Tensor:
    values = (torch.randn(shape) + mean).to(dtype)
    return values.to(memory_format=LAYOUTS[layout]) if len(shape) == 4 else values


def close(actual: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype, terms: int = 1) -> None:
    """Equal up to the dtype's rounding of the largest value, or of `terms` cancelling values of about 1."""
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    scale = max(largest, terms**0.5 if terms > 1 else 1e-3)
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(actual.double(), expected, rtol=tolerance, atol=tolerance * scale)


def same_memory(actual: torch.Tensor, x: torch.Tensor) -> None:
    assert actual.dtype == x.dtype
    assert actual.stride() == torch.empty_like(x).stride()


def leaves(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [t.double().requires_grad_() for t in tensors]
