"""One rule for what a device may be called, and one sentence for all else."""

from dataclasses import dataclass

import pytest
import torch

from fastgan import device
from fastgan.benchmark import suite
from fastgan.benchmark.request import Request
from fastgan.errors import ConfigError
from fastgan.inference import open_generator
from fastgan.metrics import open_extractor
from fastgan.naming import command_line
from tests.tiny import tiny_run

UNKNOWN = ["meta", "mps", "xla", "xla:0", "cpu:0", "auto:1", "cuda:", "cuda:-1", "cuda:x", "CUDA", " cuda", "gpu", "",
           "cuda:²", "cuda:" + "9" * 5000, "vulkan", "privateuseone", "cuda:0\x1b[2J", None, 3]  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN, ids=range(len(UNKNOWN)))
def test_what_is_no_device_of_ours_is_one_sentence(name: object) -> None:
    with pytest.raises(ConfigError, match=r"is unknown: choose auto, cpu, cuda or cuda:N\.$") as error:
        device.choose(name)
    assert len(str(error.value)) < 120
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["cpu", torch.device("cpu")])
def test_the_cpu_is_always_there(name: object) -> None:
    assert device.choose(name) == torch.device("cpu")


def test_gpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose() == torch.device("cpu")
    with pytest.raises(
        ConfigError, match=r"device='cuda' asks for a GPU that torch does not see here .*choose cpu or auto"
    ):
        device.choose("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose() == torch.device("cuda")
    assert device.choose("cuda:1") == torch.device("cuda:1")
    with (
        command_line(),
        pytest.raises(
            ConfigError, match=r"--device cuda:99 is not there: this machine has cuda:0 to cuda:1\."
        ),
    ):
        device.choose("cuda:99")


def test_each_of_several_processes_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Group:
        size: int
        local_rank: int

    current: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert device.choose("auto", Group(1, 0)) == device.choose("cuda", Group(1, 0)) == torch.device("cuda")
    assert device.choose("cpu", Group(2, 1)) == torch.device("cpu")
    assert current == []
    assert device.choose("auto", Group(2, 1)) == device.choose("cuda", Group(2, 1)) == torch.device("cuda:1")
    assert current == [1, 1]
    with pytest.raises(
        ConfigError, match="device='cuda:0' cannot serve 2 processes: use cuda, which gives each"
    ):
        device.choose("cuda:0", Group(2, 1))
    with pytest.raises(ConfigError, match="device='cuda:2' is not there"):
        device.choose("auto", Group(3, 2))


def test_other_runtimes_have_kinds_of_their_own() -> None:
    assert device.parse("tensorrt:3", ("cuda", "tensorrt")) == ("tensorrt", 3)
    with pytest.raises(ConfigError, match=r"choose auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N"):
        device.parse("tensorrt:x", ("cuda", "tensorrt"))


def test_whoever_takes_a_device_asks_here(tmp_path) -> None:
    run = tiny_run(tmp_path / "run", "dcgan")
    asks = [
        device.choose,
        lambda name: open_generator(run, device=name),
        lambda name: open_extractor("random-conv", name),
        lambda name: suite.run(Request(sections=("ops",), device=name), progress=lambda text: None),
    ]
    for ask in asks:
        with pytest.raises(ConfigError, match="'meta' is unknown: choose auto, cpu"):
            ask("meta")
