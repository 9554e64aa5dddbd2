"""The result of `fastgan.evaluate`: scores, and the protocol that two of them must share to be compared."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastgan.api.tables import html_table
from fastgan.text import shown


class Card(Mapping[str, float]):
    """Scores by name, `{"kid[effnet-lite0]": 0.012, ...}`, with all that makes them comparable.

    A name may be given without its extractor, `card["kid"]`, where only one score is called so. As text, and in a
    notebook, the table of `fastgan eval`.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        path: Path | None = None,
        before: Mapping[str, float] | None = None,
    ) -> None:
        """before: the scores of the card that it was compared with."""
        self.content = dict(content)
        """What the card's file holds, of JSON's types: scores, protocol, generated, versions, warnings, and
        confidence, infinity, baselines, audit and similarity where they were asked for."""
        self.path = path
        """The card's file; None where none was written."""
        self.before = None if before is None else dict(before)

    @property
    def scores(self) -> dict[str, float]:
        """Every score by its full name."""
        return dict(self.content["scores"])

    @property
    def protocol(self) -> dict[str, Any]:
        """Extractor, real images, counts and settings: what two numbers must share to be compared."""
        return dict(self.content["protocol"])

    @property
    def warnings(self) -> list[str]:
        """Sentences on what is not to be trusted."""
        return list(self.content["warnings"])

    def __getitem__(self, name: str) -> float:
        scores: dict[str, float] = self.content["scores"]
        found = [full for full in scores if name in (full, full.partition("[")[0])]
        if len(found) != 1:
            raise KeyError(f"{name}: there are {', '.join(found or scores)}")
        return scores[found[0]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content["scores"])

    def __len__(self) -> int:
        return len(self.content["scores"])

    def __repr__(self) -> str:
        titles, rows = self._table()
        widest = max(len(name) for name, *_ in rows)
        lines = [f"{name:{widest}}" + "".join(f"  {cell:>12}" for cell in cells) for name, *cells in rows]
        if len(titles) > 2:
            lines.insert(0, " " * widest + "".join(f"  {title:>12}" for title in titles[1:]))
        return "\n".join(shown(line) for line in [*lines, *self._sentences()])

    def _repr_html_(self) -> str:
        titles, rows = self._table()
        return html_table(rows, titles, [*self._sentences(), *(f"note: {text}" for text in self.warnings)])

    def _sentences(self) -> list[str]:
        """The findings, then the protocol."""
        from fastgan.metrics import card

        asked = [self.content[name] for name in ("audit", "similarity") if name in self.content]
        return [*(finding["sentence"] for finding in asked), card.line(self.content)]

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """The titles, and a row a score with whatever was asked for beside it."""
        scores = {**self.content["scores"], **self.content.get("infinity", {})}
        columns = {"value": {name: f"{value:.5g}" for name, value in scores.items()}}
        if "confidence" in self.content:
            columns["95 %"] = {name: f"+- {value:.2g}" for name, value in self.content["confidence"].items()}
        if self.before is not None:
            before = {name: value for name, value in self.before.items() if name in scores}
            columns["before"] = {name: f"{value:.5g}" for name, value in before.items()}
            columns["change"] = {name: f"{scores[name] - value:+.3g}" for name, value in before.items()}
        for name, found in self.content.get("baselines", {}).items():
            columns[name] = {key: f"{value:.5g}" for key, value in found.items()}
        rows = [[name, *(column.get(name, "") for column in columns.values())] for name in scores]
        return ["", *columns], rows
