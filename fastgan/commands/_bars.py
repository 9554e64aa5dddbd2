"""Bars with rate and time left on stderr, for work that counts images."""

from typing import TYPE_CHECKING

from fastgan.console import console

if TYPE_CHECKING:
    from rich.progress import Progress


def bars() -> "Progress":
    """One bar a task, whose description says what the work is."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} img/s", style="progress.data.speed")

    columns = (
        TextColumn("{task.description:8}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console())
