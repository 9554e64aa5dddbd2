"""Scores over core-minutes as SVG that stands alone, with the plot of fastgan's own pages."""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.speedrun.contenders import MINUTES, RANKED
from benchmarks.speedrun.readings import Result, at, curve
from fastgan.pages.curves import HEIGHT, WIDTH, Series, plot

COLOURS = ("#2f6fde", "#d9622b", "#2a9d5c", "#8e4ec6", "#b8860b", "#0f8b8d", "#c2255c", "#555555")
_LEGEND = 230
_LEAST = 1e-4  # a score of real images may be 0 and less
_NAMES = {"kid[effnet-lite0]": "kid-effnet", "kid[random-conv]": "kid-random", "periodic[pixels]": "periodic"}


def curves(results: Sequence[Result], dataset: str, minutes: float) -> dict[str, str]:
    """File name -> SVG, one a score; none for a budget that longer runs show on their way."""
    if minutes < max(MINUTES):
        return {}
    return {
        f"speedrun-{dataset}-{minutes:g}-{_NAMES[score]}.svg": svg(results, dataset, minutes, score)
        for score in RANKED
        if chosen(results, dataset, minutes, score)
    }


def chosen(results: Sequence[Result], dataset: str, minutes: float, score: str) -> list[Series]:
    """The curves of the best contenders, as many as there are colours; scores as their decimal logarithms."""
    series = []
    for name in at(results, dataset, minutes):
        points = curve(results, name, dataset, minutes, score)
        if points:
            series.append(Series(name, [(x, math.log10(max(y, _LEAST))) for x, y in points]))
    return series[: len(COLOURS)]


def svg(results: Sequence[Result], dataset: str, minutes: float, score: str) -> str:
    """One plot with its legend beside it."""
    series = chosen(results, dataset, minutes, score)
    lines = "".join(f".c{i}{{stroke:{colour}}}.dot.c{i}{{fill:{colour}}}" for i, colour in enumerate(COLOURS))
    style = (
        "svg{background:#fff;font:11px sans-serif}.rule{stroke:#e4e4e4}.tick{fill:#666}"
        f".line{{fill:none;stroke-width:1.6}}.cursor{{display:none}}{lines}"
    )
    title = f'<text x="{WIDTH + 4}" y="22" fill="#333">log10 of {escape(score)}, over core-minutes</text>'
    names = "".join(
        f'<text x="{WIDTH + 4}" y="{44 + 16 * i}" fill="{COLOURS[i]}">{escape(s.name)}</text>'
        for i, s in enumerate(series)
    )
    drawing = plot(series).replace(f'viewBox="0 0 {WIDTH} ', f'viewBox="0 0 {WIDTH + _LEGEND} ', 1)
    start = drawing.index(">") + 1
    return f"{drawing[:start]}<style>{style}</style>{drawing[start:-6]}{title}{names}</svg>\n"


assert 44 + 16 * len(COLOURS) < HEIGHT
