"""Training and inference benchmarks on tiny networks, and what a request is checked for."""

from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check
from fastgan.benchmark import suite, train
from fastgan.benchmark.request import SECTIONS, Request
from fastgan.benchmark.timing import Measured, Settings
from fastgan.errors import ConfigError

TINY = {
    "dcgan": train.Case(name="tiny dcgan", preset="dcgan", batch=4, model={"width": 4}),
    "stylegan": train.Case(
        name="tiny stylegan",
        preset="stylegan",
        batch=4,
        model={"channel_multiplier": 0.02, "z_dim": 8, "w_dim": 8},
    ),
}
QUICK = Settings(clock="wall", block_s=0.0, warmup=2, min_rounds=2, max_rounds=2)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "RESOLUTION", 16)


@pytest.mark.parametrize("preset", TINY)
def test_training_row(preset: str, device: torch.device) -> None:
    row = train.ask(TINY[preset], str(device), QUICK)
    ours = ["no graphs", "fastgan"] if device.type == "cuda" else ["fastgan"]
    assert list(row["images_per_second"]) == ["plain", "eager", *ours]
    assert list(row["speedup"]) == ["eager", *ours]
    assert row["penalty"] == {"dcgan": "none every 1", "stylegan": "r1 every 16"}[preset]


def test_memory_is_that_of_training(device: torch.device) -> None:
    """In a process of its own (at 64 px): more than the networks, less than the machine."""
    row = {"images_per_second": {"fastgan": {}}, "precision": "fp32"}
    case = TINY["dcgan"]
    (peak,) = train.measure_memory(case, row, str(device)).values()
    if Path("/proc/self/status").exists():
        assert 1e6 < peak < 4e9


def test_plain_loop_trains_the_very_networks_of_the_trainer(device: torch.device) -> None:
    settings = TINY["stylegan"].config()
    feed = train.Feed(train._images(8), device=device)
    plain = train.PlainLoop(settings, feed, device)
    trainer = train.assemble.make_trainer(settings, feed, device, "fp32")
    for ours, theirs in zip(trainer.generator.parameters(), plain.g.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    before = [p.detach().clone() for p in (*plain.g.parameters(), *plain.d.parameters())]
    plain.step(penalise=True)
    after = [*plain.g.parameters(), *plain.d.parameters()]
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(before) // 2


def test_a_lazy_penalty_counts_with_its_share() -> None:
    measured = Measured({"a True": [20.0, 40.0], "a False": [4.0, 8.0]})
    blended = train.blend(measured, ["a"], {True: 1 / 16, False: 15 / 16})
    assert blended.seconds == {"a": [5.0, 10.0]}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(sections=["ops"], device="tpu"), "tpu"),
        (Request(sections=["ops"], device="cuda:99"), "cuda:99"),
        (Request(sections=["ops"], names=["blur"]), "style_epilogue"),
        (Request(sections=["train"], models=["biggan"]), "stylegan"),
        (Request(models=["biggan"]), "stylegan"),  # before the ops are measured
        (Request(models=["dcgan"], sources=[Path("run")]), "give one of the two"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_requests_say_what_there_is(request_: Request, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        suite.run(request_)


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ConfigError):
        suite.run(Request(sections=["ops"], device="cpu", names=["blur"], threads=before + 1))
    assert torch.get_num_threads() == before


def test_gpu_check_without_a_gpu_fails_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no NVIDIA GPU"):
        gpu_check.require_gpu()


def test_gpu_check_asks_questions_that_the_suite_can_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a GPU: only that every request is well formed, and what comes first."""
    asked: list[Request] = []
    monkeypatch.setattr(gpu_check, "publish", lambda request, name, folder: asked.append(request) or tmp_path)
    monkeypatch.setattr(gpu_check.Chunk, "run", lambda self, request: asked.append(request))
    monkeypatch.setattr(gpu_check.Chunk, "path", lambda self, request: tmp_path / "ops.json")
    for _, measure in gpu_check.benchmarks(tmp_path):
        measure()
    assert {section for request in asked for section in request.sections} == set(SECTIONS)
    plans = [suite.ops_plan(request, "cuda") for request in asked if request.sections == ["ops"]]
    for plan in plans[:2]:
        assert {shape[2] for shape in plan.shapes} == {16, 32, 64, 128, 256, 512, 1024}
        assert set(plan.dtypes) == {"fp32", "bf16"}
        assert set(plan.layouts) == {"nchw", "nhwc"}
    assert [name for plan in plans[:2] for name in plan.names] == ["style_epilogue", "upsample2x"]


def test_gpu_check_ops_end_within_their_share() -> None:
    """Every op question has a time of its own, and together they leave room for training and inference."""
    shares: list[float] = []
    chunk = gpu_check.Chunk

    class Recorded(chunk):  # type: ignore[misc, valid-type]
        def __init__(self, folder: Path, *, missing: bool, seconds: float) -> None:
            shares.append(seconds)

        def run(self, request: Request) -> int:
            return 0

        def path(self, request: Request) -> Path:
            return Path()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_check, "Chunk", Recorded)
        for name, measure in gpu_check.benchmarks(Path()):
            if name not in ("train", "inference"):
                measure()
    assert sum(shares) <= gpu_check.BENCH_SECONDS - 30
