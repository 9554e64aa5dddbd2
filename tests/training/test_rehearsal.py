"""A step on tensors without data says what a real one takes."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from fastgan import machine
from fastgan.config import build, merge, preset
from fastgan.training import assemble, rehearsal
from fastgan.training.rehearsal import rehearse
from fastgan.training.settings import RunConfig
from tests.training.conftest import CASES, GROWING, small

GIB = 2**30


def full(name, **tables):
    return assemble.resolve(build(RunConfig, merge(preset(name), tables)))


@pytest.mark.parametrize("name", [*CASES, GROWING])
def test_a_real_step_has_as_much_alive_at_once(name, make, device):
    """The ledger on real tensors, of the same step."""
    trainer = make(name)
    config, twice = trainer.config, replace(trainer.config, train=replace(trainer.config.train, batch=8))
    found, more = rehearse(config, "fp32"), rehearse(twice, "fp32")
    assert found.lasting == more.lasting >= 4 * 4 * sum(p.numel() for p in trainer.g_named.values())
    assert 0 < found.passing < more.passing < 2.2 * found.passing
    if name == GROWING or device.type != "cpu":
        return
    n = config.train.batch
    real, smooth = trainer.feed.batch(0, n).images, trainer.objective.path_length is not None
    with rehearsal._Ledger() as ledger:
        rehearsal._settle(trainer)
        settled = ledger.now
        trainer.step_d(real, trainer.objective.penalty is not None)
        trainer.step_g(n, real if trainer.objective.loss.GENERATOR_NEEDS_REAL else None, smooth)
    # Of what was there before, the ledger sees what an operation returns: gradients and Adam's state among it.
    assert ledger.peak - settled == pytest.approx(found.passing, rel=0.25, abs=2**18)
    assert ledger.flops == pytest.approx(found.flops, rel=0.2)


def test_parts_take_less_and_the_same_arithmetic(device):
    train = {"reuse_fakes": False, "batch": 64}  # fakes are not reused in parts
    whole = rehearse(full("small", model={"resolution": 32}, train=train), "fp32")
    parts = rehearse(full("small", model={"resolution": 32}, train=train | {"accumulate": 8}), "fp32")
    assert parts.flops == pytest.approx(whole.flops, rel=0.01)
    assert parts.passing < whole.passing / 2


@pytest.mark.filterwarnings("error")
def test_several_averages_are_rehearsed_without_a_look_at_data_that_is_not_there(device):
    """A copy of a network of fake tensors by deepcopy alone read their storages: a crash, every other time."""
    one = full("dcgan", model={"resolution": 16})
    three = full("dcgan", model={"resolution": 16}, train={"ema_kimg": [10, 1, 100]})
    weights = 4 * sum(
        p.numel() for p in assemble.networks(one, torch.device("cpu"))["generator"].parameters()
    )
    more = rehearse(three, "fp32").lasting - rehearse(one, "fp32").lasting
    assert 2 * weights <= more < 2.2 * weights


def test_an_impossible_batch_is_rehearsed_too():
    cost = rehearse(full("dcgan", train={"batch": 2**50}), "bf16")
    assert cost.passing > 2**50 * 64 * 64 * 3 * 4


def test_the_full_r3gan_is_known_to_take_20_gib_without_taking_one():
    """Issue 17, D1: killed at 21 GB."""
    before = machine.peak_memory()
    cost = rehearse(full("r3gan"), "bf16")
    assert cost.lasting + cost.passing > 18 * GIB
    assert before is None or machine.peak_memory() - before < GIB


def test_random_numbers_stay_where_they_were(device):
    torch.manual_seed(3)
    want = torch.rand(4)
    torch.manual_seed(3)
    rehearse(
        small("stylegan", model={"resolution": 16, "img_channels": 3, "classes": 0, "attributes": 0}), "fp32"
    )
    assert torch.rand(4).equal(want)


@pytest.mark.skipif(machine.peak_memory() is None, reason="the system does not say what a process takes")
def test_a_process_grows_by_about_as_much():
    code = """
import torch
from fastgan import allocator, machine
from fastgan.data import Dataset, Feed
from fastgan.training import afford, assemble, rehearsal
from tests.training.test_rehearsal import full
allocator.keep_memory()
config = full("demo", train={"batch": 64})
images = torch.zeros(32, 64, 64, 3, dtype=torch.uint8)
feed = Feed(Dataset(images=images, content_hash=""), device="cpu")
before = machine.peak_memory()
trainer = assemble.make_trainer(config, feed, torch.device("cpu"), "fp32")
for _ in range(2):
    trainer.step()
print(machine.peak_memory() - before, afford.needed(rehearsal.rehearse(config, "fp32")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    taken, said = map(int, done.stdout.split())
    assert 0.6 < said / taken < 1.7
