"""The light generator with skip-layer excitation: links, noise, folding, and what its discriminator rebuilds."""

import copy

import pytest
import torch

from fastgan import models
from fastgan.nn import bake

sle = models.load("sle")


def build(device, resolution=16, **options):
    config = sle.Config(**{"resolution": resolution, "width": 2, "z_dim": 8, **options})
    torch.manual_seed(0)
    generator, discriminator = sle.Generator(config), sle.Discriminator(config)
    for name, tensor in generator.state_dict().items():
        if name.endswith("strength"):
            torch.nn.init.normal_(tensor, 0, 0.3)
    return generator.to(device), discriminator.to(device)


@pytest.mark.parametrize(
    ("resolution", "links"),
    [
        (8, {8: 4}),
        (32, {32: 4}),
        (64, {64: 4}),
        (256, {64: 4, 128: 8, 256: 16}),
        (1024, {64: 4, 128: 8, 256: 16, 512: 32}),
    ],
)
def test_small_maps_excite_maps_16_times_as_large(resolution, links):
    """The paper's figure 3 has 8 -> 128, 16 -> 256 and 32 -> 512; below 64 px what there is."""
    config = sle.Config(resolution=resolution, width=1)
    assert sle.excited(config) == links
    generator, discriminator = sle.Generator(config).eval(), sle.Discriminator(config)
    with torch.no_grad():
        images = generator(torch.randn(1, 256))
        assert images.shape == (1, 3, resolution, resolution)
        assert discriminator.eval()(images).shape == (1,)


def test_the_light_model_is_light():
    with torch.device("meta"):
        count = sum(p.numel() for p in sle.Generator(sle.Config(resolution=64)).parameters())
    assert count < 8e6


def test_an_excitation_scales_whole_channels(device):
    generator, _ = build(device)
    generator.eval()
    z = torch.randn(2, 8, device=device)
    with torch.no_grad():
        before = generator(z)
        gate = generator.excitations["16"].factor
        gate.weight.zero_()
        gate.bias.fill_(-100.0)
        after = generator(z)
    assert not torch.equal(before, after)
    bias = torch.tanh(generator.to_image.bias)[None, :, None, None].expand_as(after)
    torch.testing.assert_close(after, bias)  # nothing comes through but the last bias


def test_every_parameter_has_a_gradient(device):
    generator, discriminator = build(device)
    images = generator(torch.randn(4, 8, device=device))
    phi = discriminator.features(images)
    (discriminator.judge(phi, None).sum() + discriminator.own_error(phi, images.detach())).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_baking_changes_nothing_but_the_work(device):
    generator, _ = build(device)
    for _ in range(3):
        generator(torch.randn(8, 8, device=device))  # moves the statistics
    generator.eval()
    kept = copy.deepcopy(generator.state_dict())
    baked = bake(generator)
    z = torch.randn(3, 8, device=device)
    torch.testing.assert_close(baked(z), generator(z), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in baked.modules())
    assert all(torch.equal(kept[name], tensor) for name, tensor in generator.state_dict().items())


def test_noise_is_fresh_in_training_and_constant_afterwards(device):
    generator, _ = build(device)
    z = torch.randn(2, 8, device=device)
    generator.train()
    assert not torch.equal(generator(z), generator(z))
    generator.eval()
    assert torch.equal(generator(z), generator(z))
    constant = [generator.get_buffer(f"noise_const_{k}") for k in range(2)]
    assert torch.equal(generator(z, noise=constant), generator(z))
    other = [torch.randn_like(plane) for plane in constant]
    assert not torch.equal(generator(z, noise=other), generator(z))


def test_the_discriminator_learns_to_rebuild_real_images(device):
    _, discriminator = build(device, norm="none")
    torch.manual_seed(1)
    images = (torch.rand(4, 3, 1, 1, device=device) * 2 - 1).expand(-1, -1, 16, 16).contiguous()
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3)
    errors = []
    for _ in range(60):
        error = discriminator.own_error(discriminator.features(images), images)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.3 * errors[0]
    plain = sle.Discriminator(sle.Config(resolution=16, width=2, z_dim=8, reconstruction=0.0))
    assert plain.own_error(torch.zeros(1, 1), images) is None
    assert not any(name.startswith("decoder") for name in plain.state_dict())
