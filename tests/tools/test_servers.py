"""The scripts for servers, run by bash as Slurm, torchrun and cron run them."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import tiny_run

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"
REAL = f'#!/bin/sh\nexec "{sys.executable}" -m fastgan "$@"\n'

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("bash", "flock", "timeout")),
    reason="needs bash, flock, timeout",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan", resolution=8)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a script, on whose PATH fastgan is the text of a shell script, by default this checkout's fastgan."""

    def start(
        name: str, *arguments: object, fastgan: str = REAL, **environment: str
    ) -> "subprocess.Popen[str]":
        folder = Path(tempfile.mkdtemp(dir=tmp_path))  # one that runs already cannot be written
        for program, text in (
            ("fastgan", fastgan),
            ("scontrol", f'#!/bin/sh\necho "$@" >>{tmp_path}/scontrol\n'),
        ):
            (folder / program).write_text(text)
            (folder / program).chmod(0o755)
        path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("SLURM_", "FASTGAN_SHARDS"))
        }
        return subprocess.Popen(
            ["bash", str(TOOLS / name), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=own | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        )

    return start


def ended(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    """What it printed, once it ended with `code`."""
    out, error = process.communicate(timeout=120)
    assert process.returncode == code, error
    return out, error


def wait_for(path: Path) -> None:
    """Until a file has something in it."""
    for _ in range(600):
        if path.exists() and path.stat().st_size:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} does not appear")


def assert_whole(out: Path, images: int) -> None:
    from fastgan.inference.verify import verify

    found = verify(out)
    assert found.whole, found.lines()
    assert found.images == images


def slurm(task: int, tasks: int) -> dict[str, str]:
    return {
        "SLURM_ARRAY_JOB_ID": "17",
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": str(tasks - 1),
        "SLURM_ARRAY_TASK_COUNT": str(tasks),
    }


def test_slurm_tasks_make_one_set(
    run: Path, script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    asked = (run, "-n", 40, "--batch", 4, "-o", "out")
    for task in [script("generate_slurm.sh", *asked, **slurm(k, 2)) for k in range(2)]:
        ended(task)
    assert_whole(tmp_path / "out", 40)


def test_slurm_queues_again_what_has_no_time_left(
    script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    waiting = '#!/bin/sh\necho "$@" >asked\nexec sleep 60\n'
    task = script("generate_slurm.sh", "MODEL", "-n", 9, fastgan=waiting, **slurm(3, 16))
    wait_for(tmp_path / "asked")
    assert (tmp_path / "asked").read_text() == "generate MODEL -n 9 --shard 3/16\n"
    task.send_signal(signal.SIGUSR1)
    assert "time is up" in ended(task)[1]
    assert (tmp_path / "scontrol").read_text() == "requeue 17_3\n"

    cancelled = script("generate_slurm.sh", "MODEL", fastgan=waiting.replace("asked", "again"), **slurm(0, 2))
    wait_for(tmp_path / "again")
    cancelled.send_signal(signal.SIGTERM)
    cancelled.communicate(timeout=60)
    assert cancelled.returncode != 0
    assert (tmp_path / "scontrol").read_text().count("\n") == 1


def test_slurm_does_not_take_some_shards_for_all(
    script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    some = slurm(7, 16) | {
        "SLURM_ARRAY_TASK_MIN": "3",
        "SLURM_ARRAY_TASK_MAX": "7",
        "SLURM_ARRAY_TASK_COUNT": "2",
    }
    said = '#!/bin/sh\necho "$@"\n'
    assert "FASTGAN_SHARDS" in ended(script("generate_slurm.sh", "MODEL", fastgan=said, **some), code=2)[1]
    task = script("generate_slurm.sh", "MODEL", fastgan=said, FASTGAN_SHARDS="16", **some)
    assert ended(task)[0] == "generate MODEL --shard 7/16\n"
    failing = script("generate_slurm.sh", "MODEL", fastgan="#!/bin/sh\nexit 2\n", **slurm(0, 1))
    ended(failing, code=2)


def test_torchrun_processes_make_one_set(
    run: Path, script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    ended(script("generate_torchrun.sh", run, "-n", 30, "--batch", 4, "-o", "out", PROCESSES="2"))
    assert_whole(tmp_path / "out", 30)
    assert len(list((tmp_path / "out").glob("manifest-*-of-00002.jsonl"))) == 2


def summaries(log: Path) -> list[str]:
    return [line.partition(" ")[2] for line in log.read_text().splitlines() if ", exit " in line]


def test_cron_makes_all_says_one_line_and_finds_it_done(
    run: Path, script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    assert ended(script("generate_cron.sh", "-l", "faces.log", "--", run, "-n", 20, "-o", "out")) == ("", "")
    assert_whole(tmp_path / "out", 20)
    (line,) = summaries(tmp_path / "faces.log")
    assert line.startswith("fastgan generate: done after ")
    assert "20 images" in line
    assert line.endswith("exit 0")


def test_cron_starts_one_at_a_time_and_stops_in_time(
    script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    log = tmp_path / "faces.log"
    slow = '#!/bin/sh\necho "$@" >>asked\nexec sleep 60\n'
    first = script("generate_cron.sh", "-l", log, "-t", "2s", "--", "MODEL", "-n", 9, fastgan=slow)
    wait_for(tmp_path / "asked")
    assert ended(script("generate_cron.sh", "-l", log, "--", "MODEL", fastgan=slow), code=75) == ("", "")
    assert ended(first, code=75) == ("", "")
    assert (tmp_path / "asked").read_text() == "generate MODEL -n 9\n"
    still, up = summaries(log)
    assert still == "fastgan generate: an earlier start still runs, exit 75"
    assert up.startswith("fastgan generate: time was up after ")

    # Told to stop, it passes that on; the lock is free once what it started has ended.
    stopped = script("generate_cron.sh", "-l", log, "--", "MODEL", fastgan=slow.replace("asked", "again"))
    wait_for(tmp_path / "again")
    stopped.terminate()
    ended(stopped, code=75)
    assert "told to stop" in summaries(log)[-1]
    with open(tmp_path / "faces.log.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_cron_passes_codes_on_and_rotates(
    script: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    log = tmp_path / "faces.log"
    for k in range(4):
        failing = (
            f"#!/bin/sh\nhead -c 3000 /dev/zero | tr '\\0' {k}\necho\necho error {k} >&2\nexit {k + 2}\n"
        )
        start = script("generate_cron.sh", "-l", log, "-s", 1, "-k", 2, "--", "MODEL", fastgan=failing)
        error = ended(start, code=k + 2)[1]
        assert error.count("\n") == 1
        assert error.endswith(f"error {k}, exit {k + 2}\n")
    for name, k in (("faces.log", 3), ("faces.log.1", 2), ("faces.log.2", 1)):
        assert f"error {k}\n" in (tmp_path / name).read_text()
    assert not (tmp_path / "faces.log.3").exists()
    assert "usage" in ended(script("generate_cron.sh", "--", "MODEL"), code=64)[1]
    ended(script("generate_cron.sh", "-l", tmp_path / "no" / "x.log", "--", "MODEL"), code=73)
