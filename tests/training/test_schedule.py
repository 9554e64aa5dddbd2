"""Schedules as functions of cur_nimg."""

import pytest
import torch
from torch import nn

from fastgan.config import Duration
from fastgan.training import ema, schedule


def test_ema_matches_a_float64_loop(device):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)).to(device)
    average = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)).to(device)
    expected = [p.detach().double().clone() for p in average.parameters()]
    for step in range(30):
        with torch.no_grad():
            for p in module.parameters():
                p.normal_()
            module[1].running_mean.normal_()
            module[1].num_batches_tracked += 1
        beta = schedule.ema_beta(step * 32, 32, 0.5, 0.05)
        ema.update(average, module, beta)
        for e, p in zip(expected, module.parameters(), strict=True):
            e.mul_(beta).add_(p.detach().double(), alpha=1 - beta)
    for p, e in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach().double(), e, rtol=1e-5, atol=1e-6)
    assert torch.equal(average[1].running_mean, module[1].running_mean)
    assert average[1].num_batches_tracked == 30


def test_half_of_the_average_is_left_after_a_half_life():
    assert schedule.ema_beta(10**9, 10_000, 10.0, None) == 0.5
    beta = schedule.ema_beta(10**9, 64, 10.0, 0.05)
    assert beta ** (10_000 / 64) == pytest.approx(0.5)


def test_a_young_average_forgets_fast():
    assert schedule.ema_beta(0, 64, 10.0, 0.05) == 0.0
    assert schedule.ema_beta(1000, 50, 10.0, 0.05) == 0.5  # the half-life is 5 % of 1000 images
    assert schedule.ema_beta(0, 64, 10.0, None) > 0.99
    assert schedule.ema_beta(10**6, 64, 0.0, None) == 0.0


def test_an_average_without_memory_is_the_generator():
    module, average = nn.Linear(3, 3), nn.Linear(3, 3)
    ema.update(average, module, 0.0)
    assert torch.equal(average.weight, module.weight)


def test_seeds_of_iterations_differ_where_torch_looks():
    seeds = {schedule.iteration_seed(s, n) & 0xFFFFFFFF for s in range(10) for n in range(0, 64_000, 64)}
    assert len(seeds) >= 10 * 1000 - 5  # 1e4 draws of 2**32: 0.01 collisions are expected
    assert all(0 <= schedule.iteration_seed(s, 12) < 2**63 for s in (0, 1, 2**62))
    assert schedule.iteration_seed(0, 0) == schedule.iteration_seed(0, 0)


def test_lazy_adam_is_the_papers():
    lr, betas = schedule.lazy_adam(0.002, (0.0, 0.99), 16)
    assert lr == pytest.approx(0.002 * 16 / 17)
    assert betas == pytest.approx((0.0, 0.99 ** (16 / 17)))
    assert schedule.lazy_adam(0.002, (0.5, 0.99), 1) == (0.002, (0.5, 0.99))


def test_every_counts_multiples_passed():
    every = schedule.Every(Duration(images=100), 0, 0.0)
    assert [every.due(n, 0.0) for n in (64, 128, 192, 256, 512, 513)] == [
        False,
        True,
        False,
        True,
        True,
        False,
    ]
    resumed = schedule.Every(Duration(images=100), 192, 0.0)
    assert [resumed.due(n, 0.0) for n in (199, 256)] == [False, True]
    timed = schedule.Every(Duration(seconds=10.0), 0, 25.0)
    assert [timed.due(0, s) for s in (29.0, 31.0, 32.0)] == [False, True, False]
