"""Losses against their formulas in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

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


@pytest.mark.parametrize("name", ["hing", "penalties", "__init__", "", "../models/dcgan"])
def test_unknown_loss_names_those_there_are(name):
    with pytest.raises(ConfigError, match="nonsaturating, wasserstein"):
        losses.load(name)
