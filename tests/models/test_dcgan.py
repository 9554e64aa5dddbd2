"""DCGAN: the published table, other sizes, and how it behaves in training and in eval."""

import pytest
import torch
from torch import nn

from fastgan import models
from fastgan.losses import penalties
from fastgan.nn import bake

dcgan = models.load("dcgan")


def output_shapes(module: nn.Module, x: torch.Tensor, kinds: tuple[type, ...]) -> list[tuple[int, ...]]:
    """Shape [C, H, W] of what each layer of these kinds puts out, in order."""
    shapes: list[tuple[int, ...]] = []
    for part in module.modules():
        if isinstance(part, kinds):
            part.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
    with torch.no_grad():
        module(x)
    return shapes


def test_generator_is_the_published_table(device):
    g = dcgan.Generator(dcgan.Config()).to(device)
    shapes = output_shapes(g, torch.randn(2, 100, device=device), (nn.ConvTranspose2d,))
    assert shapes == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in g.modules()) == 4
    assert sum(p.numel() for p in g.parameters()) == 12_658_435


def test_discriminator_is_the_published_table(device):
    d = dcgan.Discriminator(dcgan.Config()).to(device)
    shapes = output_shapes(d, torch.randn(2, 3, 64, 64, device=device), (nn.Conv2d, nn.Linear))
    assert shapes == [(3, 64, 64), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1,)]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in d.modules()) == 4
    assert next(m for m in d.modules() if isinstance(m, nn.Conv2d)).stride == (1, 1)
    bare = dcgan.Discriminator(dcgan.Config(norm="none"))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in bare.modules())


def test_weights_start_as_in_the_paper():
    g, d = dcgan.Generator(dcgan.Config()), dcgan.Discriminator(dcgan.Config())
    for module in (*g.modules(), *d.modules()):
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and module.weight.numel() > 1000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert abs(module.weight.mean().item()) < 0.002
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1.0, abs=0.02)
            assert not module.bias.any()


@pytest.mark.parametrize(("resolution", "channels"), [(8, 1), (16, 2), (32, 4), (128, 3), (256, 1)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_other_sizes_and_channels(device, resolution, channels, norm):
    config = dcgan.Config(resolution=resolution, img_channels=channels, z_dim=7, width=4, norm=norm)
    g, d = dcgan.Generator(config).to(device), dcgan.Discriminator(config).to(device)
    images = g(torch.randn(2, 7, device=device))
    assert images.shape == (2, channels, resolution, resolution)
    assert images.abs().max() <= 1
    logits = d(images)
    assert logits.shape == (2,)
    logits.sum().backward()
    for p in (*g.parameters(), *d.parameters()):
        assert p.grad is not None
        assert p.grad.isfinite().all()
    widest = {8: 2, 16: 4, 32: 8}.get(resolution, 16)
    assert g.project.conv.out_channels == 4 * widest


def test_largest_size_is_affordable():
    with torch.device("meta"):
        config = dcgan.Config(resolution=4096)
        g = dcgan.Generator(config)
        dcgan.Discriminator(config)
    assert max(m.in_channels for m in g.modules() if isinstance(m, nn.ConvTranspose2d)) == 1024


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_projection_is_the_transposed_convolution(device, layout):
    g = dcgan.Generator(dcgan.Config(width=4)).to(device, memory_format=layout)
    conv, z = g.project.conv, torch.randn(3, 100, 1, 1, device=device)
    y = conv(z)
    assert y.is_contiguous(memory_format=layout)
    torch.testing.assert_close(y, nn.functional.conv_transpose2d(z, conv.weight), rtol=1e-4, atol=1e-5)


def trained_a_little(device: torch.device) -> nn.Module:
    """A generator whose batch norm has seen data and whose outputs are of the size of images."""
    g = dcgan.Generator(dcgan.Config(resolution=16, width=8)).to(device, memory_format=torch.channels_last)
    for p in g.parameters():
        if p.dim() == 4:
            nn.init.normal_(p, 0.0, 0.1)
        elif p.shape != (3,):
            nn.init.normal_(p, 1.0, 0.3)
    for _ in range(20):
        g(torch.randn(16, 100, device=device))
    return g.eval()


def test_eval_is_deterministic_and_each_image_stands_alone(device):
    g = trained_a_little(device)
    z = torch.randn(5, 100, device=device)
    with torch.no_grad():
        together, again, alone = g(z), g(z), torch.cat([g(row[None]) for row in z])
    assert torch.equal(together, again)
    assert together.std() > 0.1
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_discriminator_without_norm_scores_each_image_alone(device):
    d = dcgan.Discriminator(dcgan.Config(resolution=16, width=8, norm="none")).to(device)
    images = torch.rand(5, 3, 16, 16, device=device)
    torch.testing.assert_close(d(images), torch.cat([d(row[None]) for row in images]), rtol=1e-4, atol=1e-6)


def test_bake_folds_batch_norm(device):
    g = trained_a_little(device)
    baked = bake(g)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in baked.modules())
    z = torch.randn(4, 100, device=device)
    with torch.no_grad():
        torch.testing.assert_close(baked(z), g(z), rtol=1e-5, atol=1e-5)
        with torch.autocast(device.type, torch.bfloat16):
            assert baked(z).dtype == torch.float32


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_bfloat16_channels_last_flows_without_copies(device, norm):
    """Under autocast each convolution reads and writes bfloat16 channels_last; image and logit are float32."""
    config = dcgan.Config(resolution=16, width=8, norm=norm)
    g = dcgan.Generator(config).to(device, memory_format=torch.channels_last)
    d = dcgan.Discriminator(config).to(device, memory_format=torch.channels_last)
    seen: list[torch.Tensor] = []
    for module in (*g.blocks, *d.blocks):
        module.register_forward_hook(lambda m, i, o: seen.append(o))
    with torch.autocast(device.type, torch.bfloat16):
        images = g(torch.randn(4, 100, device=device))
        logits = d(images)
    assert len(seen) == len(g.blocks) + len(d.blocks)
    for x in seen:
        assert x.dtype == torch.bfloat16
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert images.dtype == logits.dtype == torch.float32


def test_autocast_stays_near_float32(device):
    g = trained_a_little(device)
    z = torch.randn(4, 100, device=device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        low = g(z)
    with torch.no_grad():
        assert (low - g(z)).abs().mean() < 0.02


def test_penalties_run_on_both_norms(device):
    for norm in ("batch", "none"):
        d = dcgan.Discriminator(dcgan.Config(resolution=16, width=8, norm=norm)).to(device)
        penalties.r1(d, torch.rand(4, 3, 16, 16, device=device)).backward()
        assert all(p.grad.isfinite().all() for p in d.parameters() if p.grad is not None)
