"""Where the figures of the report have their points: numbers for figures.html.j2, which draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastgan.pages.curves import label, ticks
from fastgan.tuning.dimension import Dimension

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 30
SLICE = 250
"""Width of a slice plot"""


@dataclass(frozen=True)
class Axis:
    """Values -> pixels: a range, on a logarithmic scale or not, or names at equal distances."""

    start: float
    end: float
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    names: tuple[str, ...] = ()

    def at(self, value: Any) -> float | None:
        """The pixel of a value; None where it has none."""
        if self.names:
            name = shown(value)
            if name not in self.names:
                return None
            share = (self.names.index(name) + 0.5) / len(self.names)
        elif not isinstance(value, int | float) or not math.isfinite(value) or (self.log and value <= 0):
            return None
        elif self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(max(share, -0.02), 1.02) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Pixels and what stands there."""
        if self.names:
            return [(self.at(name) or 0.0, name) for name in self.names]
        if self.log:
            middle = math.sqrt(self.low * self.high)
            return [(self.at(v) or 0.0, label(float(f"{v:.2g}"))) for v in (self.low, middle, self.high)]
        return [(self.at(v) or 0.0, label(v)) for v in ticks(self.low, self.high, 4)]


@dataclass(frozen=True)
class Figure:
    """A drawing: axes, and points or lines on them."""

    title: str
    width: float
    height: float
    x: Axis | None = None
    y: Axis | None = None
    dots: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    axes: list[tuple[str, float, Axis]] = field(default_factory=list)
    """Of parallel coordinates: name, where it stands, and its scale"""


def shown(value: Any) -> str:
    """A choice as it is written at an axis."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def value_axis(scores: Sequence[float], start: float, end: float) -> Axis:
    """Of scores: a failure of training far outside does not squeeze the others."""
    ordered = sorted(scores)
    low, high = ordered[0], ordered[-1]
    if len(ordered) >= 8:
        middle, upper = ordered[len(ordered) // 2], ordered[len(ordered) * 3 // 4]
        high = min(high, upper + 3 * max(upper - low, 1e-12))
        low = max(low, middle - 6 * max(upper - middle, 1e-12)) if low < middle else low
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(start, end, low - margin, high + margin)


def setting_axis(
    dimension: Dimension, values: Sequence[Any], start: float, end: float, names: Sequence[Any]
) -> Axis:
    """Of a setting: that of its range, or its choices."""
    if names:
        return Axis(start, end, names=tuple(dict.fromkeys(shown(name) for name in names)))
    numbers = [float(v) for v in values if isinstance(v, int | float)] or [1.0]
    log = bool(getattr(dimension.distribution, "log", False))
    low, high = min(numbers), max(numbers)
    if not dimension.relative:
        low = min(low, dimension.distribution.low)  # type: ignore[attr-defined]
        high = max(high, dimension.distribution.high)  # type: ignore[attr-defined]
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    return Axis(start, end, low, high, log=log)


def history(trials: Sequence[Mapping[str, Any]], metric: str, *, higher: bool) -> Figure:
    """Scores by trial, and the best so far."""
    scored = [trial for trial in trials if trial["score"] is not None]
    x = Axis(LEFT, WIDTH - RIGHT, -0.5, max(trial["number"] for trial in scored) + 0.5)
    y = value_axis([trial["score"] for trial in scored], HEIGHT - BOTTOM, TOP)
    steps, best = [], None
    for trial in scored:
        if trial["state"] == "complete":
            score = trial["score"]
            best = score if best is None else (max if higher else min)(best, score)
            steps.append((x.at(trial["number"]), y.at(best)))
    return Figure(
        f"{metric} by trial, and the best so far",
        WIDTH,
        HEIGHT,
        x,
        y,
        dots=[_dot(trial, x.at(trial["number"]), y.at(trial["score"])) for trial in scored],
        lines=[{"kind": "line c0", "points": _stairs(steps), "title": "the best so far"}],
    )


def slices(trials: Sequence[Mapping[str, Any]], dimensions: Sequence[Dimension], metric: str) -> list[Figure]:
    """Scores by each setting."""
    scored = [trial for trial in trials if trial["score"] is not None]
    y = value_axis([trial["score"] for trial in scored], HEIGHT - BOTTOM, TOP)
    drawn = []
    for dimension in dimensions:
        values = [trial["settings"].get(dimension.key) for trial in scored]
        x = setting_axis(dimension, values, LEFT, SLICE - RIGHT, dimension.choices)
        places = [(trial, x.at(v)) for trial, v in zip(scored, values, strict=True)]
        dots = [_dot(trial, at, y.at(trial["score"])) for trial, at in places if at is not None]
        drawn.append(Figure(f"{metric} by {dimension.key}", SLICE, HEIGHT, x, y, dots=dots))
    return drawn


def parallel(
    trials: Sequence[Mapping[str, Any]], dimensions: Sequence[Dimension], metric: str, *, higher: bool
) -> Figure:
    """A line a trial through its settings to its score; the better, the stronger."""
    whole = [trial for trial in trials if trial["state"] == "complete" and trial["score"] is not None]
    ordered = sorted(whole, key=lambda trial: trial["score"], reverse=not higher)  # the best on top
    count, height = len(dimensions) + 1, HEIGHT + 40
    across = [round(LEFT + 20 + k * (WIDTH - 2 * LEFT - 40) / max(count - 1, 1), 1) for k in range(count)]
    axes = [
        (
            dimension.key,
            at,
            setting_axis(
                dimension,
                [trial["settings"].get(dimension.key) for trial in whole],
                height - BOTTOM,
                TOP + 24,
                dimension.choices,
            ),
        )
        for dimension, at in zip(dimensions, across, strict=False)
    ]
    score = value_axis([trial["score"] for trial in whole], height - BOTTOM, TOP + 24)
    axes.append((metric, across[-1], score))
    lines = []
    for rank, trial in enumerate(ordered):
        values = [*(trial["settings"].get(d.key) for d in dimensions), trial["score"]]
        points = [(at, axis.at(v)) for (_, at, axis), v in zip(axes, values, strict=True)]
        if all(y is not None for _, y in points):
            share = (rank + 1) / len(ordered)
            lines.append(
                {
                    "kind": "line c1" if rank >= len(ordered) - min(3, len(ordered) // 2) else "line c0",
                    "points": points,
                    "title": f"trial {trial['number']:04d}: {trial['score']:.4g}",
                    "opacity": round(0.15 + 0.85 * share**2, 2),
                }
            )
    return Figure("Settings and scores of whole trials", WIDTH, height, lines=lines, axes=axes)


def _dot(trial: Mapping[str, Any], x: float | None, y: float | None) -> dict[str, Any]:
    kind = "c2" if trial["label"] else "c1" if trial["state"] == "pruned" else "c0"
    what = f", {trial['label']}" if trial["label"] else ""
    early = ", stopped early" if trial["state"] == "pruned" else ""
    return {
        "x": x,
        "y": y,
        "kind": kind,
        "title": f"trial {trial['number']:04d}: {trial['score']:.4g}{what}{early}",
    }


def _stairs(points: Sequence[tuple[float | None, float | None]]) -> list[tuple[float | None, float | None]]:
    out: list[tuple[float | None, float | None]] = []
    for x, y in points:
        if out:
            out.append((x, out[-1][1]))
        out.append((x, y))
    return out
