"""Running StyleGAN at a lower resolution, and fading a new one in (Karras et al. 2018, section 2)."""

import pytest
import torch
import torch.nn.functional as F

from fastgan import models

stylegan = models.load("stylegan")


@pytest.fixture
def networks(device):
    config = stylegan.Config(resolution=32, z_dim=8, w_dim=8, mapping_layers=1, channel_multiplier=1 / 32)
    g = stylegan.Generator(config).to(device).eval()
    for conv in g.to_rgb:
        torch.nn.init.normal_(conv.bias)
    return g, stylegan.Discriminator(config).to(device)


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_lower_resolutions(device, networks, resolution):
    g, d = networks
    images = g(torch.randn(4, 8, device=device), resolution=resolution)
    assert images.shape == (4, 3, resolution, resolution)
    assert d(images, resolution=resolution).shape == (4,)


@pytest.mark.parametrize("resolution", [8, 32])
@pytest.mark.parametrize("tensor", [False, True])
def test_generator_fades_from_the_doubled_smaller_image(device, networks, resolution, tensor):
    g, _ = networks
    z = torch.randn(4, 8, device=device)

    def at(alpha: float) -> torch.Tensor:
        return g(z, resolution=resolution, alpha=torch.tensor(alpha, device=device) if tensor else alpha)

    with torch.no_grad():
        smaller = F.interpolate(g(z, resolution=resolution // 2), scale_factor=2, mode="nearest")
        full = g(z, resolution=resolution)
        torch.testing.assert_close(at(0.0), smaller, rtol=0, atol=0)
        torch.testing.assert_close(at(1.0), full, rtol=0, atol=0)
        torch.testing.assert_close(at(0.25), 0.75 * smaller + 0.25 * full)


@pytest.mark.parametrize("tensor", [False, True])
def test_discriminator_fades_from_the_score_of_the_halved_image(device, networks, tensor):
    _, d = networks
    images = torch.randn(4, 3, 32, 32, device=device)

    def at(alpha: float) -> torch.Tensor:
        return d(images, alpha=torch.tensor(alpha, device=device) if tensor else alpha)

    torch.testing.assert_close(at(0.0), d(F.avg_pool2d(images, 2), resolution=16))
    torch.testing.assert_close(at(1.0), d(images))
    torch.testing.assert_close(at(1 - 1e-6), d(images), rtol=1e-4, atol=1e-4)


def test_fading_trains_both_image_layers_and_nothing_above(device, networks):
    g, d = networks
    g.train()
    d(
        g(torch.randn(4, 8, device=device), resolution=16, alpha=0.5), resolution=16, alpha=0.5
    ).sum().backward()
    assert [conv.weight.grad is not None for conv in g.to_rgb] == [False, True, True, False]
    assert [layer.bias.grad is not None for layer in d.from_rgb] == [False, True, True, False]
    assert [layer.conv.weight.grad is not None for layer in g.convs] == [True] * 5 + [False] * 2


def test_autocast_fades_too(device, networks):
    g, d = networks
    with torch.autocast(device.type, torch.bfloat16):
        images = g(torch.randn(4, 8, device=device), alpha=torch.tensor(0.3, device=device))
        assert d(images, alpha=torch.tensor(0.3, device=device)).isfinite().all()


@pytest.mark.parametrize("resolution", [2, 12, 64, 0])
def test_impossible_resolution(networks, device, resolution):
    g, d = networks
    with pytest.raises(ValueError, match="power of two from 4 to 32"):
        g(torch.randn(1, 8, device=device), resolution=resolution)
    with pytest.raises(ValueError, match="power of two from 4 to 32"):
        d(torch.randn(1, 3, 32, 32, device=device), resolution=resolution)
