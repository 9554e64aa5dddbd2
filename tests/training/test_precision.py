"""fp32 or bf16: a rule, and measurements that noise cannot turn into another answer."""

import pytest
import torch

from fastgan.errors import ConfigError
from fastgan.training import precision
from fastgan.training.rehearsal import Cost
from tests.training.conftest import small

CPU = torch.device("cpu")
SMALL = Cost(lasting=2**20, passing=2**20, flops=32 * 10**9)
LARGE = Cost(lasting=2**20, passing=2**20, flops=64 * 1500 * 10**9)  # an image of the full r3gan at 64 px


@pytest.fixture
def fast_bf16(monkeypatch):
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: True)


def test_what_was_asked_for_is_taken(fast_bf16):
    for asked in ("fp32", "bf16"):
        assert precision.usual(asked, CPU) == asked
        assert precision.measurable(asked, CPU, SMALL, 32) == 0
    with pytest.raises(ConfigError, match="'bf16' is not possible on mps"):
        precision.usual("bf16", torch.device("mps"))


def test_the_rule_goes_by_the_processor(monkeypatch):
    for has, rule in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(precision, "has_fast_bf16", lambda device, has=has: has)
        assert precision.usual("auto", CPU) == rule
        assert precision.choose("auto", CPU, 0, pytest.fail, pytest.fail) == rule
    assert precision.measurable("auto", CPU, SMALL, 32) == 0  # there is nothing to measure without bf16


def test_only_what_takes_seconds_is_measured(fast_bf16, monkeypatch):
    assert precision.measurable("auto", CPU, SMALL, 32) == 32
    assert precision.measurable("auto", CPU, SMALL, 3) == 3
    heavier = Cost(lasting=0, passing=0, flops=64 * 5 * 10**9)
    assert precision.measurable("auto", CPU, heavier, 64) == 4
    assert precision.measurable("auto", CPU, LARGE, 64) == 0
    assert precision.measurable("auto", torch.device("cuda"), SMALL, 32) == 0
    monkeypatch.setattr(precision, "available_memory", lambda: 4 * 2**20)
    assert precision.measurable("auto", CPU, SMALL, 32) == 0


@pytest.mark.parametrize(
    ("bf16", "chosen"),
    [
        ([0.5, 0.5, 0.5, 0.5, 0.5], "bf16"),
        ([1.05, 1.2, 1.1, 1.3, 1.05], "bf16"),  # fp32 is faster, and not by enough
        ([1.3, 1.4, 0.9, 1.3, 1.4], "bf16"),  # not in every round
        ([5.0, 0.5, 5.0, 0.5, 5.0], "bf16"),  # noise
        ([1.3, 1.4, 1.2, 1.3, 9.0], "fp32"),
        ([1.3, 1.4, 1.3], "bf16"),  # ended early
        ([], "bf16"),
    ],
)
def test_fp32_must_be_clearly_faster(bf16, chosen):
    """Seconds of bf16 beside 1.0 of fp32."""
    assert precision.decide([(1.0, seconds) for seconds in bf16]) == chosen


def test_noise_of_a_twentieth_never_turns_the_answer():
    """Ratios further than that from the margin: a thousand calls say the same."""
    noise = torch.Generator().manual_seed(0)
    for ratio, chosen in ((0.6, "bf16"), (1.0, "bf16"), (1.05, "bf16"), (1.35, "fp32"), (2.0, "fp32")):
        for _ in range(200):
            factors = (1 + 0.05 * (2 * torch.rand(5, 2, generator=noise) - 1)).tolist()
            rounds = [(a, ratio * b) for a, b in factors]
            assert precision.decide(rounds) == chosen


def test_measuring_takes_turns_and_real_steps(make, device, monkeypatch):
    trainers = {kind: make("stylegan", kind) for kind in ("fp32", "bf16")}
    rounds = list(precision.measure(trainers["fp32"], trainers["bf16"], 4))
    assert len(rounds) == 5
    assert all(0 < seconds < float("inf") for both in rounds for seconds in both)
    order = []
    monkeypatch.setattr(precision, "_step", lambda trainer, n: order.append(trainer) or float(len(order)))
    threads = torch.get_num_threads()
    assert list(precision.measure("fp32", "bf16", 4))[:2] == [(3.0, 4.0), (6.0, 5.0)]
    assert order[:6] == ["fp32", "bf16", "fp32", "bf16", "bf16", "fp32"]
    assert torch.get_num_threads() == threads


def test_measuring_ends_early(monkeypatch):
    now = iter(range(0, 1000, 5))
    monkeypatch.setattr(precision.time, "thread_time", lambda: float(next(now)))
    monkeypatch.setattr(precision, "_step", lambda trainer, n: 1.0)
    assert len(list(precision.measure("fp32", "bf16", 4))) < 5


def test_the_choice_is_told(fast_bf16, monkeypatch):
    notes = []
    monkeypatch.setattr(precision, "measure", lambda *_: [(2.0, 1.0)] * 5)
    assert precision.choose("auto", CPU, 4, lambda kind: kind, notes.append) == "bf16"
    assert notes[-1] == "precision bf16: fp32 takes 2.00 times bf16's processor time for a step"
    monkeypatch.setattr(precision, "measure", lambda *_: [(1.0, 2.0)] * 5)
    assert precision.choose("auto", CPU, 4, lambda kind: kind, notes.append) == "fp32"


def test_a_benchmark_takes_what_a_run_would(fast_bf16, monkeypatch):
    config = small("dcgan", model={"resolution": 16, "img_channels": 3, "classes": 0, "attributes": 0})
    made = []
    monkeypatch.setattr(precision, "measure", lambda *_: [(1.0, 2.0)] * 5)
    assert precision.settle(config, CPU, made.append) == "fp32"
    assert made == ["fp32", "bf16"]
