"""How long work shows itself: live bars in a terminal and in a notebook, a plain line now and then elsewhere."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fastgan.console import console
from fastgan.text import shown

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_QUIET = 10.0  # seconds between plain lines
Advance = Callable[[int], None]
"""advance(n): n more images are done"""


class Progress(Protocol):
    """What a long call tells its user."""

    def note(self, text: str) -> None:
        """A sentence, once."""

    def bar(self, what: str, total: int) -> Advance:
        """A count of images with its rate and the time left."""

    def line(self, text: str, done: float | None) -> None:
        """How the work stands as a whole: one line, which replaces the last; done: 0 to 1, None where nobody knows."""


@contextmanager
def progress(show: bool = True) -> Iterator[Progress]:
    """The progress that fits stderr: nothing where `show` is false."""
    if not show:
        yield Silent()
    elif sys.stderr.isatty() or _in_notebook():
        bars = _bars()
        try:
            yield _Live(bars)
        finally:
            bars.stop()
    else:
        yield _Plain()


def stages(shown: Progress) -> Callable[[str, int, int], None]:
    """A progress(stage, done, total) that draws a bar for each stage, for what counts by totals."""
    bars: dict[str, Advance] = {}
    seen: dict[str, int] = {}

    def update(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage], seen[stage] = shown.bar(stage, total), 0
        bars[stage](done - seen[stage])
        seen[stage] = done

    return update


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def bar(self, what: str, total: int) -> Advance:
        """A count that nobody sees."""
        return lambda n: None

    def line(self, text: str, done: float | None) -> None:
        """Nothing."""


class _Plain:
    def __init__(self) -> None:
        self._last = -_QUIET

    def note(self, text: str) -> None:
        self._print(f"note: {text}")

    def bar(self, what: str, total: int) -> Advance:
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            if self._due() or done == total:
                self._print(f"{what} {done}/{total}")

        return advance

    def line(self, text: str, done: float | None) -> None:
        if self._due():
            self._print(text)

    def _print(self, text: str) -> None:
        print(shown(text), file=sys.stderr, flush=True)

    def _due(self) -> bool:
        due = time.monotonic() - self._last >= _QUIET
        self._last = time.monotonic() if due else self._last
        return due


class _Live:
    """Drawn from the first bar on: rich draws no bars as an empty line, again and again, which scrolls a terminal."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._whole: Any = None

    def note(self, text: str) -> None:
        self._bars.console.print(f"note: {shown(text)}")

    def bar(self, what: str, total: int) -> Advance:
        task = self._bars.add_task(shown(what), total=total, counts=True)
        self._bars.start()
        return lambda n: self._bars.advance(task, n)

    def line(self, text: str, done: float | None) -> None:
        if self._whole is None:
            self._whole = self._bars.add_task("", total=1.0, counts=False)
        total = None if done is None else 1.0  # without one the bar moves to and fro
        self._bars.update(self._whole, description=shown(text), total=total, completed=done or 0.0)
        self._bars.start()


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel that can show what changes; rich does so by ipywidgets."""
    running = sys.modules.get("ipykernel") is not None
    return running and importlib.util.find_spec("ipywidgets") is not None


def _bars() -> "Bars":
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Numbers(ProgressColumn):
        """`512/2000  310 img/s` of a count, and the share of a whole."""

        def render(self, task: Task) -> Text:
            if not task.fields["counts"]:
                known = "" if task.total is None else f"{task.percentage:3.0f}%"
                return Text(known, style="progress.percentage")
            speed = task.finished_speed or task.speed
            rate = "" if speed is None else f"  {speed:,.0f} img/s"
            return Text(f"{task.completed:.0f}/{task.total:.0f}{rate}", style="progress.download")

    class Remaining(TimeRemainingColumn):
        """Of a count; the line of a whole says it itself."""

        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["counts"] else Text("")

    class Words(TextColumn):
        """Words of a count stand before its bar, those of a whole, which are long, after it."""

        def __init__(self, counts: bool) -> None:
            super().__init__("{task.description}", markup=False)
            self._counts = counts

        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["counts"] is self._counts else Text("")

    columns = (Words(True), BarColumn(bar_width=24), Numbers(), Remaining(), Words(False))
    return Progress(*columns, console=console(), refresh_per_second=4)
