"""The stages together: bounded memory, one exception for all, an end on Ctrl-C, what each did."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastgan.inference import Inputs, pipeline, writers
from fastgan.inference.conditions import Request
from fastgan.inference.folder import OutputFolder
from fastgan.inference.image_sets import Layout, open_set
from fastgan.inference.pipeline import Report
from fastgan.inference.runs import Fetch
from tests.inference.fakes import SETTINGS, FakeRuntime, contents, lines, names, write


class Oops(Exception):
    pass


def test_memory_is_bounded_however_slow_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, written, most = 0, 0, 0

    class Counting(FakeRuntime):
        def _begin(self, inputs: Inputs) -> Fetch:
            nonlocal begun, most
            begun += self.batch
            most = max(most, begun - written)
            return super()._begin(inputs)

    real = writers.ImageFiles.write

    def slow(self: Any, images: Any) -> None:
        nonlocal written
        time.sleep(0.003)
        real(self, images)
        written += len(images)

    monkeypatch.setattr(writers.ImageFiles, "write", slow)
    assert write(tmp_path, range(160), runtime=Counting(batch=4)) == 160
    # Those that wait for the writer, one there and one on its way, and those in flight.
    assert most <= 4 * (pipeline._ENCODED + 2 + 2)


@pytest.mark.parametrize("stage", ["prepare", "_begin", "take", "write", "describe_conditions"])
def test_the_exception_of_any_stage_ends_all(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner: Any = writers.ImageFiles if stage in ("take", "write") else FakeRuntime
    real, calls = getattr(owner, stage), 0

    def fails(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Oops(stage)
        return real(*arguments)

    before = threading.active_count()
    monkeypatch.setattr(owner, stage, fails)
    with pytest.raises(Oops, match=stage):
        write(tmp_path / "out", range(200))
    assert threading.active_count() == before
    monkeypatch.undo()
    there = len(contents(tmp_path / "out"))
    assert there <= 48
    assert {line["file"] for line in lines(tmp_path / "out")} == set(contents(tmp_path / "out"))
    assert write(tmp_path / "out", range(200)) == 200 - there
    assert len(names(tmp_path / "out")) == 202


def test_interrupted_while_the_model_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that nothing stops is left to itself; what is whole is kept and the lock given back."""
    hung, goes_on = threading.Event(), threading.Event()

    class Hanging(FakeRuntime):
        def _begin(self, inputs: Inputs) -> Fetch:
            if self.batches == 5:
                hung.set()
                goes_on.wait(30)
            return super()._begin(inputs)

    real = threading.Thread.join

    def ctrl_c(self: threading.Thread, timeout: float | None = None) -> None:
        if threading.current_thread() is threading.main_thread() and "prepare" in self.name and hung.is_set():
            monkeypatch.undo()
            raise KeyboardInterrupt
        real(self, 0.01 if "prepare" in self.name and not hung.is_set() else timeout)

    monkeypatch.setattr(threading.Thread, "join", ctrl_c)
    try:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, range(100), runtime=Hanging())
        assert len(contents(tmp_path)) == len(lines(tmp_path)) <= 20
    finally:
        goes_on.set()
    assert write(tmp_path, range(100)) >= 80
    assert len(contents(tmp_path)) == 100


def report(out: Path, seeds: Any, **options: Any) -> Report:
    runtime = FakeRuntime()
    folder = OutputFolder(out, SETTINGS)
    with open_set(runtime, seeds, Request(), folder, Layout()) as (plan, writer):
        return pipeline.write_set(runtime, plan, writer, **options)


def test_report_and_progress(tmp_path: Path) -> None:
    ticks: list[int] = []
    done = report(tmp_path, range(10), workers=3, advance=ticks.append)
    assert (done.images, done.workers, ticks) == (10, 3, [4, 4, 2])
    assert set(done.busy) == {"prepare", "model", "encode", "write"}
    assert all(0 < share <= 1 for share in done.busy.values())
    assert done.rate == pytest.approx(10 / done.seconds)


def test_every_batch_is_shown_also_where_it_is_there_already(tmp_path: Path) -> None:
    report(tmp_path, range(6))
    seen: dict[int, np.ndarray] = {}
    assert report(tmp_path, range(10), see=seen.__setitem__).images == 4
    assert {start: len(images) for start, images in seen.items()} == {0: 4, 4: 4, 8: 2}
    np.testing.assert_array_equal(np.concatenate(list(seen.values())), FakeRuntime().sample(10))
