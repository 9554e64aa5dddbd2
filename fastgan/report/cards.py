"""The numbers that `fastgan eval` left in a run: read from its cards, and what they depend on."""

from collections.abc import Mapping
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


def protocol(card: Mapping[str, Any]) -> str:
    """What the numbers depend on most, in a line: the card has the rest."""
    kept, generated = card["protocol"], card["generated"]
    parts = [
        f"generated: {kept.get('generated_n', '?')}, at {generated.get('cur_nimg', '?')} images of training",
        f"seeds {generated['seeds']}" if generated.get("seeds") else "",
        f"truncation {kept.get('truncation', 1)}",
        f"real: {kept.get('reference_n', '?')}, {str(kept.get('reference_sha256', ''))[:8]}",
        *card.get("warnings", []),
    ]
    return "; ".join(map(str, filter(None, parts)))
