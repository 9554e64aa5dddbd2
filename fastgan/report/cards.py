"""The numbers that `fastgan eval` left in a run: read from its cards, and shown as a table beside their protocol."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from fastgan.documents import read_json


class _Card(TypedDict):
    """What is shown of a card."""

    format: Literal["fastgan.eval"]  # as metrics.card writes it
    scores: dict[str, Any]
    protocol: dict[str, Any]
    generated: dict[str, Any]
    warnings: NotRequired[list[str]]


def read_cards(run: Path) -> dict[str, dict[str, Any]]:
    """File name -> card, by name; what is no whole card is passed over."""
    cards = {}
    for path in sorted(run.glob("*.json")):
        try:
            cards[path.name] = dict(read_json(path, _Card))
        except (OSError, ValueError):  # being written at this moment, or not ours
            continue
    return cards


def table(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """A section of HTML with a table a card; nothing where there are none."""
    if not cards:
        return ""
    body = "".join(
        f"<div><h3>{escape(name)}</h3><table>{_rows(card['scores'])}</table>"
        f'<p class="note">{escape(_protocol(card))}</p></div>'
        for name, card in cards.items()
    )
    return f'<section><h2>Evaluations</h2><div class="tables">{body}</div></section>\n'


def _rows(scores: Mapping[str, Any]) -> str:
    return "".join(
        f"<tr><th>{escape(str(name))}</th><td>{value:.5g}</td></tr>"
        for name, value in scores.items()
        if isinstance(value, (int, float))
    )


def _protocol(card: Mapping[str, Any]) -> str:
    """What the numbers depend on most, in a line: the card has the rest."""
    protocol, generated = card["protocol"], card["generated"]
    parts = [
        f"generated: {protocol.get('generated_n', '?')}, at {generated.get('cur_nimg', '?')} images of training",
        f"seeds {generated['seeds']}" if generated.get("seeds") else "",
        f"truncation {protocol.get('truncation', 1)}",
        f"real: {protocol.get('reference_n', '?')}, {str(protocol.get('reference_sha256', ''))[:8]}",
        *card.get("warnings", []),
    ]
    return "; ".join(map(str, filter(None, parts)))
