"""csrc/cuda/*.cu, compiled as C++ and run thread by thread on CPU tensors (see emulation.cpp), against float64 torch.

The very launch code of the GPU runs here: tilings, tails, splits, workspaces. Each call runs twice, with threads and
blocks in opposite orders, and must give the same bits: a result that depends on the order is a race.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
UNITS = [HERE / "emulation.cpp", *sorted((HERE.parents[1] / "csrc" / "cuda").glob("*.cu"))]
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
SHAPES = [
    (0, 3, 4, 4),
    (2, 0, 4, 4),
    (2, 5, 1, 1),
    (3, 40, 1, 2),
    (2, 16, 4, 4),
    (2, 8, 7, 5),
    (2, 32, 16, 16),
    (1, 7, 33, 31),
    (1, 72, 8, 24),
    (1, 2, 144, 144),  # beyond one block in every dtype: chunks, and rounds within chunks
    (1, 3, 101, 99),  # the same without vectors
    (2, 8, 56, 64),  # the same for channels_last
]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """The emulated ops: call(name, ...) runs in both orders and compares."""
    compiler = os.environ.get("CXX", "g++")
    if sys.platform != "linux" or shutil.which(compiler) is None:
        pytest.skip("needs Linux and a C++ compiler")
    folder = tmp_path_factory.mktemp("cuda_emulation")
    root = Path(torch.__file__).parent
    include = [f"-I{HERE}", f"-I{root}/include", f"-I{root}/include/torch/csrc/api/include"]
    flags = ["-std=c++17", "-O1", "-fPIC", "-w", "-DUSE_CUDA", "-DTORCH_TARGET_VERSION=0x020a000000000000ULL"]

    def compile_unit(unit: Path) -> str:
        target = str(folder / f"{unit.name}.o")
        command = [
            compiler,
            "-x",
            "c++",
            *flags,
            "-DFASTGAN_WANTED_BLOCKS=4",
            *include,
            "-c",
            str(unit),
            "-o",
            target,
        ]
        subprocess.run(command, check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_unit, UNITS))
    library = str(folder / "emulation.so")
    # -Bsymbolic: the emulation's own device guard, not torch's.
    libraries = [f"-L{root}/lib", "-ltorch_cpu", "-lc10"]
    subprocess.run([compiler, "-shared", "-Wl,-Bsymbolic", *objects, "-o", library, *libraries], check=True)

    for schema in SCHEMAS:
        torch.library.define(f"fastgan_emulated::{schema.split('(')[0]}", schema[schema.index("(") :])
    torch.ops.load_library(library)
    reverse = ctypes.CDLL(library).emulation_reverse_order

    def call(name: str, *arguments):
        op = getattr(torch.ops.fastgan_emulated, name)
        reverse(False)
        forward = op(*arguments)
        reverse(True)
        backward = op(*arguments)
        for a, b in zip(*((r,) if torch.is_tensor(r) else r for r in (forward, backward)), strict=True):
            assert torch.equal(a.nan_to_num(), b.nan_to_num()), f"{name} depends on the order of threads"
        return forward

    return call


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fresh tensors are full of NaN: an element that no thread writes shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


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


def adain_reference(x, scale, shift, eps):
    mean = x.mean(dim=(2, 3), keepdim=True)
    var = (x - mean).square().mean(dim=(2, 3), keepdim=True)
    return (1 + scale[:, :, None, None]) * (x - mean) / (var + eps).sqrt() + shift[:, :, None, None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_adain(kernels, shape, dtype, layout):
    n, c, h, w = shape
    x, g = draw(*shape, dtype=dtype, layout=layout, mean=0.5), draw(*shape, dtype=dtype)
    scale, shift = draw(n, c, dtype=acc(dtype)), draw(n, c, dtype=acc(dtype))
    inputs = leaves(x, scale, shift)
    expected = adain_reference(*inputs, 1e-2)
    y, mean, rstd = kernels("adain", x, scale, shift, 1e-2)
    same_memory(y, x)
    close(y, expected.detach(), dtype)
    grads = torch.autograd.grad(expected, inputs, g.double())
    dx, dscale, dshift = kernels("adain_backward", g, x, scale, mean, rstd)
    same_memory(dx, x)
    close(dx, grads[0], dtype)
    for actual, wanted in zip((dscale, dshift), grads[1:], strict=True):
        close(actual, wanted, acc(dtype), terms=h * w)


@pytest.mark.parametrize("noise_kind", ["each", "shared", "none"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_style_epilogue(kernels, shape, dtype, layout, noise_kind):
    n, c, h, w = shape
    x, g = draw(*shape, dtype=dtype, layout=layout), draw(*shape, dtype=dtype)
    noise = None if noise_kind == "none" else draw(1 if noise_kind == "shared" else n, 1, h, w, dtype=dtype)
    strength, bias = draw(c, dtype=acc(dtype)), draw(c, dtype=acc(dtype))
    scale, shift = draw(n, c, dtype=acc(dtype)), draw(n, c, dtype=acc(dtype))
    inputs = leaves(x, strength, bias, scale, shift)
    added = 0 if noise is None else inputs[1][None, :, None, None] * noise.double()
    activated = F.leaky_relu(inputs[0] + added + inputs[2][None, :, None, None], 0.2)
    expected = adain_reference(activated, inputs[3], inputs[4], 1e-2)
    y, mean, rstd = kernels("style_epilogue", x, noise, strength, bias, scale, shift, 0.2, 1e-2)
    same_memory(y, x)
    close(y, expected.detach(), dtype)
    grads = torch.autograd.grad(expected, inputs, g.double(), allow_unused=True, materialize_grads=True)
    actual = kernels("style_epilogue_backward", g, x, noise, strength, bias, scale, mean, rstd, 0.2)
    same_memory(actual[0], x)
    close(actual[0], grads[0], dtype)
    for mine, wanted in zip(actual[1:], grads[1:], strict=True):
        close(mine, wanted, acc(dtype), terms=n * h * w)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (37, 24), (3, 5), (0, 4), (700, 520)], ids=str)
def test_bias_act(kernels, shape, dtype, layout):
    x, g, u = (draw(*shape, dtype=dtype, layout=layout) for _ in range(3))
    bias, ubias = draw(shape[1], dtype=acc(dtype)), draw(shape[1], dtype=acc(dtype))
    view = (-1, *[1] * (len(shape) - 2))
    y = kernels("bias_act", x, bias, 0.2, 1.4)
    same_memory(y, x)
    close(y, 1.4 * F.leaky_relu(x.double() + bias.double().view(view), 0.2), dtype)
    factor = torch.where(y > 0, 1.4, torch.tensor(0.2 * 1.4, dtype=torch.float64))
    dx, dbias = kernels("bias_act_backward", g.contiguous(), y, 0.2, 1.4)
    same_memory(dx, x)
    close(dx, factor * g.double(), dtype)
    dims = [d for d in range(len(shape)) if d != 1]
    close(dbias, (factor * g.double()).sum(dims), acc(dtype), terms=x.numel())
    tangent = kernels("bias_act_tangent", u, ubias, y, 0.2, 1.4)
    same_memory(tangent, x)
    close(tangent, factor * (u.double() + ubias.double().view(view)), dtype)


def upsample_reference(x, taps, height, width):
    """Zero insertion, then correlation with the flipped taps on each axis."""
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, height + 4, width + 4)
    spread[:, :, 2 : 2 + 2 * h : 2, 2 : 2 + 2 * w : 2] = x  # 2 zeros on every side
    t0, t1, t2, t3 = taps

    def blur(v, dim, size):  # v[k + 2] is position k; y[k] = t0 v[k+1] + t1 v[k] + t2 v[k-1] + t3 v[k-2]
        return sum(t * v.narrow(dim, at, size) for t, at in ((t0, 3), (t1, 2), (t2, 1), (t3, 0)))

    return blur(blur(spread, 2, height), 3, width)


@pytest.mark.parametrize("odd", [(0, 0), (1, 1), (0, 1)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES[:9], ids=str)
def test_resample(kernels, shape, dtype, layout, odd):
    x = draw(*shape, dtype=dtype, layout=layout)
    taps = (0.3, 0.75, 0.7, 0.2)
    n, c, h, w = shape
    height, width = 2 * h + odd[0], 2 * w + odd[1]
    y = kernels("upsample2x", x, *taps, height, width)
    close(y, upsample_reference(x.double(), taps, height, width), dtype)
    if x.numel() and min(c, h * w) > 1:
        assert y.is_contiguous(memory_format=LAYOUTS[layout])
    # The adjoint by autograd of the reference, at an input of that very size.
    g = draw(n, c, height, width, dtype=dtype, layout=layout)
    (leaf,) = leaves(torch.zeros(shape))
    (adjoint,) = torch.autograd.grad(upsample_reference(leaf, taps, height, width), leaf, g.double())
    close(kernels("downsample2x", g, *taps), adjoint, dtype)


SAMPLE_SHAPES = [(0, 3), (3,), (4, 7), (2, 3, 16, 16), (3, 5, 9, 7), (2, 24000), (1, 9001), (2, 4, 3, 5, 8)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SAMPLE_SHAPES, ids=str)
def test_interpolate(kernels, shape, dtype):
    real, fake, t = (
        draw(*shape, dtype=dtype),
        draw(*shape, dtype=dtype),
        torch.rand(shape[0], dtype=acc(dtype)),
    )
    weight = t.double().view(-1, *[1] * (len(shape) - 1))
    for layout in LAYOUTS if len(shape) == 4 else ["nchw"]:
        a = draw(*shape, dtype=dtype, layout=layout).copy_(real)
        mixed = kernels("interpolate", a, fake, t)
        same_memory(mixed, a)
        close(mixed, real.double() + weight * (fake.double() - real.double()), dtype)


@pytest.mark.parametrize("center", [0.0, 1.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SAMPLE_SHAPES[1:], ids=str)
def test_gradient_penalty(kernels, shape, dtype, center):
    grad = draw(*shape, dtype=dtype)
    grad[0] = 0  # a norm of nothing has the derivative nothing
    (leaf,) = leaves(grad)
    expected = (
        torch.linalg.vector_norm(leaf.flatten(1) if leaf.dim() > 1 else leaf[:, None], dim=1) - center
    ) ** 2
    penalty, norms = kernels("gradient_penalty", grad, center)
    close(penalty, expected.mean().detach(), acc(dtype))
    (wanted,) = torch.autograd.grad(expected.mean(), leaf, torch.tensor(1.7, dtype=torch.float64))
    upstream = torch.tensor(1.7, dtype=acc(dtype))
    close(kernels("gradient_penalty_backward", upstream, grad, norms, center), wanted, dtype)


def test_a_penalty_of_nothing_is_nan(kernels):
    penalty, norms = kernels("gradient_penalty", torch.zeros(0, 5), 1.0)
    assert penalty.isnan()
    assert norms.shape == (0,)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [5, 16, 144])
def test_planes_that_break_naive_variance(kernels, size, layout):
    """A large mean, constant planes, NaN and inf: as float64 torch has them."""
    x = draw(1, 8, size, size, dtype=torch.float32, layout=layout)
    x[:, 0] += 4000
    x[:, 1] = 3.3
    x[:, 2] = 1e30
    x[0, 3, size - 1, size - 1] = float("nan")
    x[0, 4, 0, 0] = float("inf")
    scale, shift = torch.zeros(1, 8), torch.full((1, 8), 0.25)
    y, _, _ = kernels("adain", x, scale, shift, 1e-5)
    expected = adain_reference(x.double(), scale.double(), shift.double(), 1e-5)
    torch.testing.assert_close(y[:, 0].double(), expected[:, 0], rtol=2e-3, atol=2e-3)
    assert (y[:, 1:3] == 0.25).all()
    assert y[:, 3:5].isnan().all()
    assert y[:, 5:].isfinite().all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_off_a_16_byte_boundary(kernels, layout):
    x = draw(2, 8, 8, 8, dtype=torch.float32, layout=layout)
    off = torch.empty(x.numel() + 1)[1:].as_strided(x.shape, x.stride()).copy_(x)
    scale, shift = draw(2, 8, dtype=torch.float32), draw(2, 8, dtype=torch.float32)
    for a, b in zip(
        kernels("adain", x, scale, shift, 1e-5), kernels("adain", off, scale, shift, 1e-5), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_raw_calls_stay_in_bounds(kernels):
    x = torch.zeros(2, 4, 6, 6)
    with pytest.raises(RuntimeError, match="operand"):
        kernels("adain", x, torch.zeros(2, 3), torch.zeros(2, 4), 1e-5)
    with pytest.raises(RuntimeError, match="contiguous or channels_last"):
        kernels("adain", x[:, :, ::2], torch.zeros(2, 4), torch.zeros(2, 4), 1e-5)
    with pytest.raises(RuntimeError, match="upsample2x makes"):
        kernels("upsample2x", x, 1.0, 1.0, 1.0, 1.0, 20, 12)
