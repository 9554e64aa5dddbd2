"""R3GAN: the published sizes, the start of training, and agreement with plain torch at every order."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import models, ops
from fastgan.losses import penalties
from fastgan.nn import bake

r3gan = models.load("r3gan")

SMALL = {"resolution": 16, "z_dim": 12, "channel_multiplier": 1 / 48, "group_size": 4}


def build(device: torch.device, **changes: object) -> tuple[nn.Module, nn.Module]:
    """A small generator and discriminator whose residual branches, zero at first, show."""
    config = r3gan.Config(**{**SMALL, **changes})
    networks = r3gan.Generator(config), r3gan.Discriminator(config)
    for network in networks:
        for name, p in network.named_parameters():
            if name.endswith("project.weight"):
                nn.init.kaiming_normal_(p)
            elif "bias" in name:
                nn.init.normal_(p, 0, 0.3)
        network.to(device, memory_format=torch.channels_last)
    return networks


def latents(device: torch.device, n: int = 4) -> Tensor:
    return torch.randn(n, SMALL["z_dim"], device=device)


def images(device: torch.device, n: int = 4, size: int = 16) -> Tensor:
    x = torch.rand(n, 3, size, size, device=device) * 2 - 1
    return x.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("resolution", "channels", "generator", "discriminator"),
    [
        (32, [768] * 4, 20_732_163, 20_683_777),  # CIFAR-10
        (256, [768] * 4 + [384, 192, 96], 23_057_955, 23_009_569),  # FFHQ-256: 23.06 and 23.01 million
    ],
)
def test_paper_sizes(resolution, channels, generator, discriminator):
    config = r3gan.Config(resolution=resolution)
    assert [config.channels(size) for size in config.sizes] == channels
    with torch.device("meta"):
        g, d = r3gan.Generator(config), r3gan.Discriminator(config)
    assert sum(p.numel() for p in g.parameters()) == generator
    assert sum(p.numel() for p in d.parameters()) == discriminator
    for network in (g, d):
        mixers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert len(mixers) == 2 * len(channels)
        assert all(m.in_channels // m.groups == 16 for m in mixers)


def test_largest_size_is_affordable():
    config = r3gan.Config(resolution=4096)
    assert config.channels(4096) == 8
    with torch.device("meta"):
        r3gan.Generator(config)
        r3gan.Discriminator(config)


@pytest.mark.parametrize(("resolution", "channels"), [(8, 1), (16, 2), (32, 4), (64, 3), (256, 1)])
def test_forward_and_backward_at_every_size(device, resolution, channels):
    g, d = build(device, resolution=resolution, img_channels=channels, blocks=1)
    made = g(latents(device, 2))
    assert made.shape == (2, channels, resolution, resolution)
    logits = d(made)
    assert logits.shape == (2,)
    logits.sum().backward()
    for name, p in (*g.named_parameters(), *d.named_parameters()):
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name


def test_fixup_start():
    """Each block starts as the identity; its two other layers are He's times depth^(-1/4)."""
    config = r3gan.Config(channel_multiplier=1 / 3)
    g = r3gan.Generator(config)
    blocks = [part for part in g.stages if hasattr(part, "project")]
    assert len(blocks) == 2 * len(config.sizes) == 10
    for block in blocks:
        assert not block.project.weight.any()
        assert not block.bias_1.any()
        assert not block.bias_2.any()
        for layer, fan_in in ((block.expand, block.expand.in_channels), (block.mix, 9 * config.group_size)):
            he = (2 / (1 + 0.2**2) / fan_in) ** 0.5
            assert layer.weight.std().item() == pytest.approx(he * 10**-0.25, rel=0.05)
    x = torch.randn(2, blocks[0].expand.in_channels, 4, 4)
    assert torch.equal(blocks[0](x), x)


def test_signals_start_near_unit_variance():
    """Linear in z at first, so that only blurring takes variance away."""
    config = r3gan.Config(resolution=32, channel_multiplier=1 / 8)
    g, d = r3gan.Generator(config), r3gan.Discriminator(config)
    with torch.no_grad():
        made = g(torch.randn(32, 64))
        assert 0.3 < made.std() < 1
        assert 0.1 < d(made).std() < 1


def plain_block(block: nn.Module, x: Tensor) -> Tensor:
    h = F.leaky_relu(F.conv2d(x, block.expand.weight, block.bias_1), 0.2)
    h = F.leaky_relu(F.conv2d(h, block.mix.weight, block.bias_2, padding=1, groups=block.mix.groups), 0.2)
    return x + F.conv2d(h, block.project.weight)


