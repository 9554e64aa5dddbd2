"""How a study shows itself on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from fastgan.console import console
from fastgan.text import clock, shown

if TYPE_CHECKING:
    from rich.progress import Progress

    from fastgan.study.pace import Step

_QUIET = 10.0  # seconds between plain lines


class Display(Protocol):
    """What the command tells its user while it works."""

    def note(self, text: str) -> None:
        """A sentence, once."""

    def step(self, step: "Step") -> None:
        """What is being done."""


@contextmanager
def show() -> Iterator[Display]:
    """The display that fits stderr."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console()) as progress:
        yield _Live(progress)


class _Plain:
    def __init__(self) -> None:
        self._last = -_QUIET

    def note(self, text: str) -> None:
        print(f"note: {shown(text)}", file=sys.stderr, flush=True)

    def step(self, step: "Step") -> None:
        if time.monotonic() - self._last >= _QUIET:
            self._last = time.monotonic()
            print(_line(step), file=sys.stderr, flush=True)


class _Live:
    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task = progress.add_task("", total=1.0)

    def note(self, text: str) -> None:
        self._progress.console.print(f"note: {shown(text)}")

    def step(self, step: "Step") -> None:
        self._progress.update(self._task, description=_line(step), completed=step.done)


def _line(step: "Step") -> str:
    return f"{shown(step.what)}  {clock(step.left)} to go"
