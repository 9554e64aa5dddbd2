"""The whole of `fastgan bench` as one HTML page: a table first, then images a second as bars, then every row."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastgan.benchmark import report
from fastgan.benchmark.report import Row
from fastgan.benchmark.summary import summary
from fastgan.pages.document import render as document_of

_OURS = ("fastgan", "torch ", "onnx ")


def render(document: Mapping[str, Any]) -> str:
    """The page of what `suite.run` returned."""
    sections = document["sections"]
    return document_of(
        "benchmark/page.html.j2",
        device=document["device"],
        quick=any(content["quick"] for content in sections.values()),
        source=report.describe(document),
        tiles=_tiles(document),
        summary=summary(document),
        figures=[
            {"title": title, "bars": _bars(row["images_per_second"])}
            for section, content in sections.items()
            for title, row in _throughputs(section, content["rows"])
        ],
        details=[
            found
            for section, content in sections.items()
            for found in report.tables(section, content["rows"])
        ],
    )


def _tiles(document: Mapping[str, Any]) -> dict[str, str]:
    processor, versions = document["processor"], document["versions"]
    return {
        "device": document["device"],
        "threads": f"{document['threads']} of {processor['cores']}",
        "instruction set": document["ops"].get("isa") or "?",
        "torch": versions["torch"],
        "ONNX Runtime": versions.get("onnxruntime-gpu") or versions.get("onnxruntime") or "none",
        "ops": document["backend"],
        "commit": document["commit"] or "unknown",
        "date": document["date"][:10],
    }


def _throughputs(section: str, rows: list[Row]) -> Iterator[tuple[str, Row]]:
    for row in rows:
        if "images_per_second" in row and row.get("format") in (None, "png"):
            what = {"train": "training"}.get(section) or ("to PNG files" if "format" in row else "to pixels")
            yield f"{row['model']}, {what}, batch {row['batch']}", row


def _bars(rates: Mapping[str, Row]) -> list[dict[str, Any]]:
    """A bar for each contender: images a second, and the share of the fastest's."""
    most = max(rate["median"] for rate in rates.values())
    return [
        {
            "name": name,
            "ours": name.startswith(_OURS),
            "rate": rate["median"],
            "share": rate["median"] / most,
        }
        for name, rate in rates.items()
    ]
