"""Results as tables of HTML, which a notebook shows."""

from collections.abc import Iterable, Sequence

from fastgan.pages.document import render


def html_table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), below: Sequence[str] = ()) -> str:
    """A table of texts with sentences below, all escaped; the first column holds titles."""
    return render("api/table.html.j2", rows=rows, header=header, below=below)
