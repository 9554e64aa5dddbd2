"""Results as tables of HTML, which a notebook shows."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), caption: str = "") -> str:
    """A table of texts, which are escaped; the first column holds titles."""
    head = "".join(f"<th>{escape(title)}</th>" for title in header)
    body = "".join(
        f"<tr><th style='text-align:left'>{escape(title)}</th>"
        + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for title, *cells in rows
    )
    below = f"<p>{escape(caption)}</p>" if caption else ""
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>{below}"
