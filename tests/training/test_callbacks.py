"""What a training run tells its callback: the lines of its own record, in order, and an end whatever happens."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastgan.callbacks import Callback, Callbacks, Job, told
from fastgan.config import to_mapping
from fastgan.errors import FastganError
from fastgan.training import checkpoint, distributed, run
from tests.training.test_run import lines, settings

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class Recorder(Callback):
    """Keeps what it is told; `fail` names a method that raises."""

    def __init__(self, fail: str = "") -> None:
        self.told: list[tuple] = []
        self.fail = fail

    def _hear(self, what: str, *facts: object) -> None:
        self.told.append((what, *facts))
        if what == self.fail:
            raise ValueError(f"no room for {what}")

    def begin(self, job):
        self._hear("begin", job)

    def log(self, step, values):
        self._hear("log", step, dict(values))

    def event(self, step, kind, text):
        self._hear("event", step, kind, text)

    def grid(self, step, image):
        self._hear("grid", step, image)

    def checkpoint(self, step, path):
        assert (path / "state.json").exists()
        self._hear("checkpoint", step, path)

    def end(self, results):
        self._hear("end", results)

    def of(self, what: str) -> list[tuple]:
        return [facts for heard, *facts in self.told if heard == what]


def fit(config, out, device, callback, report=lambda report: None, resume=False):
    """Train, with `report` called as report(session, report) where it takes two."""
    shared = {"device": str(device), "note": lambda text: None, "callback": callback}
    with run.resumed(out, config, **shared) if resume else run.new(config, out=out, **shared) as session:
        return session.fit(report if report.__code__.co_argcount == 1 else lambda r: report(session, r))


def logged(out):
    """The lines of log.jsonl as a callback hears them."""
    return [[line.pop("cur_nimg"), line] for line in lines(out)]


def events(out):
    texts = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return [[e["cur_nimg"], e["kind"], e["text"]] for e in texts]


def shown(out):
    """What TensorBoard shows of a run."""
    read = EventAccumulator(str(out / "tensorboard"), {"scalars": 0, "images": 0, "tensors": 0})
    return read.Reload()


def test_a_run_tells_each_line_grid_and_checkpoint_in_its_order(packed, tmp_path, device):
    out, heard = tmp_path / "run", Recorder()
    fit(settings(packed), out, device, heard)
    (job,) = heard.of("begin")[0]
    assert (job.work, job.folder, job.step) == ("train", out, 0)
    assert job.settings["model"]["resolution"] == 16
    assert [what for what, *_ in heard.told] == [
        *("begin", "grid"),
        *("grid", "log", "checkpoint") * 3,
        *("grid", "end"),
    ]
    assert heard.of("log") == logged(out)
    assert [step for step, _ in heard.of("checkpoint")] == [8, 16, 24]
    assert heard.of("checkpoint")[-1][1] == checkpoint.locate(out)
    for _, image in heard.of("grid"):
        assert (image.dtype, image.shape) == (np.uint8, (48, 32, 3))
    with Image.open(out / "grids" / "000000024.png") as png:
        assert np.array_equal(np.asarray(png), heard.of("grid")[-1][1])
    (results,) = heard.of("end")[0]
    assert (results["status"], results["cur_nimg"], results["run"]) == ("finished", 24, out)
    assert results["stopped"] is None
    assert results["seconds"] > 0


def test_a_resumed_run_begins_where_it_was_and_tells_what_is_new(packed, tmp_path, device):
    out, first, second = tmp_path / "run", Recorder(), Recorder()
    fit(settings(packed, budget="16img"), out, device, first)
    longer = settings(packed, budget="32img")
    fit(longer, out, device, second, resume=True)
    (job,) = second.of("begin")[0]
    assert job.step == 16
    assert job.settings["train"] == to_mapping(longer.train)
    assert first.of("log") + second.of("log") == logged(out)
    curve = [(event.step, event.value) for event in shown(out).Scalars("loss_d")]
    assert [step for step, _ in curve] == [8, 16, 24, 32]
    assert [value for _, value in curve] == pytest.approx([line["loss_d"] for line in lines(out)])


def test_a_rollback_is_told_before_what_comes_after_it(packed, tmp_path, device):
    out, heard = tmp_path / "run", Recorder()

    def poison(session, report):
        if not session.rollbacks and report.cur_nimg == 20:
            session.trainer.generator.to_image.weight.data.fill_(float("inf"))

    fit(settings(packed, budget="32img"), out, device, heard, poison)
    at = next(k for k, (what, *facts) in enumerate(heard.told) if what == "event" and facts[1] == "rollback")
    assert heard.told[at][1] == 16
    assert heard.told[at + 1][:2] == ("checkpoint", 16)
    assert heard.of("event")[-1:] == events(out)  # the one before lies in a future that was left
    before = [facts for what, *facts in heard.told[:at] if what == "log" and facts[0] <= 16]
    after = [facts for what, *facts in heard.told[at:] if what == "log"]
    assert before + after == logged(out)
    assert [step for step, _ in after] == [24, 32]
    curves = shown(out)
    assert [event.step for event in curves.Scalars("loss_d")] == [8, 16, 24, 32]
    assert "rollback/text_summary" in curves.Tags()["tensors"]
    assert [event.step for event in curves.Images("samples")][-2:] == [32, 32]


@pytest.mark.parametrize(
    ("fail", "saved"),
    [("log", 8), ("grid", 0), ("checkpoint", 8), ("event", 12)],
)
def test_what_a_callback_raises_ends_training_after_a_save(packed, tmp_path, device, fail, saved):
    out, heard = tmp_path / "run", Recorder(fail)
    config = settings(packed, stop_when="cur_nimg>11", log_every="4img" if fail == "event" else "8img")
    with pytest.raises(ValueError, match=f"no room for {fail}"):
        fit(config, out, device, heard)
    assert checkpoint.load(out).state["cur_nimg"] == saved
    (results,) = heard.of("end")[0]
    assert (results["status"], results["error"], results["cur_nimg"]) == (
        "failed",
        f"no room for {fail}",
        saved,
    )
    again = Recorder()
    assert fit(settings(packed, budget="32img"), out, device, again, resume=True).cur_nimg == 32
    assert [step for step, _ in again.of("log")] == [step for step in (8, 16, 24, 32) if step > saved]


def test_a_signal_is_told_as_an_interruption_after_the_save(packed, tmp_path, device):
    out, heard = tmp_path / "run", Recorder()

    def interrupt(report):
        if report.cur_nimg == 12:
            os.kill(os.getpid(), signal.SIGINT)

    assert fit(settings(packed), out, device, heard, interrupt).signum == signal.SIGINT
    (results,) = heard.of("end")[0]
    assert (results["status"], results["cur_nimg"]) == ("interrupted", 12)
    assert heard.told[-2][:2] == ("checkpoint", 12)


def test_a_run_that_breaks_down_is_told_as_failed(packed, tmp_path, device):
    heard = Recorder()

    def poison(session, report):
        session.trainer.generator.to_image.weight.data.fill_(float("nan"))

    with pytest.raises(FastganError, match="broke down"):
        fit(settings(packed, max_rollbacks=0), tmp_path / "run", device, heard, poison)
    (results,) = heard.of("end")[0]
    assert results["status"] == "failed"
    assert "broke down" in results["error"]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_a_callback_that_ends_the_process_loses_nothing_that_was_trained(packed, tmp_path, device, ending):
    class Enough(Callback):
        def log(self, step, values):
            raise ending

    with pytest.raises(ending):
        fit(settings(packed), tmp_path / "run", device, Enough())
    assert checkpoint.load(tmp_path / "run").state["cur_nimg"] == 8


def test_ctrl_c_again_within_a_callback_stops_at_once_unsaved(packed, tmp_path, device):
    class Slow(Callback):
        def log(self, step, values):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts with &
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(settings(packed), tmp_path / "run", device, Slow())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "run" / "latest").exists()


class Second(distributed.Processes):
    """The second of two processes, whose first has nothing for it to do."""

    rank, size = 1, 2

    def follow(self, crew):
        return None


def test_the_first_process_alone_is_heard(packed, tmp_path):
    heard = Recorder()
    shared = {"device": "cpu", "note": print, "callback": heard}
    with run.new(settings(packed), out=tmp_path / "run", processes=Second(), **shared) as session:
        session.fit(lambda report: None)
    assert heard.told == []


def test_all_are_told_of_the_end_whoever_fails():
    first, failing, last = Recorder(), Recorder("begin"), Recorder()
    with (
        pytest.raises(ValueError, match="no room for begin"),
        told(Callbacks([first, failing, last]), Job(work="train")),
    ):
        raise AssertionError("unreachable")
    assert first.of("end")[0][0]["status"] == "failed"
    assert failing.of("end") == last.of("end") == []
    failing, last = Recorder("end"), Recorder()
    with suppress(ValueError), told(Callbacks([failing, last]), Job(work="train")) as results:
        results["made"] = 3
    assert last.of("end") == [[{"status": "finished", "made": 3}]]
    with pytest.raises(KeyError) as raised, told(Recorder("end"), Job(work="train")):
        raise KeyError("the work's own")
    assert raised.value.__notes__ == ["The end of a callback failed as well: no room for end"]


def test_without_tensorboard_a_run_says_so_and_keeps_its_log(packed, tmp_path, device, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    out, notes = tmp_path / "run", []
    with run.new(settings(packed), out=out, device=str(device), note=notes.append) as session:
        session.fit(lambda report: None)
    assert sum("tensorboard is not installed" in note for note in notes) == 1
    assert not Path(out / "tensorboard").exists()
    assert len(lines(out)) == 3
