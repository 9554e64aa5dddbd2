"""Schedules as functions of cur_nimg."""

import pytest
import torch
from torch import nn

from fastgan.config import Duration, build
from fastgan.errors import ConfigError
from fastgan.training import ema, schedule
from fastgan.training.loss_settings import LossConfig
from fastgan.training.settings import RunConfig, TrainConfig


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


def test_learning_rates_warm_up_and_decay():
    assert schedule.learning_rate(TrainConfig(), 10**6) == 1
    warm = TrainConfig(lr_warmup_kimg=2)
    assert [schedule.learning_rate(warm, n) for n in (0, 500, 2000, 9000)] == [0, 0.25, 1, 1]
    linear = TrainConfig(lr_decay="linear", lr_floor=0.2, decay_kimg=10)
    assert [schedule.learning_rate(linear, n) for n in (0, 5000, 10_000, 99_000)] == pytest.approx(
        [1, 0.6, 0.2, 0.2]
    )
    cosine = TrainConfig(lr_decay="cosine", lr_floor=0.25, decay_kimg=10)
    assert [schedule.learning_rate(cosine, n) for n in (0, 2500, 5000, 10_000, 99_000)] == pytest.approx(
        [1, 0.25 + 0.75 * 0.8535534, 0.625, 0.25, 0.25]
    )


def test_gamma_goes_where_it_should_along_half_a_cosine():
    train = TrainConfig(decay_kimg=10)
    config = RunConfig(loss=LossConfig(penalty_weight=2.0, penalty_weight_end=0.2), train=train)
    assert [2 * schedule.penalty_weight(config, n) for n in (0, 5000, 10_000, 20_000)] == pytest.approx(
        [2.0, 1.1, 0.2, 0.2]
    )
    assert schedule.penalty_weight(RunConfig(), 5000) == 1


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"train": {"lr_decay": "cosine"}}, "'cosine' needs its length: set train.decay_kimg"),
        ({"train": {"lr_decay": "step"}}, "must be one of none, linear, cosine"),
        ({"train": {"lr_floor": 1.5}}, r"lr_floor = 1.5 must lie in \[0, 1\]"),
        ({"train": {"lr_warmup_kimg": -1}}, "lr_warmup_kimg = -1.0 must not be negative"),
        ({"train": {"decay_kimg": 0}}, "decay_kimg = 0.0 must be above 0"),
        ({"loss": {"penalty_weight_end": 1.0}}, "penalty_weight_end needs the length of the way"),
        ({"loss": {"penalty_weight_end": -1.0}}, "penalty_weight_end = -1.0 must not be negative"),
        ({"train": {"ema_kimg": [10, -1]}}, "must name one half-life or more, and none may be negative"),
        ({"train": {"ema_kimg": [10, 1e308]}}, "ema_kimg = .* is more images than can be counted"),
        ({"train": {"grow_kimg": 1e12}}, "grow_kimg = .* is more images than can be counted"),
        ({"train": {"ema_kimg": []}}, "must name one half-life or more"),
        ({"train": {"ema_kimg": [10, 10.0]}}, "names a half-life twice"),
    ],
)
def test_impossible_schedules_are_refused_in_one_sentence(tables, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(RunConfig, tables)
