"""The process that takes one trial from a study: python -m fastgan.tuning.worker, told on standard input what to do.

It is told in one line of JSON; standard input stays open as long as the process that started it lives, and when it
ends, the worker saves and ends too.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock

from fastgan import allocator
from fastgan.documents import parse_json
from fastgan.errors import FastganError
from fastgan.interrupts import exit_code, raised
from fastgan.tuning import storage
from fastgan.tuning.plan import Plan
from fastgan.tuning.trial import FailedError, Work

CANNOT = 3
"""Exit code where no trial could help: the last line of the log says why"""


def main() -> int:
    """Take a trial, end with 0 whatever came of it; CANNOT or 128 + signal otherwise."""
    told = parse_json(sys.stdin.readline(), dict[str, Any], "standard input")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, name = Path(told["folder"]), told["worker"]
    lock = FileLock(lock_path(Path(told["meeting"]), name))
    lock.acquire(timeout=0)
    allocator.keep_memory()
    plan = Plan.read(told["plan"])
    study = optuna.load_study(
        study_name=told["study"],
        storage=storage.open_storage(told["storage"], folder),
        sampler=storage.ByNumber(plan.seed),
        pruner=storage.pruner(plan),
    )
    work = Work(plan=plan, folder=folder, device=told["device"], worker=name)
    try:
        with raised():
            study.optimize(
                work.confirm if told["confirms"] else work.search, n_trials=1, catch=(FailedError,)
            )
    except KeyboardInterrupt as error:
        return exit_code(error)
    except FastganError as error:
        print(error, file=sys.stderr)
        return CANNOT
    return 0


def lock_path(meeting: Path, name: str) -> Path:
    """The file that a worker holds locked while it lives."""
    return meeting / f"{name}.lock"


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
