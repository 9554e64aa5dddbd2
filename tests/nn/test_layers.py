"""Layers against their equations, written out in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import ops
from fastgan.nn import (
    ConvAct,
    DownBlock,
    EqualizedConv2d,
    EqualizedLinear,
    MinibatchStddev,
    StyledConv,
    StyleEpilogue,
    bake,
)


def randomised(module: nn.Module) -> nn.Module:
    """`module` in float64 with every parameter drawn anew, so that zero initialisations hide nothing."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


def test_equalized_conv_scales_unit_weights_by_he(device):
    conv = EqualizedConv2d(6, 5, 3, bias=True).to(device)
    assert abs(conv.weight.std().item() - 1) < 0.15
    x = torch.randn(2, 6, 7, 5, device=device)
    scale = math.sqrt(2 / (6 * 9))
    expected = F.conv2d(x.double(), conv.weight.double() * scale, conv.bias.double(), padding=1)
    torch.testing.assert_close(conv(x).double(), expected, rtol=1e-5, atol=1e-5)


def test_equalized_linear_multiplies_learning_rate(device):
    linear = EqualizedLinear(32, 8, lr_multiplier=0.01).to(device)
    nn.init.normal_(linear.bias)
    assert abs(linear.weight.std().item() / 100 - 1) < 0.2
    x = torch.randn(4, 32, device=device)
    weight, bias = linear.weight.double() * math.sqrt(2 / 32) * 0.01, linear.bias.double() * 0.01
    torch.testing.assert_close(linear(x).double(), F.linear(x.double(), weight, bias), rtol=1e-5, atol=1e-5)


def test_equalized_layers_keep_the_variance_of_their_input(device):
    x = torch.randn(4, 64, 16, 16, device=device)
    assert abs(EqualizedConv2d(64, 64, 3, gain=1.0).to(device)(x)[..., 1:-1, 1:-1].std().item() - 1) < 0.1
    for multiplier in (1.0, 0.01):
        linear = EqualizedLinear(512, 512, gain=1.0, lr_multiplier=multiplier).to(device)
        assert abs(linear(torch.randn(64, 512, device=device)).std().item() - 1) < 0.1


@pytest.mark.parametrize("up", [False, True])
def test_styled_conv_is_conv_noise_bias_lrelu_norm_style(device, up):
    layer = randomised(StyledConv(3, 4, 5, up=up)).to(device)
    x, w = torch.randn(2, 3, 6, 6, device=device).double(), torch.randn(2, 5, device=device).double()
    size = 12 if up else 6
    noise = torch.randn(2, 1, size, size, device=device).double()

    h = x
    if up:  # nearest neighbour, then [1, 2, 1] / 4 on each axis
        blur = torch.tensor([1.0, 2.0, 1.0], device=device).double() / 4
        kernel = torch.outer(blur, blur).expand(3, 1, 3, 3)
        h = F.conv2d(F.interpolate(h, scale_factor=2, mode="nearest"), kernel, padding=1, groups=3)
    h = F.conv2d(h, layer.conv.weight * math.sqrt(2 / 27), padding=1)
    tail = layer.epilogue
    h = F.leaky_relu(h + tail.strength[:, None, None] * noise + tail.bias[:, None, None], 0.2)
    h = F.instance_norm(h, eps=1e-5)
    style = F.linear(w, tail.affine.weight / math.sqrt(5), tail.affine.bias)[:, :, None, None]
    expected = (1 + style[:, :4]) * h + style[:, 4:]
    torch.testing.assert_close(layer(x, w, noise), expected)


def test_new_style_is_the_identity(device):
    epilogue = StyleEpilogue(3, 4).to(device)
    x = torch.randn(2, 3, 8, 8, device=device)
    y = epilogue(x, torch.zeros(2, 4, device=device), torch.randn(2, 1, 8, 8, device=device))
    torch.testing.assert_close(y, F.instance_norm(F.leaky_relu(x, 0.2)), rtol=1e-4, atol=1e-5)


def test_down_block_equals_the_papers_order_inside(device):
    """Conv then blur and mean (ours) against blur, conv, mean (the paper): the same but for the border."""
    layer = randomised(ConvAct(3, 4, down=True)).to(device)
    x = torch.randn(2, 3, 16, 16, device=device).double()
    blur = torch.tensor([1.0, 2.0, 1.0], device=device).double() / 4
    kernel = torch.outer(blur, blur).expand(3, 1, 3, 3)
    h = F.conv2d(x, kernel, padding=1, groups=3)
    h = F.avg_pool2d(F.conv2d(h, layer.conv.weight * layer.conv.scale, padding=1), 2)
    expected = F.leaky_relu(h + layer.bias[:, None, None], 0.2)
    torch.testing.assert_close(layer(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def stddev_by_loops(x: Tensor, size: int) -> list[float]:
    n, out = x.shape[0], []
    for i in range(n):
        group = x[i // size * size : i // size * size + size]
        out.append((group.var(0, unbiased=False) + 1e-8).sqrt().mean().item())
    return out


@pytest.mark.parametrize(
    ("n", "size"), [(8, 4), (4, 4), (6, 3), (2, 2), (5, 1), (7, 1), (10, 2), (9, 3), (1, 1)]
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_minibatch_stddev_uses_the_largest_group_that_divides(device, n, size, layout):
    x = torch.randn(n, 3, 4, 4, device=device).double().contiguous(memory_format=layout)
    y = MinibatchStddev(4)(x)
    assert y.shape == (n, 4, 4, 4)
    assert y.is_contiguous(memory_format=layout)
    assert torch.equal(y[:, :3], x)
    torch.testing.assert_close(y[:, 3, 0, 0], torch.tensor(stddev_by_loops(x, size), device=device).double())
    assert torch.equal(y[:, 3:].amin((1, 2, 3)), y[:, 3:].amax((1, 2, 3)))


def test_minibatch_stddev_derivatives(device):
    layer = MinibatchStddev(4)
    x = torch.randn(6, 2, 2, 2, device=device).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)
    same = torch.zeros(4, 2, 2, 2, device=device).double().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(same).sum(), same, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), same)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def test_down_block_shape_and_channels(device):
    assert DownBlock(3, 5).to(device)(torch.randn(2, 3, 8, 8, device=device)).shape == (2, 5, 4, 4)


def test_bake_folds_scales_and_leaves_the_original_alone(device):
    layers = nn.Sequential(
        ConvAct(3, 8, down=True), EqualizedConv2d(8, 4, 1, bias=True), nn.Flatten(), EqualizedLinear(64, 5)
    ).to(device)
    before = {key: value.clone() for key, value in layers.state_dict().items()}
    baked = bake(layers)
    x = torch.randn(3, 3, 8, 8, device=device)
    torch.testing.assert_close(baked(x), layers(x), rtol=1e-6, atol=1e-6)
    assert all(torch.equal(value, before[key]) for key, value in layers.state_dict().items())
    assert layers.training
    assert not baked.training
    assert not any(p.requires_grad for p in baked.parameters())
    assert baked[1].scale == 1.0
    assert layers[1].scale != 1.0
    torch.testing.assert_close(bake(baked)(x), baked(x), rtol=0, atol=0)


def test_layers_run_the_same_through_the_reference_ops(device):
    layer = StyledConv(3, 8, 4, up=True).to(device)
    x, w = torch.randn(2, 3, 4, 4, device=device), torch.randn(2, 4, device=device)
    native = layer(x, w, None)
    with ops.reference():
        torch.testing.assert_close(native, layer(x, w, None), rtol=1e-4, atol=1e-4)
