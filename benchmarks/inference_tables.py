"""Rows about inference as tables to read: a line a question, a column a contender."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fastgan.benchmark import report

Row = Mapping[str, Any]
Cell = Callable[[Row, str], str]


def tables(rows: Sequence[Row]) -> list[tuple[str, report.Table]]:
    """What there is of: pixels, one image at a time, files as PNG, other formats, cold starts."""
    asked = {
        ask: [row for row in rows if row["ask"] == ask] for ask in ("nowhere", "latency", "disk", "start")
    }
    png = [row for row in asked["disk"] if row["format"] == "png"]
    others = [row for row in asked["disk"] if row["format"] != "png"]
    found = [
        ("Seeds to pixels, images/s", _pivot(asked["nowhere"], "images_per_second", _rate, batch=True)),
        (
            "One image at a time, ms: median (99th percentile)",
            _pivot(asked["latency"], "milliseconds", _latency),
        ),
        ("Seeds to PNG files, images/s, batch 16", _pivot(png, "images_per_second", _rate)),
        ("Other formats, by the fastest runtime, images/s", _formats(others)),
        ("How busy each stage is while PNG is written", _busy(png)),
        ("From a cold start to the first image on the disk, s", _pivot(asked["start"], "seconds", _seconds)),
    ]
    return [(title, table) for title, table in found if table[1]]


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _pivot(rows: Sequence[Row], values: str, cell: Cell, *, batch: bool = False) -> report.Table:
    names = _unique(name for row in rows for name in row[values])
    head = ["model", *["batch"] * batch, "threads", *names]
    return head, [
        [row["model"], *[str(row["batch"])] * batch, str(row["threads"])]
        + [cell(row, name) if name in row[values] else "" for name in names]
        for row in rows
    ]


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _rate(row: Row, name: str) -> str:
    """`689 (2.4x)`: against the baseline, which has none."""
    rate = _number(row["images_per_second"][name]["median"])
    ratio = row["speedup"].get(name)
    return f"{rate} ({ratio['median']:.2g}x)" if ratio else rate


def _latency(row: Row, name: str) -> str:
    found = row["milliseconds"][name]
    return f"{found['p50']:.3g} ({found['p99']:.3g})"


def _seconds(row: Row, name: str) -> str:
    return f"{row['seconds'][name]['median']:.2g}"


def _formats(rows: Sequence[Row]) -> report.Table:
    def column(row: Row) -> str:
        return f"{row['model']}, {row['threads']} thread{'s' * (row['threads'] > 1)}"

    models = _unique(map(column, rows))
    rates = {(row["format"], column(row)): next(iter(row["images_per_second"].items())) for row in rows}
    lines = []
    for kind in _unique(row["format"] for row in rows):
        cells = [rates.get((kind, model)) for model in models]
        lines.append([kind, *(f"{_number(c[1]['median'])} ({c[0]})" if c else "" for c in cells)])
    return ["format", *models], lines


def _busy(rows: Sequence[Row]) -> report.Table:
    stages = _unique(stage for row in rows for shares in row["busy"].values() for stage in shares)
    return ["model", "threads", "runtime", *stages], [
        [row["model"], str(row["threads"]), name, *(f"{shares.get(stage, 0):.0%}" for stage in stages)]
        for row in rows
        for name, shares in row["busy"].items()
    ]
