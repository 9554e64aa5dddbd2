"""The whole of `fastgan bench` as one HTML page: a table first, then images a second as bars, then every row."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastgan.benchmark import report
from fastgan.benchmark.report import Row, Table
from fastgan.benchmark.summary import summary
from fastgan.pages.document import document as frame

_OURS = ("fastgan", "torch ", "onnx ")


def render(document: Mapping[str, Any]) -> str:
    """The page of what `suite.run` returned."""
    sections = [
        _header(document),
        _tiles(document),
        "<section><h2>In short</h2>",
        _table(summary(document)),
        '<p class="note">Ours is the fastest of our ways in each case; ops: the median of their cases, with the range. '
        "Contenders take turns within one process, and a ratio is the median over rounds in the tables below.</p>"
        "</section>\n",
        _figures(document),
        _details(document),
    ]
    return frame(f"fastgan bench · {document['device']}", "".join(sections))


def _header(document: Mapping[str, Any]) -> str:
    quick = any(content["quick"] for content in document["sections"].values())
    return (
        f'<header><h1>fastgan bench</h1><span class="state">{"a quick look" if quick else "measured"}</span>'
        f'<p class="source">{escape(report.describe(document))}</p></header>\n'
    )


def _tiles(document: Mapping[str, Any]) -> str:
    processor, versions = document["processor"], document["versions"]
    tiles = {
        "device": document["device"],
        "threads": f"{document['threads']} of {processor['cores']}",
        "instruction set": document["ops"].get("isa") or "?",
        "torch": versions["torch"],
        "ONNX Runtime": versions.get("onnxruntime-gpu") or versions.get("onnxruntime") or "none",
        "ops": document["backend"],
        "commit": document["commit"] or "unknown",
        "date": document["date"][:10],
    }
    body = "".join(
        f"<div><b>{escape(str(value))}</b><span>{escape(name)}</span></div>" for name, value in tiles.items()
    )
    return f'<section class="tiles">{body}</section>\n'


def _table(table: Table) -> str:
    head, lines = table
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>\n'


def _figures(document: Mapping[str, Any]) -> str:
    figures = [
        _bars(title, row["images_per_second"])
        for section, content in document["sections"].items()
        for title, row in _throughputs(section, content["rows"])
    ]
    if not figures:
        return ""
    return f'<section><h2>Images a second</h2><div class="figures">{"".join(figures)}</div></section>\n'


def _throughputs(section: str, rows: list[Row]) -> Iterator[tuple[str, Row]]:
    for row in rows:
        if "images_per_second" in row and row.get("format") in (None, "png"):
            what = {"train": "training"}.get(section) or ("to PNG files" if "format" in row else "to pixels")
            yield f"{row['model']}, {what}, batch {row['batch']}", row


def _bars(title: str, rates: Mapping[str, Row]) -> str:
    most = max(rate["median"] for rate in rates.values())
    bars = "".join(
        f"<span>{escape(name)}</span>"
        f'<i class="{"ours" if name.startswith(_OURS) else ""}" style="width:{100 * rate["median"] / most:.1f}%"></i>'
        f"<b>{rate['median']:.4g}</b>"
        for name, rate in rates.items()
    )
    return f'<figure><figcaption><h3>{escape(title)}</h3></figcaption><div class="bars">{bars}</div></figure>'


def _details(document: Mapping[str, Any]) -> str:
    parts = [
        f"<section><h2>{escape(title[0].upper() + title[1:])}</h2>\n{_table(table)}</section>\n"
        for section, content in document["sections"].items()
        for title, table in report.tables(section, content["rows"])
    ]
    return "".join(parts)
