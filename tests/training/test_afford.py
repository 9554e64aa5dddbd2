"""A step that does not fit is refused with a command that does."""

import pytest
import torch

from fastgan.errors import MemoryLimitError
from fastgan.training import afford
from fastgan.training.rehearsal import Cost
from fastgan.training.settings import RunConfig
from tests.training.conftest import small

GIB = 2**30
MIB = 2**20
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def linear(monkeypatch):
    """100 MiB that last, 10 MiB for each image of a part."""

    def rehearse(config, precision, *, processes=1):
        part = config.train.batch // processes // config.train.accumulate
        return Cost(lasting=100 * MIB, passing=10 * MIB * part, flops=1)

    monkeypatch.setattr(afford, "rehearse", rehearse)


def options(text):
    return f"fastgan train photos {text}"


def config(**train) -> RunConfig:
    return small("dcgan", train=train)


def test_a_step_that_fits_is_let_through(monkeypatch):
    monkeypatch.setattr(afford, "available_memory", lambda: 10 * GIB)
    assert afford.require(config(batch=64), CPU, "fp32", 1, options).passing == 640 * MIB


def test_a_system_that_does_not_say_is_trusted(monkeypatch):
    monkeypatch.setattr(afford, "available_memory", lambda: None)
    monkeypatch.setattr("fastgan.machine.available_memory", lambda: None)
    afford.require(config(batch=2**40), CPU, "fp32", 1, options)


@pytest.mark.parametrize(
    ("batch", "accumulate", "free", "processes", "advice"),
    [
        (64, 1, GIB, 1, "--accumulate 2"),
        (64, 1, GIB // 2, 1, "--accumulate 4"),
        (64, 2, GIB // 2, 1, "--accumulate 4"),
        (64, 1, GIB, 2, "--accumulate 2"),
        (62, 1, GIB // 2, 1, "--set train.batch=8"),  # parts would not be whole groups of four
        (10**9, 1, GIB, 1, "--set train.batch=32"),
        (10**9, 1, 2**40, 1, "--set train.batch=32768"),
        (62, 1, 330 * MIB, 1, "--set train.batch=1"),
    ],
)
def test_what_is_advised_fits(batch, accumulate, free, processes, advice, monkeypatch):
    monkeypatch.setattr(afford, "available_memory", lambda: free)
    asked = config(batch=batch, accumulate=accumulate)
    sentence = rf"a training step of {batch} images would take about .* GiB of memory, and .* GiB are free: "
    with pytest.raises(MemoryLimitError, match=sentence) as error:
        afford.require(asked, CPU, "fp32", processes, options)
    assert str(error.value).endswith(f": fastgan train photos {advice}")
    value = int(advice.replace("=", " ").rsplit(" ", 1)[1])
    mended = {"batch": value} if "batch" in advice else {"batch": batch, "accumulate": value}
    afford.require(config(**mended), CPU, "fp32", processes, options)


def test_where_nothing_fits_a_smaller_model_is_advised(monkeypatch):
    monkeypatch.setattr(afford, "available_memory", lambda: 100 * MIB)
    with pytest.raises(MemoryLimitError, match=r"not even one image fits.*--resolution 32.*--preset small"):
        afford.require(config(batch=64), CPU, "fp32", 1, options)


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(afford, "available_memory", lambda: GIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    afford.require(config(batch=64), CPU, "fp32", 4, options)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(MemoryLimitError):
        afford.require(config(batch=64), CPU, "fp32", 4, options)
