"""Counts of a long call that its user sees and its callback hears."""

from dataclasses import dataclass

from fastgan.callbacks import Callback
from fastgan.progress import Advance, Progress


@dataclass(frozen=True)
class Heard:
    """A `Progress` whose counts are also told to `callback`, as log(done, {what: done})."""

    shown: Progress
    callback: Callback

    def note(self, text: str) -> None:
        """Show a sentence, and tell it as an event."""
        self.shown.note(text)
        self.callback.event(0, "note", text)

    def bar(self, what: str, total: int) -> Advance:
        """Show a count, and tell each step of it."""
        show, done = self.shown.bar(what, total), 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            show(n)
            self.callback.log(done, {what: done})

        return advance

    def line(self, text: str, done: float | None) -> None:
        """Show how the whole stands."""
        self.shown.line(text, done)
