"""The protocol card: what a number was made with, and whether two numbers may stand side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from fastgan.documents import read_json
from fastgan.errors import DocumentError, MetricError
from fastgan.files import write_json

FORMAT = "fastgan.eval"
MARK = f'"format": "{FORMAT}"'.encode()
"""Stands at the beginning of each card, so that the next may replace it"""


def card(
    scores: Mapping[str, float],
    protocol: Mapping[str, Any],
    generated: Mapping[str, Any],
    versions: Mapping[str, str],
    warnings: list[str],
    **more: Any,
) -> dict[str, Any]:
    """Numbers, the protocol they share with whatever they may be compared to, whose images they are, versions.

    more: what was asked for beside the numbers, such as the audit; JSON types.
    """
    return {
        "format": FORMAT,
        "scores": dict(scores),
        "protocol": dict(protocol),
        "generated": dict(generated),
        "versions": dict(versions),
        "warnings": warnings,
        **more,
    }


def line(card: Mapping[str, Any]) -> str:
    """The card in one printed line."""
    protocol, generated = card["protocol"], card["generated"]
    shape = "x".join(map(str, protocol["image_shape"]))
    seeds = f", seeds {generated['seeds']}" if generated.get("seeds") else ""
    return (
        f"{protocol['extractor']} {protocol['extractor_sha256'][:8]}, {protocol['resizer']}, "
        f"{protocol['pixel_range']}; reference {protocol['reference_sha256'][:8]} n {protocol['reference_n']:,} "
        f"of {shape}; generated n {protocol['generated_n']:,}{seeds}, truncation {protocol['truncation']:g}; "
        + ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    )


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a card, whole or not at all."""
    write_json(path, content)


class _Card(TypedDict):
    """What a card is compared by."""

    format: Literal["fastgan.eval"]
    scores: dict[str, float]
    protocol: dict[str, Any]


def read(path: Path) -> dict[str, Any]:
    """A card that `write` wrote; MetricError for anything else."""
    try:
        return dict(read_json(path, _Card))
    except FileNotFoundError as error:
        raise MetricError(f"{path} does not exist: give a card that fastgan eval wrote.") from error
    except OSError as error:
        raise MetricError(f"cannot read {path}: {error.strerror}.") from error
    except DocumentError as error:
        raise MetricError(f"{path} is not a card that fastgan eval wrote ({error}).") from error


def check_alike(mine: Mapping[str, Any], theirs: Mapping[str, Any], where: Path) -> None:
    """Raise MetricError, naming the fields, unless both protocols are the same."""
    there, here = _flat(theirs), _flat(mine)
    differ = [
        f"{field} is {_short(there.get(field))} there and {_short(here.get(field))} here"
        for field in dict.fromkeys([*there, *here])
        if there.get(field) != here.get(field)
    ]
    if differ:
        raise MetricError(f"the numbers in {where} were made by another protocol: {'; '.join(differ)}.")


def _flat(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Tables within as dotted fields: kid.subset_size."""
    flat: dict[str, Any] = {}
    for field, value in protocol.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        flat |= {f"{field}.{name}": item for name, item in inner} or {field: value}
    return flat


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return f"{text[:12]}..." if len(text) == 64 else text
