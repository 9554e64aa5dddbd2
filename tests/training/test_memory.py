"""What would not fit into memory is one sentence with what would, before it is taken; signals are heard meanwhile."""

import signal
from dataclasses import replace

import pytest

from fastgan import machine
from fastgan.benchmark import suite
from fastgan.benchmark.request import Request
from fastgan.data.avatars import render
from fastgan.errors import ConfigError, MemoryLimitError, MetricError
from fastgan.metrics.summary import check_count, kept_rows
from fastgan.study import cnn
from fastgan.study.settings import Settings
from fastgan.training import inspection, run
from fastgan.training.evaluation import sampler
from fastgan.training.log import Grid, check_grid
from tests.training.conftest import small

GIB = 2**30


@pytest.fixture
def one_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: GIB)


def test_what_is_free_decides(one_gib: None) -> None:
    machine.require_memory(GIB, "all of it", "")
    assert machine.at_most(1024) == GIB // 1024
    with pytest.raises(
        MemoryLimitError, match=r"^a lot would take about 1\.5 GiB of memory, and 1\.0 GiB are free: less$"
    ):
        machine.require_memory(1.5 * GIB, "a lot", "less")


def test_numbers_of_many_digits_are_memory_too(one_gib: None) -> None:
    with pytest.raises(MemoryLimitError, match=r"avatars of 64 px would take about \d"):
        render(10**4000)


def test_a_count_to_score_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MetricError, match=r"scores of 99,999,999,999 images .* take at most 100,000,000"):
        check_count(99_999_999_999)
    monkeypatch.setattr(machine, "available_memory", lambda: 1 << 20)
    with pytest.raises(
        MemoryLimitError, match=r"choosing among 1,000,000 images .*: take at most 116,508 of"
    ):
        check_count(1_000_000)
    check_count(116_508)


def test_what_would_fit_fits(one_gib: None) -> None:
    """The number in each sentence is one that passes."""
    with pytest.raises(MemoryLimitError, match=r"images of 4096 px .*: give `size` 256 or less"):
        cnn.check_memory(4096)
    cnn.check_memory(256)
    with pytest.raises(
        MemoryLimitError, match=r"^10,000,000,000 avatars of 64 px .*: draw at most \d\d,\d\d\d$"
    ):
        render(10**10)
    request = Request(sections=("ops",), shapes=((99_999, 99_999, 999, 999),), quick=True)
    with pytest.raises(
        MemoryLimitError, match=r"the shape \(99999, .*: take one of at most 26,843,545 numbers"
    ):
        suite.ops_plan(request, "cpu")


def test_grids_are_bounded_by_a_picture_and_by_memory(one_gib: None) -> None:
    with pytest.raises(
        ConfigError, match=r"grid_images = 1000000000 is more than one picture shows: set at most 16384"
    ):
        small("dcgan", train={"grid_images": 10**9})
    config = small("dcgan", train={"grid_images": 16_384})
    large = replace(config, model=replace(config.model, resolution=256, img_channels=3, z_dim=64))
    with pytest.raises(
        MemoryLimitError,
        match=r"a grid of 16,384 samples of 256 px .*: set train\.grid_images to \d+ or less",
    ):
        check_grid(large)
    check_grid(replace(large, train=replace(large.train, grid_images=64)))


def test_studies_have_no_endless_numbers() -> None:
    for wrong in ({"seeds": 10**9}, {"steps": 10**20}, {"tuned_steps": 0}):
        with pytest.raises(ConfigError, match="is out of range"):
            Settings(**wrong)


def test_few_images_take_nothing_to_choose() -> None:
    assert bool(kept_rows(100).all())
    assert int(kept_rows(60_000).sum()) == 50_000


def test_drawing_and_evaluating_end_when_asked_to_between_batches(make, tmp_path) -> None:
    trainer = make("dcgan", train={"grid_images": 64})
    asked: list[int] = []

    def between() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Grid(tmp_path, trainer).draw(between)
    asked.clear()
    with pytest.raises(InterruptedError):
        sampler(trainer, between)(0, 64 * 10)
    assert len(asked) == 3


def test_a_signal_ends_a_long_evaluation_and_the_run_is_saved(packed, tmp_path, monkeypatch) -> None:
    """The evaluator asks for images without an end, as train.eval_images=1000000000 would."""
    monkeypatch.setattr(inspection, "_PATIENCE", 0.0)

    def evaluator(*_: object):
        def evaluate(sample) -> dict[str, float]:
            signal.raise_signal(signal.SIGTERM)
            while True:
                sample(0, 1)

        return evaluate

    train = {
        "budget": "800img",
        "eval_every": "8img",
        "precision": "fp32",
        "grid_images": 4,
        "checkpoint_every": "1h",
    }
    config = small("dcgan", data={"source": str(packed)}, train=train)
    with run.new(
        config, out=tmp_path / "run", device="cpu", note=lambda _: None, evaluator=evaluator
    ) as begun:
        outcome = begun.fit(lambda _: None)
    assert outcome.signum == signal.SIGTERM
    assert begun.saved is not None
    assert begun.saved.is_dir()
