"""A search whose worker is killed, that is stopped by Ctrl-C, and then goes on, in real processes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import fastgan
from fastgan.tuning import storage
from fastgan.tuning.records import Record, records
from tests.tuning.conftest import TINY

LONG = 100.0  # seconds: a loaded machine


def waited(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + LONG
    while not what():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def found(tmp_path: Path) -> Callable[[], list[Record]]:
    """The trials of the study in tmp_path/out, as they are now."""

    def look() -> list[Record]:
        import optuna

        if not (tmp_path / "out" / storage.JOURNAL).is_file():
            return []
        place = storage.open_storage(None, tmp_path / "out")
        try:
            return records(optuna.load_study(study_name="out", storage=place))
        except KeyError:
            return []

    return look


@pytest.mark.slow
def test_a_killed_worker_and_ctrl_c_lose_nothing(
    squares: Path, tmp_path: Path, found: Callable[[], list[Record]], tune: Callable[..., fastgan.Tuned]
) -> None:
    space = tmp_path / "space.toml"
    space.write_text('train.lr_g = "1e-4..4e-3 log"\n')
    settings = TINY | {"train.batch": 4}  # steps enough on a loaded machine
    tiny = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = [
        *(sys.executable, "-m", "fastgan", "tune", str(squares), "--out", str(tmp_path / "out")),
        *("--space", str(space), "--trials", "2", "--trial-budget", "6s", "--eval-images", "32"),
        *("--extractor", "random-conv", "--confirm", "1", "--confirm-seeds", "1", "--device", "cpu", *tiny),
    ]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        waited(lambda: [r for r in found() if r.state == "running" and r.points], process)
        workers = tmp_path / "out" / "workers"
        (log,) = workers.glob("*.log")
        (pid,) = _children(process.pid)
        os.kill(pid, signal.SIGKILL)
        waited(lambda: len([*workers.glob("*.log")]) == 2, process)
        waited(lambda: [r for r in found() if r.state == "running" and len(r.points) > 1], process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LONG)
    assert process.returncode == 130
    assert "trial 0000 has lost its worker and is tried again" in said
    assert re.search(r"stopped after \d trials: the same call goes on in", said)
    assert log.exists()
    assert not [record for record in found() if record.state == "running"]

    before = fastgan.Run(tmp_path / "out" / "trials" / "0000").cur_nimg
    assert before > 0
    done = tune(space=space, settings=settings, trial_budget="6s")
    assert len([trial for trial in done.trials if trial["state"] in ("complete", "pruned")]) == 2
    assert done.trials[0]["number"] == 0  # as often as it was tried
    assert fastgan.Run(tmp_path / "out" / "trials" / "0000").cur_nimg > before


def _children(pid: int) -> list[int]:
    """Processes that `pid` has started, on Linux."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
