"""Rich's console on standard error or output, which draws names that would draw themselves as escapes."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastgan.text import printable

if TYPE_CHECKING:
    from rich.console import Console


def console(*, stderr: bool = True) -> "Console":
    """A console that takes text for text: no markup, no emoji codes, no escape sequences inside it."""
    import rich.console
    from rich.segment import Segment

    class Escaping(rich.console.Console):
        def render(
            self,
            renderable: rich.console.RenderableType,
            options: rich.console.ConsoleOptions | None = None,
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable(segment.text))

    stream = sys.stderr if stderr else sys.stdout
    file = getattr(stream, "unescaped", stream)  # the stream would escape the colours too
    return Escaping(file=file, markup=False, emoji=False, highlight=False)
