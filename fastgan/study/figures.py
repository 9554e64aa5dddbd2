"""The figures of a study as SVG: learning curves and arms, each with its intervals."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fastgan.pages.curves import label, ticks

_W, _H = 620, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 30
_ROW, _NAMES = 22, 300


def learning_curves(curves: Mapping[str, Sequence[tuple[float, Mapping[str, Any]]]]) -> str:
    """Curves by name: points of images a class and {"mean", "interval"}, in percent; across on a logarithmic scale."""
    xs = sorted({x for points in curves.values() for x, _ in points})
    ends = [v for points in curves.values() for _, e in points for v in _ends(e)]
    low, high = _range(ends)
    span = math.log(xs[-1] / xs[0]) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + 14 + math.log(x / xs[0]) / span * (_W - _LEFT - _RIGHT - 28)
        return round(across, 1), round(_TOP + (high - y) / (high - low) * (_H - _TOP - _BOTTOM), 1)

    parts = [_rule(at(xs[0], v)[1], v, _W - _RIGHT) for v in ticks(low, high)]
    parts += [
        f'<text class="tick" x="{at(x, low)[0]}" y="{_H - 8}" text-anchor="middle">{label(x)}</text>'
        for x in xs
    ]
    for k, points in enumerate(curves.values()):
        aside = 2.5 * (k - (len(curves) - 1) / 2)  # so that intervals do not hide each other
        means = [(round(x + aside, 1), y) for x, y in (at(x, 100 * e["mean"]) for x, e in points)]
        line = " ".join(f"{x},{y}" for x, y in means)
        parts.append(f'<polyline class="line c{k % 4}" points="{line}"/>')
        for (across, y), (x, e) in zip(means, points, strict=True):
            ends_y = [at(x, v)[1] for v in _ends(e)]
            parts.append(f'<path class="line c{k % 4}" d="M{across} {ends_y[0]}V{ends_y[1]}"/>')
            parts.append(f'<circle class="dot c{k % 4}" cx="{across}" cy="{y}" r="3"/>')
    return _svg(_W, _H, parts)


def arms(rows: Sequence[tuple[str, Mapping[str, Any], str]], mark: float | None = None) -> str:
    """A row for each arm: name, {"mean", "interval"}, class of its colour; `mark` draws a line at a value."""
    height = _TOP + _ROW * len(rows) + _BOTTOM
    width = _W + 200
    low, high = _range([v for _, e, _ in rows for v in _ends(e)])

    def across(v: float) -> float:
        return round(_NAMES + (v - low) / (high - low) * (width - _NAMES - 60), 1)

    parts = []
    for v in ticks(low, high, 6):
        parts.append(f'<path class="rule" d="M{across(v)} {_TOP}V{height - _BOTTOM}"/>')
        parts.append(
            f'<text class="tick" x="{across(v)}" y="{height - 10}" text-anchor="middle">{label(v)}</text>'
        )
    if mark is not None:
        parts.append(f'<path class="mark" d="M{across(100 * mark)} {_TOP}V{height - _BOTTOM}"/>')
    for k, (name, e, colour) in enumerate(rows):
        y = _TOP + _ROW * (k + 0.5)
        a, b = (across(v) for v in _ends(e))
        parts.append(
            f'<text class="tick arm" x="{_NAMES - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
        )
        parts.append(f'<path class="line {colour}" d="M{a} {y}H{b}"/>')
        parts.append(f'<circle class="dot {colour}" cx="{across(100 * e["mean"])}" cy="{y}" r="4"/>')
        parts.append(
            f'<text class="tick" x="{width - 6}" y="{y + 4}" text-anchor="end">{100 * e["mean"]:.1f}</text>'
        )
    return _svg(width, height, parts)


def _svg(width: int, height: float, parts: Sequence[str]) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" role="img">{"".join(parts)}</svg>'


def _rule(y: float, value: float, right: float) -> str:
    text = f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5}" text-anchor="end">{label(value)}</text>'
    return f'<path class="rule" d="M{_LEFT} {y}H{right}"/>{text}'


def _ends(e: Mapping[str, Any]) -> tuple[float, float]:
    """The interval in percent; the mean twice where it has no end, and nothing beyond what is possible."""
    low, high = (100 * (e["mean"] if end is None else end) for end in e["interval"])
    return max(low, 0.0), min(high, 100.0)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
