"""Losses against their formulas in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import losses
from fastgan.errors import ConfigError


def test_nonsaturating_is_binary_cross_entropy(device):
    loss = losses.load("nonsaturating")
    real, fake = 3 * torch.randn(2, 50, device=device)
    ones, zeros = torch.ones(50, device=device).double(), torch.zeros(50, device=device).double()
    bce = F.binary_cross_entropy
    expected = bce(real.double().sigmoid(), ones) + bce(fake.double().sigmoid(), zeros)
    torch.testing.assert_close(loss.discriminator(real, fake).double(), expected, rtol=1e-6, atol=0)
    expected = bce(fake.double().sigmoid(), ones)
    torch.testing.assert_close(loss.generator(fake).double(), expected, rtol=1e-6, atol=0)


def test_nonsaturating_stays_finite_and_keeps_its_gradient_far_out(device):
    loss = losses.load("nonsaturating")
    fake = torch.full((4,), -1000.0, device=device, requires_grad=True)
    loss.generator(fake).backward()
    torch.testing.assert_close(fake.grad, torch.full((4,), -0.25, device=device))
    assert loss.discriminator(-fake, fake).item() == 0.0
    torch.testing.assert_close(loss.discriminator(fake, fake).item(), 1000.0)


def test_logit_zero_costs_log_two(device):
    loss, zero = losses.load("nonsaturating"), torch.zeros(3, device=device)
    assert loss.generator(zero).item() == pytest.approx(math.log(2))
    assert loss.discriminator(zero, zero).item() == pytest.approx(2 * math.log(2))


def test_wasserstein_is_the_difference_of_means(device):
    loss = losses.load("wasserstein")
    real, fake = torch.randn(2, 50, device=device)
    expected = fake.double().mean() - real.double().mean()
    torch.testing.assert_close(loss.discriminator(real, fake).double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.generator(fake).double(), -fake.double().mean(), rtol=1e-5, atol=1e-6)


NAMES = ["hinge", "lsgan", "nonsaturating", "rpgan", "saturating", "wasserstein"]


def formula(name: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """(discriminator, generator) as the papers write them, on probabilities and means, in float64."""
    p, q = real.double().sigmoid(), fake.double().sigmoid()
    r, f = real.double(), fake.double()
    if name == "hinge":
        return (1 - r).clamp_min(0).mean() + (1 + f).clamp_min(0).mean(), -f.mean()
    if name == "lsgan":
        return 0.5 * (r - 1).pow(2).mean() + 0.5 * f.pow(2).mean(), 0.5 * (f - 1).pow(2).mean()
    if name == "rpgan":
        return -(r - f).sigmoid().log().mean(), -(f - r).sigmoid().log().mean()
    if name == "wasserstein":
        return f.mean() - r.mean(), -f.mean()
    value = p.log().mean() + (1 - q).log().mean()
    return -value, (1 - q).log().mean() if name == "saturating" else -q.log().mean()


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_its_papers_formula(device, name):
    loss = losses.load(name)
    real, fake = 3 * torch.randn(2, 50, device=device)
    d, g = formula(name, real, fake)
    torch.testing.assert_close(loss.discriminator(real, fake).double(), d, rtol=1e-5, atol=1e-6)
    needed = real if loss.GENERATOR_NEEDS_REAL else None
    torch.testing.assert_close(loss.generator(fake, needed).double(), g, rtol=1e-5, atol=1e-6)
    assert loss.generator(fake, real).equal(loss.generator(fake, needed))


@pytest.mark.parametrize("name", NAMES)
def test_both_players_pull_the_fakes_apart_and_stay_finite(device, name):
    """The generator's gradient raises fake logits, the discriminator's lowers them, far out as well."""
    loss = losses.load(name)
    for at in (0.0, -50.0, 50.0):
        real = torch.zeros(4, device=device, requires_grad=True)
        fake = torch.full((4,), at, device=device, requires_grad=True)
        (g,) = torch.autograd.grad(loss.generator(fake, real), fake)
        (d,) = torch.autograd.grad(loss.discriminator(real, fake), fake)
        assert g.isfinite().all()
        assert d.isfinite().all()
        if at == 0.0 and name != "lsgan":
            assert (g < 0).all()
            assert (d > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_realness_is_positive_where_real_images_are_recognised(device, name):
    loss = losses.load(name)
    real, fake = torch.tensor([2.0, 3.0, -4.0], device=device), torch.full((3,), -1.0, device=device)
    assert loss.realness(real, fake).sign().tolist() == [1.0, 1.0, -1.0]


def test_lsgan_recognises_what_is_nearer_to_the_label_of_real(device):
    loss = losses.load("lsgan")
    assert loss.realness(torch.tensor([0.4, 0.6]), torch.zeros(2)).sign().tolist() == [-1.0, 1.0]


def test_relativistic_losses_see_differences_only_and_pair_by_position(device):
    loss = losses.load("rpgan")
    real, fake = torch.randn(2, 8, device=device, dtype=torch.float64)
    torch.testing.assert_close(loss.generator(fake + 7, real + 7), loss.generator(fake, real))
    torch.testing.assert_close(loss.discriminator(real + 7, fake + 7), loss.discriminator(real, fake))
    assert loss.generator(fake, real) != loss.generator(fake, real.roll(1))
    assert loss.generator(fake, real) == loss.discriminator(fake, real)  # the same game with roles exchanged
    with pytest.raises(ValueError, match="needs real_logits"):
        loss.generator(fake)


def test_a_sure_discriminator_leaves_the_saturating_generator_no_gradient(device):
    fake = torch.full((4,), -20.0, device=device, requires_grad=True)
    (saturating,) = torch.autograd.grad(losses.load("saturating").generator(fake), fake)
    (nonsaturating,) = torch.autograd.grad(losses.load("nonsaturating").generator(fake), fake)
    assert saturating.abs().max() < 1e-8
    torch.testing.assert_close(nonsaturating, torch.full((4,), -0.25, device=device))


def test_hinge_teaches_nothing_beyond_its_margin(device):
    real = torch.tensor([0.5, 1.5], device=device, requires_grad=True)
    fake = torch.tensor([-1.5, -0.5], device=device, requires_grad=True)
    losses.load("hinge").discriminator(real, fake).backward()
    assert real.grad.tolist() == [-0.5, 0.0]
    assert fake.grad.tolist() == [0.0, 0.5]


def test_clip_weights_clamps_every_parameter_in_place(device):
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 1)).to(device)
    before = {name: p.detach().clone() for name, p in critic.named_parameters()}
    losses.load("wasserstein").clip_weights(critic.parameters(), 0.05)
    for name, p in critic.named_parameters():
        assert torch.equal(p, before[name].clamp(-0.05, 0.05))
        assert p.requires_grad
    assert any((p.abs() > 0.05).any() for p in before.values())


@pytest.mark.parametrize("name", ["hing", "penalties", "__init__", "", "../models/dcgan"])
def test_unknown_loss_names_those_there_are(name):
    with pytest.raises(ConfigError, match="hinge, lsgan, nonsaturating, rpgan, saturating, wasserstein"):
        losses.load(name)
