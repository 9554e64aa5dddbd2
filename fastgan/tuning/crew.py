"""The workers of one call: processes that take a trial each, watched, and ended with the call."""

import json
import os
import platform
import site
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fastgan.errors import FastganError
from fastgan.machine import threads_asked, usable_cores
from fastgan.tuning.plan import Plan
from fastgan.tuning.worker import CANNOT

_SAVING = 60.0
"""Seconds that workers have to save when they are asked to end"""
_USELESS = 3
"""Workers in a row that end without a trial before the call gives up"""


@dataclass
class _Member:
    name: str
    slot: int
    process: subprocess.Popen[str]
    log: Path


@dataclass(kw_only=True)
class Crew:
    """At most `jobs` workers at a time, each with its share of the cores, or a GPU of its own."""

    plan: Plan
    folder: Path
    storage: str | None
    meeting: Path
    """Where workers hold their locks"""
    jobs: int
    devices: Sequence[str]
    """Given to the workers in turn"""
    ended: list[str] = field(default_factory=list)
    """Names of those that are gone"""
    _members: list[_Member] = field(default_factory=list)
    _useless: int = 0

    def __enter__(self) -> Self:
        for place in (self.folder / "workers", self.meeting):
            place.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def names(self) -> set[str]:
        """Of those at work."""
        return {member.name for member in self._members}

    @property
    def free(self) -> int:
        """How many more may be started."""
        return self.jobs - len(self._members)

    def start(self, study: str, *, confirms: bool) -> None:
        """Start a worker, which takes one trial of `study`."""
        slot = min({*range(self.jobs)} - {member.slot for member in self._members})
        name = f"{platform.node().replace(os.sep, '-') or 'machine'}-{uuid.uuid4().hex[:10]}"
        log = self.folder / "workers" / f"{name}.log"
        told = {
            "folder": str(self.folder.absolute()),
            "worker": name,
            "plan": self.plan.message(),
            "study": study,
            "storage": self.storage,
            "meeting": str(self.meeting.absolute()),
            "device": self.devices[slot % len(self.devices)],
            "confirms": confirms,
        }
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "fastgan.tuning.worker"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                text=True,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is this process's to hear, which then ends them
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # gone already: `reap` says why
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()  # and stays open: the worker ends when this process does
        self._members.append(_Member(name, slot, process, log))

    def reap(self, seen: set[str]) -> None:
        """Forget the workers that have ended; seen: names of workers that have had a trial.

        Raises FastganError where one says that no trial could help, or several end without one.
        """
        for member in [m for m in self._members if m.process.poll() is not None]:
            self._members.remove(member)
            self.ended.append(member.name)
            assert member.process.stdin is not None
            with suppress(BrokenPipeError):
                member.process.stdin.close()
            if member.process.returncode == CANNOT:
                raise FastganError(f"the search cannot go on: {_last_line(member.log)}")
            self._useless = 0 if member.name in seen or member.process.returncode == 0 else self._useless + 1
            if self._useless >= _USELESS:
                raise FastganError(
                    f"{_USELESS} workers in a row ended without a trial, the last with: {_last_line(member.log)} "
                    f"({member.log})"
                )

    def stop(self) -> None:
        """Ask all to save and end, and wait; what does not end in time, or on a second Ctrl-C, is killed."""
        try:
            for member in self._members:
                member.process.terminate()
            until = time.monotonic() + _SAVING
            for member in self._members:
                with suppress(subprocess.TimeoutExpired):
                    member.process.wait(max(until - time.monotonic(), 0.1))
        finally:
            for member in self._members:
                member.process.kill()
                member.process.wait()
                self.ended.append(member.name)
            self._members.clear()

    def _environment(self) -> dict[str, str]:
        threads = max(usable_cores() // self.jobs, 1)
        asked = threads_asked()
        environment = {**os.environ, "OMP_NUM_THREADS": str(min(asked, threads) if asked else threads)}
        root = str(Path(__file__).resolve().parents[2])
        if root not in site.getsitepackages():  # run from a source tree
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        return environment


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing"
