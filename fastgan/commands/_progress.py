"""How training shows itself on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fastgan.console import console
from fastgan.text import clock, shown

if TYPE_CHECKING:
    from fastgan.training.session import Report

_QUIET = 10.0  # seconds between plain lines


class Display(Protocol):
    """What a command tells its user while it works."""

    def note(self, text: str) -> None:
        """A sentence, once."""

    def data(self, stage: str, done: int, total: int) -> None:
        """Images are being read."""

    def report(self, report: "Report") -> None:
        """A training step is done."""


@contextmanager
def display(silent: bool = False) -> Iterator[Display]:
    """The display that fits stderr; `silent` in a process that another one speaks for."""
    if silent:
        yield _Silent()
    elif sys.stderr.isatty():
        with _Live() as live:
            yield live
    else:
        yield _Plain()


def summary(report: "Report", losses: dict[str, float]) -> str:
    """`12.8 kimg  460 img/s  16 px (40% in)  D 1.20 G 0.87 r_t 0.41  WARNING: collapse`; pixels where it grows."""
    short = {
        "loss_d": "D",
        "loss_g": "G",
        "penalty": "penalty",
        "path_length": "path",
        "r_t": "r_t",
        "augment_p": "p",
        "r_v": "r_v",
    }
    values = " ".join(f"{short[name]} {_number(losses[name])}" for name in short if name in losses)
    values += f" skipped {losses['skipped']:.0f}" if "skipped" in losses else ""
    size = f"{report.growing[0]:.0f} px ({report.growing[1]:.0%} in)  " if report.growing else ""
    alarms = f"  WARNING: {', '.join(report.alarms)}" if report.alarms else ""
    return f"{report.cur_nimg / 1000:.4g} kimg  {report.img_per_s:.3g} img/s  {size}{values}{alarms}"


def _number(value: float) -> str:
    """Two decimals, or one digit of a number that they would show as zero: a clipped critic's losses are small."""
    return f"{value:.2f}" if abs(value) >= 0.005 or value == 0 else f"{value:.0e}"


class _Silent:
    def note(self, text: str) -> None:
        pass

    def data(self, stage: str, done: int, total: int) -> None:
        pass

    def report(self, report: "Report") -> None:
        pass


class _Plain:
    def __init__(self) -> None:
        self.last = -_QUIET

    def _line(self, text: str) -> None:
        print(shown(text), file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        self._line(f"note: {text}")

    def data(self, stage: str, done: int, total: int) -> None:
        if self._due() or done == total:
            self._line(f"{stage} {done}/{total}")

    def report(self, report: "Report") -> None:
        if report.losses and self._due():
            left = clock(report.left)
            self._line(f"{summary(report, report.losses)}  {clock(report.seconds)} done, {left} to go")

    def _due(self) -> bool:
        due = time.monotonic() - self.last >= _QUIET
        self.last = time.monotonic() if due else self.last
        return due


class _Live:
    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.description}", markup=False),
        )
        self.progress = Progress(*columns, console=console(), refresh_per_second=4)
        self.task: Any = None
        self.losses: dict[str, float] = {}

    def __enter__(self) -> "_Live":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def note(self, text: str) -> None:
        self.progress.console.print(f"note: {shown(text)}")

    def data(self, stage: str, done: int, total: int) -> None:
        self._show(f"{stage} {done}/{total} images", done / max(total, 1))

    def report(self, report: "Report") -> None:
        self.losses = report.losses or self.losses
        self._show(f"{summary(report, self.losses)}  {clock(report.left)} to go", report.done)

    def _show(self, text: str, done: float) -> None:
        if self.task is None:
            self.task = self.progress.add_task("", total=1.0)
        self.progress.update(self.task, description=text, completed=done)
