"""Latents of real images against principal components in float64, and what the generator learns from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fastgan.data import Feed
from fastgan.data.dataset import Dataset
from fastgan.training import assemble, codes
from fastgan.training.codes import Codes
from tests.training.conftest import small


def images(count, size, channels=3):
    """Uint8 [N, H, W, C] with five directions in which they differ, of falling strength, and little else."""
    random = torch.Generator().manual_seed(3)
    patterns = torch.randn(5, size * size * channels, generator=random)
    weights = torch.randn(count, 5, generator=random) * torch.tensor([40.0, 20.0, 10.0, 5.0, 3.0])
    flat = 128 + weights @ (patterns / patterns.norm(dim=1, keepdim=True)) * size / 16
    return flat.round().clamp(0, 255).byte().reshape(count, size, size, channels)


def dataset(pixels):
    return Dataset(images=pixels, content_hash="")


def batch(pixels):
    return pixels.movedim(-1, 1) / 127.5 - 1


@pytest.fixture
def without_noise(monkeypatch):
    monkeypatch.setattr(codes, "SHARE", 1.0)


@pytest.mark.parametrize(("size", "channels"), [(16, 3), (64, 1)])
def test_latents_are_whitened_principal_components(without_noise, size, channels):
    pixels = images(200, size, channels)
    z = Codes(dataset(pixels), 3)(batch(pixels)).numpy()

    x = pixels.numpy().astype(np.float64) / 127.5 - 1
    shrink = max(size // 32, 1)
    x = x.reshape(200, size // shrink, shrink, size // shrink, shrink, channels).mean((2, 4))
    x = x.transpose(0, 3, 1, 2).reshape(200, -1)
    _, _, directions = np.linalg.svd(x - x.mean(0), full_matrices=False)
    expected = (x - x.mean(0)) @ directions[:3].T
    expected /= expected.std(0)
    for k in range(3):  # up to their sign
        assert abs(np.corrcoef(z[:, k], expected[:, k])[0, 1]) > 0.9999
        assert z[:, k].std() == pytest.approx(1.0, abs=2e-3)


def test_components_that_the_images_lack_are_noise():
    pixels = images(4, 8)
    made = Codes(dataset(pixels), 32)
    z = torch.stack([made(batch(pixels)) for _ in range(200)])  # [200, 4, 32]
    known = (made.components != 0).any(0)
    assert known.sum() == 3  # of four images around their mean
    assert z[:, :, ~known].std() == pytest.approx(1.0, abs=0.05)
    assert z[:, :, ~known].mean(0).abs().max() < 0.3
    assert z[:, :, known].mean(0).abs().max() > 0.5  # what all latents of one image share


def test_noise_is_mixed_in_so_that_the_variance_stays():
    pixels = images(300, 16)
    z = Codes(dataset(pixels), 4)
    torch.manual_seed(0)
    first, second = z(batch(pixels)), z(batch(pixels))
    assert first.var(0).mean() == pytest.approx(1.0, abs=0.15)
    covariance = (first * second).mean(0) - first.mean(0) * second.mean(0)
    assert covariance.mean() == pytest.approx(codes.SHARE, abs=0.1)


def test_images_that_are_held_out_are_not_looked_at():
    pixels = images(30, 16)
    held = torch.tensor([0, 7, 29])
    other = pixels.clone()
    other[held] = 255 - other[held]
    first, second = (Codes(dataset(of), 4, held) for of in (pixels, other))
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.components, second.components)
    assert not torch.equal(first.mean, Codes(dataset(pixels), 4).mean)


@pytest.mark.parametrize(("size", "smaller"), [(16, 4), (64, 8)])
def test_an_image_of_fewer_pixels_has_about_the_same_latent(without_noise, size, smaller):
    colours = torch.randint(0, 256, (40, 1, 1, 3), generator=torch.Generator().manual_seed(2)).byte()
    made = Codes(dataset(colours.expand(40, size, size, 3).contiguous()), 3)
    whole, small_ones = (batch(colours.expand(40, side, side, 3)) for side in (size, smaller))
    torch.testing.assert_close(made(small_ones), made(whole), rtol=1e-4, atol=1e-4)


def test_images_that_are_all_alike_have_no_components():
    pixels = torch.full((6, 8, 8, 3), 77, dtype=torch.uint8)
    z = Codes(dataset(pixels), 4)(batch(pixels))
    assert z.isfinite().all()
    assert z.std() > 0.5


def test_building_them_draws_nothing_from_the_common_generator():
    torch.manual_seed(5)
    Codes(dataset(images(20, 8)), 4)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))


def test_at_first_only_the_generator_learns(make):
    trainer = make("small")
    before = {name: p.clone() for name, p in trainer.d_named.items()}
    trainer.step()
    trainer.step()
    assert set(trainer.take_losses()) == {"reconstruction"}
    assert all(torch.equal(p, before[name]) for name, p in trainer.d_named.items())
    trainer.step()
    assert {"loss_d", "loss_g"} <= set(trainer.take_losses())
    assert not all(torch.equal(p, before[name]) for name, p in trainer.d_named.items())


def test_a_generator_that_grows_reconstructs_at_each_of_its_sizes(make):
    trainer = make("growing", loss={"reconstruction": 1.0, "reconstruction_interval": 1})
    seen = {}
    while trainer.phase.resolution < 16:
        size = trainer.phase.resolution
        trainer.step()
        seen[size] = trainer.take_losses()["reconstruction"]
    trainer.step()
    assert set(seen) == {8}
    assert 0 < trainer.take_losses()["reconstruction"] < 2


def test_an_image_is_reconstructed_under_its_own_condition(dataset, device):
    labels = torch.arange(len(dataset)) % 3
    labelled = replace(dataset, labels=labels, class_names=("a", "b", "c"))
    config = small("small", data={"conditional": "labels"}, train={"reconstruction_kimg": 10.0})
    feed = Feed(labelled, device=device)
    trainer = assemble.make_trainer(assemble.resolve(config, labelled), feed, device, "fp32")
    seen = []
    handle = trainer.generator.register_forward_pre_hook(lambda _, args: seen.append(args))
    shown = feed.batch(0, config.train.batch)
    trainer.step()
    handle.remove()
    (z, c), *more = seen
    assert not more, "only reconstructed so far"
    assert torch.equal(c.argmax(1), shown.labels)
    assert len(z) == len(c) == config.train.batch


def test_reconstruction_comes_every_so_many_iterations(make):
    trainer = make("small")
    seen = []
    for _ in range(8):
        trainer.step()
        seen.append("reconstruction" in trainer.take_losses())
    assert seen == [True, True, False, True, False, False, True, False]  # two alone, then at 3 and 6


def test_the_generator_learns_to_reconstruct(device):
    """Plain colours, of which three components say all."""
    colours = torch.randint(0, 256, (40, 1, 1, 3), generator=torch.Generator().manual_seed(2))
    plain = dataset(colours.byte().expand(40, 16, 16, 3).contiguous())
    config = small("small", train={"reconstruction_kimg": 10.0, "lr_g": 5e-3, "batch": 16})
    trainer = assemble.make_trainer(
        assemble.resolve(config, plain), Feed(plain, device=device), device, "fp32"
    )
    errors = []
    for _ in range(120):
        trainer.step()
        errors.append(trainer.take_losses()["reconstruction"])
    assert sum(errors[-10:]) < 0.75 * sum(errors[:10])