def blurred(x: Tensor, *, up: bool) -> Tensor:
    """Bilinear resampling by two with zeros outside: the taps 1, 3, 3, 1 on each axis."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / (4 if up else 8)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    function = F.conv_transpose2d if up else F.conv2d
    return function(x, kernel, stride=2, padding=1, groups=x.shape[1])


def test_networks_are_the_papers_order_in_plain_torch(device):
    """In the paper a transition resamples first; here the 1x1 convolution is wherever planes are smaller."""
    g, d = (network.double() for network in build(device, resolution=64, channel_multiplier=1 / 24))
    z, x = latents(device).double(), images(device, size=64).double()
    with torch.no_grad(), ops.reference():
        h = g.basis.planes * (z @ g.basis.linear.weight.t())[:, :, None, None]
        for part in g.stages:
            if hasattr(part, "project"):
                h = plain_block(part, h)
            else:
                h = blurred(h, up=True)
                h = h if part.conv is None else F.conv2d(h, part.conv.weight)
        torch.testing.assert_close(g(z), F.conv2d(h, g.to_image.weight, g.to_image.bias))
        h = F.conv2d(x, d.from_image.weight)
        for part in d.stages:
            if hasattr(part, "project"):
                h = plain_block(part, h)
            else:
                h = h if part.conv is None else F.conv2d(h, part.conv.weight)
                h = blurred(h, up=False)
        h = (h * d.gather.weight[:, 0]).sum((2, 3))
        torch.testing.assert_close(d(x), h @ d.logit.weight[0] + d.logit.bias)
    changes = [part.conv for part in (*g.stages, *d.stages) if hasattr(part, "up")]
    assert any(conv is None for conv in changes)
    assert any(conv is not None for conv in changes)


def test_penalties_are_right_at_the_second_derivative(device):
    """R1 + R2 as a function of the weights, in float64, by finite differences of its gradient."""
    d = r3gan.Discriminator(r3gan.Config(resolution=8, img_channels=1, channel_multiplier=0.01, blocks=1))
    d = d.double().to(device)
    for p in d.parameters():
        nn.init.normal_(p, 0, 0.3)
    real, fake = torch.rand(2, 2, 1, 8, 8, dtype=torch.float64, device=device) * 2 - 1
    named = {name: p for name, p in d.named_parameters() if ".mix." in name or "bias" in name}
    weights = [p.detach().clone().requires_grad_() for p in named.values()]

    def penalty(*values: Tensor) -> Tensor:
        changed = dict(zip(named, values, strict=True))
        return penalties.r1_r2(lambda x: torch.func.functional_call(d, changed, (x,)), real, fake)

    assert torch.autograd.gradcheck(penalty, weights, fast_mode=True)
    assert torch.autograd.gradgradcheck(penalty, weights, fast_mode=True)


def test_penalties_match_the_reference_ops_in_float64(device):
    _, d = build(device)
    reference = copy.deepcopy(d).double()
    real, fake = images(device), images(device)
    value = penalties.r1_r2(d, real, fake)
    value.backward()
    with ops.reference():
        expected = penalties.r1_r2(reference, real.double(), fake.double())
        expected.backward()
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-9)
    for (name, p), q in zip(d.named_parameters(), reference.parameters(), strict=True):
        if q.grad is None or not q.grad.any():
            assert p.grad is None or not p.grad.any(), name
        else:
            assert (p.grad - q.grad).norm() < 1e-4 * q.grad.norm(), name


def test_each_image_stands_alone(device):
    g, d = build(device)
    z, x = latents(device, 5), images(device, 5)
    with torch.no_grad():
        torch.testing.assert_close(g(z), torch.cat([g(row[None]) for row in z]), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(d(x), torch.cat([d(row[None]) for row in x]), rtol=1e-4, atol=1e-4)


def test_baking_changes_nothing(device):
    g, _ = build(device)
    z = latents(device)
    assert torch.equal(bake(g)(z), g.eval()(z))
    assert not g.has_truncation
    assert g.noise_shapes == []


def test_bfloat16_channels_last_flows_without_copies(device):
    g, d = build(device)
    seen: list[Tensor] = []
    for module in (*g.modules(), *d.modules()):
        if module in (g.basis, d.from_image, *g.stages, *d.stages) or isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, o: seen.append(o) if m is not d.gather else None)
    with torch.autocast(device.type, torch.bfloat16):
        made = g(latents(device))
        logits = d(made)
    assert len(seen) > 30
    for x in seen:
        assert x.dtype == torch.bfloat16
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert made.dtype == logits.dtype == torch.float32


def test_autocast_stays_near_float32(device):
    g, _ = build(device)
    z = latents(device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        low = g(z)
    with torch.no_grad():
        high = g(z)
    assert (low - high).square().mean().sqrt() < 0.03 * high.std()
