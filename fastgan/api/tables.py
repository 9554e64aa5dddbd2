"""Results as tables of HTML, which a notebook shows."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), below: Sequence[str] = ()) -> str:
    """A table of texts with sentences below, all escaped; the first column holds titles."""
    head = "".join(f"<th>{escape(title)}</th>" for title in header)
    body = "".join(
        f"<tr><th style='text-align:left'>{escape(title)}</th>"
        + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for title, *cells in rows
    )
    under = "".join(f"<p>{escape(sentence)}</p>" for sentence in below)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>{under}"
