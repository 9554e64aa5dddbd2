"""The convolution with a fast second derivative, against torch's own at every order."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.nn import conv2d

SHAPES = [  # n, in, h, w, out, kernel, stride, padding, groups
    (2, 3, 5, 6, 4, 3, 1, 1, 1),
    (2, 3, 8, 8, 4, 4, 2, 1, 1),
    (1, 2, 7, 5, 3, 1, 1, 0, 1),
    (3, 2, 5, 7, 2, 3, 2, 1, 1),
    (2, 4, 5, 6, 6, 3, 1, 1, 2),
    (2, 4, 5, 5, 8, 3, 2, 1, 4),
    (2, 3, 4, 4, 3, 4, 1, 0, 3),
]


def inputs(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor, dict[str, int]]:
    n, c, h, w, out, k, stride, padding, groups = shape
    x = torch.randn(n, c, h, w, device=device, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(out, c // groups, k, k, device=device, dtype=torch.float64, requires_grad=True)
    return x, weight, {"stride": stride, "padding": padding, "groups": groups}


@pytest.mark.parametrize("shape", SHAPES)
def test_first_and_second_derivatives(device, shape):
    x, weight, geometry = inputs(shape, device)

    def function(x: Tensor, weight: Tensor) -> Tensor:
        return conv2d(x, weight, **geometry)

    assert torch.autograd.gradcheck(function, (x, weight))
    assert torch.autograd.gradgradcheck(function, (x, weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_third_derivatives_are_torchs(device, shape):
    def third(function: object) -> list[Tensor]:
        torch.manual_seed(1)
        x, weight, geometry = inputs(shape, device)
        y = function(x.tanh(), weight.tanh(), **geometry)
        first = torch.autograd.grad(y.pow(3).sum(), (x, weight), create_graph=True)
        second = torch.autograd.grad(sum(g.pow(2).sum() for g in first), (x, weight), create_graph=True)
        return [y, *first, *second, *torch.autograd.grad(sum(g.pow(2).sum() for g in second), (x, weight))]

    for ours, torchs in zip(third(conv2d), third(F.conv2d), strict=True):
        torch.testing.assert_close(ours, torchs)


def test_gradient_of_the_input_alone_skips_that_of_the_weight(device):
    x, weight, geometry = inputs(SHAPES[0], device)
    y = conv2d(x, weight, **geometry)
    with torch.profiler.profile() as profile:
        torch.autograd.grad(y.sum(), x, create_graph=True)
    names = [event.name for event in profile.events()]
    assert sum("InputGradient" in name for name in names) > 0
    assert not any("WeightGradient" in name for name in names)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_penalty_convolves_with_small_kernels_only(device, groups):
    """No operand of any convolution in the second derivative is a kernel as large as the image."""
    x, weight, geometry = inputs((2, 4, 16, 16, 4, 3, 1, 1, groups), device)
    with torch.profiler.profile(record_shapes=True) as profile:
        (g,) = torch.autograd.grad(conv2d(x.sin(), weight, **geometry).sin().sum(), x, create_graph=True)
        g.square().sum().backward()
    kernels = [e.input_shapes[1] for e in profile.events() if e.name == "aten::convolution"]
    assert kernels
    assert all(shape[-2:] == [3, 3] for shape in kernels)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 2])
def test_autocast_and_layout(device, layout, groups):
    x = torch.randn(2, 8, 6, 6, device=device).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(4, 8 // groups, 3, 3, device=device)
    weight = weight.contiguous(memory_format=layout).requires_grad_()
    with torch.autocast(device.type, torch.bfloat16):
        y = conv2d(x, weight, padding=1, groups=groups)
        assert y.dtype == torch.bfloat16
        assert y.is_contiguous(memory_format=layout)
        (gx,) = torch.autograd.grad(y.float().square().sum(), x, create_graph=True)
    gx.square().sum().backward()
    assert gx.dtype == torch.float32
    assert gx.is_contiguous(memory_format=layout)
    assert weight.grad.dtype == torch.float32
    assert weight.grad.is_contiguous(memory_format=layout)


def test_plain_torch_where_no_second_derivative_can_come(device):
    x, weight, geometry = inputs(SHAPES[0], device)
    expected = F.conv2d(x, weight, **geometry)
    for a, b in ((x.detach(), weight), (x, weight.detach())):
        y = conv2d(a, b, **geometry)
        assert type(y.grad_fn).__name__ == "ConvolutionBackward0"
        torch.testing.assert_close(y, expected)
    with torch.no_grad():
        assert conv2d(x, weight, **geometry).grad_fn is None
