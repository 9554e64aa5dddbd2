"""csrc/cuda/*.cu, compiled as C++ and run thread by thread on CPU tensors (see emulation.cpp), against float64 torch.

The very launch code of the GPU runs here: tilings, tails, splits, workspaces. Each call runs twice, with threads and
blocks in opposite orders, and must give the same bits: a result that depends on the order is a race.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.cuda_emulation.harness import (
    DEVICES,
    DTYPES,
    LAYOUTS,
    Kernels,
    Launches,
    acc,
    build,
    close,
    draw,
    leaves,
    same_memory,
)

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
]
LARGE = [  # beyond the registers of one block: shared memory, clusters, chunks
    (1, 2, 144, 144),
    (1, 3, 101, 99),  # planes that start anywhere; 3 channels of a pixel make no vector
    (2, 8, 56, 64),
    (1, 12, 45, 61),  # half vectors of channels
]
NORM_CASES = [*((shape, "clusters") for shape in SHAPES), *((shape, d) for shape in LARGE for d in DEVICES)]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory) -> Kernels:
    return build(tmp_path_factory.mktemp("cuda_emulation"))


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fresh tensors are full of NaN: an element that no thread writes shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def adain_reference(x, scale, shift, eps):
    mean = x.mean(dim=(2, 3), keepdim=True)
    var = (x - mean).square().mean(dim=(2, 3), keepdim=True)
    return (1 + scale[:, :, None, None]) * (x - mean) / (var + eps).sqrt() + shift[:, :, None, None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "device"), NORM_CASES, ids=str)
def test_adain(kernels, shape, device, dtype, layout):
    n, c, h, w = shape
    x, g = draw(*shape, dtype=dtype, layout=layout, mean=0.5), draw(*shape, dtype=dtype)
    scale, shift = draw(n, c, dtype=acc(dtype)), draw(n, c, dtype=acc(dtype))
    inputs = leaves(x, scale, shift)
    expected = adain_reference(*inputs, 1e-2)
    y, mean, rstd = kernels("adain", x, scale, shift, 1e-2, device=device)
    same_memory(y, x)
    close(y, expected.detach(), dtype)
    grads = torch.autograd.grad(expected, inputs, g.double())
    dx, dscale, dshift = kernels("adain_backward", g, x, scale, mean, rstd, device=device)
    same_memory(dx, x)
    close(dx, grads[0], dtype)
    for actual, wanted in zip((dscale, dshift), grads[1:], strict=True):
        close(actual, wanted, acc(dtype), terms=h * w)


@pytest.mark.parametrize("noise_kind", ["each", "shared", "none"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "device"), NORM_CASES, ids=str)
def test_style_epilogue(kernels, shape, device, dtype, layout, noise_kind):
    n, c, h, w = shape
    x, g = draw(*shape, dtype=dtype, layout=layout), draw(*shape, dtype=dtype)
    noise = None if noise_kind == "none" else draw(1 if noise_kind == "shared" else n, 1, h, w, dtype=dtype)
    strength, bias = draw(c, dtype=acc(dtype)), draw(c, dtype=acc(dtype))
    scale, shift = draw(n, c, dtype=acc(dtype)), draw(n, c, dtype=acc(dtype))
    inputs = leaves(x, strength, bias, scale, shift)
    added = 0 if noise is None else inputs[1][None, :, None, None] * noise.double()
    activated = F.leaky_relu(inputs[0] + added + inputs[2][None, :, None, None], 0.2)
    expected = adain_reference(activated, inputs[3], inputs[4], 1e-2)
    y, mean, rstd = kernels(
        "style_epilogue", x, noise, strength, bias, scale, shift, 0.2, 1e-2, device=device
    )
    same_memory(y, x)
    close(y, expected.detach(), dtype)
    grads = torch.autograd.grad(expected, inputs, g.double(), allow_unused=True, materialize_grads=True)
    actual = kernels(
        "style_epilogue_backward", g, x, noise, strength, bias, scale, mean, rstd, 0.2, device=device
    )
    same_memory(actual[0], x)
    close(actual[0], grads[0], dtype)
    for mine, wanted in zip(actual[1:], grads[1:], strict=True):
        close(mine, wanted, acc(dtype), terms=n * h * w)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, *LARGE, (37, 24), (3, 5), (0, 4), (700, 520)], ids=str)
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
@pytest.mark.parametrize("shape", [*SHAPES, (1, 4, 6, 10)], ids=str)
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
@pytest.mark.parametrize(
    ("size", "device"), [(5, "clusters"), (16, "clusters"), *((144, d) for d in DEVICES)]
)
def test_planes_that_break_naive_variance(kernels, size, device, layout):
    """A large mean, constant planes, NaN and inf: as float64 torch has them."""
    x = draw(1, 8, size, size, dtype=torch.float32, layout=layout)
    x[:, 0] += 4000
    x[:, 1] = 3.3
    x[:, 2] = 1e30
    x[0, 3, size - 1, size - 1] = float("nan")
    x[0, 4, 0, 0] = float("inf")
    scale, shift = torch.zeros(1, 8), torch.full((1, 8), 0.25)
    y, _, _ = kernels("adain", x, scale, shift, 1e-5, device=device)
    expected = adain_reference(x.double(), scale.double(), shift.double(), 1e-5)
    torch.testing.assert_close(y[:, 0].double(), expected[:, 0], rtol=2e-3, atol=2e-3)
    assert (y[:, 1:3] == 0.25).all()
    assert y[:, 3:5].isnan().all()
    assert y[:, 5:].isfinite().all()


@pytest.mark.parametrize(
    ("layout", "small", "middling", "large"), [("nchw", 72, 96, 160), ("nhwc", 24, 48, 64)]
)
def test_every_way_to_hold_a_plane(kernels, layout, small, middling, large):
    """Registers, shared memory, clusters and, where nothing holds it, chunks: the one that each device has room for."""

    def launches(size: int, device: str) -> tuple[Launches, Launches]:
        x = draw(1, 8, size, size, dtype=torch.float32, layout=layout)
        zeros = torch.zeros(1, 8)
        forward = kernels.launches("adain", x, zeros, zeros, 1e-5, device=device)
        return forward, kernels.launches("adain_backward", x, x, zeros, zeros, zeros + 1, device=device)

    assert launches(8, "clusters") == (Launches(1, 1, 0), Launches(1, 1, 0))
    assert launches(small, "no_clusters")[0] == Launches(1, 1, 16 * 1024)
    for found in launches(middling, "pairs"):  # blocks that fill a multiprocessor
        assert found.count == 1
        assert found.shared > 20 * 1024 or found.cluster == 2
    for found in launches(large, "clusters"):
        assert found.count == 1
        assert found.cluster > 2
    assert launches(large, "no_clusters") == (Launches(3, 1, 0), Launches(3, 1, 0))


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
