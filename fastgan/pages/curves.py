"""Curves as SVG: axes with round numbers, the raw values faint, their moving average on top."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 26
_POINTS = 400  # what 500 pixels can show


@dataclass(frozen=True)
class Series:
    """A curve: its name, and points with ascending x, in thousands of images."""

    name: str
    points: Sequence[tuple[float, float]]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers within [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    raw = max((high - low) / count, 1e-300)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def label(value: float) -> str:
    """A number as short as it can be: `0.2`, `15`, `1,500`, `12k`, `3e-05`."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most _POINTS points: the means of neighbours."""
    size = max(math.ceil(len(points) / _POINTS), 1)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The moving average over about a thirtieth of the points, unbiased at its start."""
    decay = 1 - 1 / max(len(points) / 30, 1.0)
    total, weight, out = 0.0, 0.0, []
    for x, y in points:
        total, weight = total * decay + y, weight * decay + 1.0
        out.append((x, total / weight))
    return out


def bounds(series: Sequence[Series]) -> tuple[float, float, float, float]:
    """x and y ranges that show the series; a spike far outside the bulk of the values is cut off."""
    xs = [x for s in series for x, _ in s.points]
    ys = sorted(y for s in series for _, y in s.points)
    low, high = ys[0], ys[-1]
    if len(ys) >= 50:
        inner_low, inner_high = ys[len(ys) // 50], ys[-1 - len(ys) // 50]
        span = inner_high - inner_low
        low, high = max(low, inner_low - 0.5 * span), min(high, inner_high + 0.5 * span)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    x_low, x_high = min(xs), max(xs)
    return x_low, x_high if x_high > x_low else x_low + 1.0, low - margin, high + margin


def plot(series: Sequence[Series], marks: Sequence[tuple[float, str]] = ()) -> str:
    """One <svg>; `marks` are vertical lines at x with a tooltip. Colours are classes c0, c1, ... of the page."""
    series = [Series(s.name, thin(s.points)) for s in series]
    x0, x1, y0, y1 = bounds(series)

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - x0) / (x1 - x0) * (WIDTH - _LEFT - _RIGHT)
        down = _TOP + (y1 - min(max(y, y0), y1)) / (y1 - y0) * (HEIGHT - _TOP - _BOTTOM)
        return round(across, 1), round(down, 1)

    def path(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{a},{b}" for a, b in (at(x, y) for x, y in points))

    parts = []
    for value in ticks(y0, y1):
        _, y = at(x0, value)
        parts.append(f'<path class="rule" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5}" text-anchor="end">{label(value)}</text>'
        )
    for value in ticks(x0, x1, 6):
        x, _ = at(value, y0)
        parts.append(
            f'<text class="tick" x="{x}" y="{HEIGHT - 8}" text-anchor="middle">{label(value)}</text>'
        )
    for x, text in marks:
        if x0 <= x <= x1:
            across, _ = at(x, y0)
            line = f'<path class="mark" d="M{across} {_TOP}V{HEIGHT - _BOTTOM}"/>'
            parts.append(f"<g>{line}<title>{escape(text)}</title></g>")
    for i, s in enumerate(series):
        if len(s.points) == 1:
            x, y = at(*s.points[0])
            parts.append(f'<circle class="dot c{i}" cx="{x}" cy="{y}" r="3"/>')
        elif len(s.points) < 30:  # too few to smooth: each point counts
            parts.append(f'<polyline class="line c{i}" points="{path(s.points)}"/>')
            parts += [
                f'<circle class="dot c{i}" cx="{x}" cy="{y}" r="2"/>' for x, y in (at(*p) for p in s.points)
            ]
        else:
            parts.append(f'<polyline class="raw c{i}" points="{path(s.points)}"/>')
            parts.append(f'<polyline class="line c{i}" points="{path(smooth(s.points))}"/>')
    parts.append(f'<path class="cursor" d="M0 {_TOP}V{HEIGHT - _BOTTOM}"/>')
    box = {"x": [x0, x1], "px": [_LEFT, WIDTH - _RIGHT], "series": _rounded(series)}
    data = escape(json.dumps(box, separators=(",", ":")), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" data-plot="{data}">'
        f"{''.join(parts)}</svg>"
    )


def _rounded(series: Sequence[Series]) -> list[dict[str, object]]:
    return [
        {"name": s.name, "points": [[round(x, 3), float(f"{y:.4g}")] for x, y in s.points]} for s in series
    ]


def collect(lines: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[Series]:
    """The series `names` that the log's lines have, x in thousands of images."""
    found = []
    for name in names:
        points = [(line["cur_nimg"] / 1000, line[name]) for line in lines if name in line]
        if points:
            found.append(Series(name, points))
    return found
