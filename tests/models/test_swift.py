"""The model for minutes: what its discriminator sees of fine detail, and its shapes."""

import pytest
import torch

from fastgan import models, ops
from fastgan.nn import bake

swift = models.load("swift")


def build(device, **options):
    config = swift.Config(**{"resolution": 16, "width": 4, "widest": 16, "z_dim": 8, **options})
    torch.manual_seed(0)
    return swift.Generator(config).to(device), swift.Discriminator(config).to(device)


@pytest.mark.parametrize(
    ("resolution", "width", "channels"),
    [(8, 4, [8, 4]), (64, 16, [256, 128, 64, 32, 16]), (256, 16, [256, 256, 256, 128, 64, 32, 16])],
)
def test_channels_double_as_maps_halve_up_to_the_widest(resolution, width, channels):
    config = swift.Config(resolution=resolution, width=width)
    assert config.channels == channels


@pytest.mark.parametrize(("resolution", "img_channels"), [(8, 1), (16, 4), (32, 3)])
def test_shapes_and_range(device, resolution, img_channels):
    generator, discriminator = build(device, resolution=resolution, img_channels=img_channels)
    images = generator(torch.randn(3, 8, device=device))
    assert images.shape == (3, img_channels, resolution, resolution)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (3,)


def test_folding_batch_norm_changes_no_image(device):
    generator, _ = build(device)
    for block in generator.blocks:
        torch.nn.init.normal_(block.strength, 0, 0.3)
    for _ in range(3):
        generator(torch.randn(8, 8, device=device))  # moves the running statistics
    generator.eval()
    z = torch.randn(4, 8, device=device)
    with torch.no_grad():
        before = generator(z)
        torch.testing.assert_close(bake(generator)(z), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_layer_is_nearest_neighbours_and_a_3x3_convolution(device, channels_last):
    layer = swift._Up(5, 7, up=True).to(device)
    layer.norm = torch.nn.Identity()
    x = torch.randn(2, 5, 6, 4, device=device)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    doubled = x.double().repeat_interleave(2, 2).repeat_interleave(2, 3)
    weight = layer.weight.double().transpose(0, 1).flip(2, 3)  # of a transposed convolution, turned round
    expected = torch.nn.functional.conv2d(doubled, weight, padding=1).relu()
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-4, atol=1e-4)


def test_noise_moves_images_once_it_has_strength(device):
    generator, _ = build(device)
    generator.eval()
    z = torch.randn(2, 8, device=device)
    noise = [torch.randn(shape, device=device) for shape in generator.noise_shapes]
    with torch.no_grad():
        assert torch.equal(generator(z), generator(z, noise=noise))
        for block in generator.blocks:
            block.strength.fill_(0.5)
        assert not torch.allclose(generator(z), generator(z, noise=noise))


def test_one_image_does_not_depend_on_another_in_the_discriminator(device):
    _, discriminator = build(device)
    images = torch.randn(4, 3, 16, 16, device=device)
    torch.testing.assert_close(discriminator(images)[:2], discriminator(images[:2]), rtol=1e-5, atol=1e-5)


def test_each_layer_sees_its_level_of_a_laplacian_pyramid(device):
    """The levels and what is left add up to the image: g_k = l_k + up(g_k+1), each level amplified half as much."""
    _, discriminator = build(device, detail=5.0)
    seen = []
    for block in discriminator.blocks:
        block.register_forward_pre_hook(lambda _, given: seen.append(given[1:]))
    images = torch.randn(2, 3, 16, 16, device=device)
    discriminator.features(images)
    assert [len(given) for given in seen] == [1, 1, 0]  # 5 and 2.5; the last layer ends at 4x4
    halved = ops.downsample2x(images)
    fine = halved - ops.upsample2x(ops.downsample2x(halved))
    torch.testing.assert_close(seen[0][0] / 5 + ops.upsample2x(halved), images)
    torch.testing.assert_close(seen[1][0] / 2.5, fine)


def test_a_checkerboard_is_all_detail_and_a_plain_image_none(device):
    _, discriminator = build(device, detail=1.0)
    seen = []
    discriminator.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    checkers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], device=device).repeat(8, 8).expand(1, 3, 16, 16)
    discriminator.features(torch.full((1, 3, 16, 16), 0.3, device=device))
    discriminator.features(checkers.contiguous())
    inside = (slice(None), slice(None), slice(3, 13), slice(3, 13))  # away from zero padding
    torch.testing.assert_close(seen[0][inside], torch.zeros(1, 3, 10, 10, device=device), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1][inside], checkers[inside], atol=1e-4, rtol=0)


def test_without_detail_it_sees_the_image_alone(device):
    _, discriminator = build(device, detail=0.0)
    assert [block.conv.in_channels for block in discriminator.blocks] == [3, 4, 8]
