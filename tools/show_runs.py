"""Commits what runs look like, small: each run's last grid, its curves as SVG, and a table in Markdown.

python tools/show_runs.py docs/runs RUN [RUN ...]          prints the table, named by the runs' folders
python tools/show_runs.py docs/runs --together kid RUN ... one plot of one value of several runs, docs/runs/kid.svg
"""

import argparse
from pathlib import Path

from PIL import Image

from fastgan.pages.curves import Series, collect, plot
from fastgan.report.read import Run, read

_COLOURS = ("#2f6fde", "#d9622b", "#2a9d5c", "#8e4ec6")
_SIDE = 512  # pixels of a committed grid at most
_LOSSES = ("loss_d", "loss_g")


def svg(series: list[Series]) -> str:
    """The report's plot with its colours and names inside, so that it stands alone."""
    lines = "".join(
        f".c{i}{{stroke:{colour}}}.dot.c{i}{{fill:{colour}}}" for i, colour in enumerate(_COLOURS)
    )
    style = (
        "svg{background:#fff;font:11px sans-serif}.rule{stroke:#e4e4e4}.tick{fill:#666}"
        f".line{{fill:none;stroke-width:1.6}}.raw{{fill:none;opacity:.25}}.cursor{{display:none}}{lines}"
    )
    names = "".join(
        f'<text x="{60 + 150 * i}" y="24" fill="{_COLOURS[i]}">{s.name}</text>' for i, s in enumerate(series)
    )
    drawing = plot(series)
    start = drawing.index(">") + 1
    return f"{drawing[:start]}<style>{style}</style>{drawing[start:-6]}{names}</svg>\n"


def last_grid(run: Run, target: Path) -> None:
    """The newest sample grid in 256 colours, no larger than _SIDE."""
    with Image.open(run.grids[-1]) as image:
        width, height = (side // 8 * 8 for side in image.size)
        grid = image.crop((0, 0, min(width, _SIDE), min(height, _SIDE)))
        grid.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(target, optimize=True)


def row(run: Run) -> str:
    """A row of the table: name, model, data, kimg, minutes, last diversity and duplicates, what was warned of."""
    config, line = run.config, run.lines[-1]
    watched = next((entry for entry in reversed(run.lines) if "diversity" in entry), {})
    spread = f"{watched['diversity']:.2f}, {watched['duplicates']:.0%}" if watched else ""
    warned = ", ".join(sorted({event["kind"] for event in run.events})) or "none"
    source = Path(config["data"]["source"]).stem
    return (
        f"| {run.path.name} | {config['model']['name']} | {source}, {config['model']['resolution']} px | "
        f"{line['cur_nimg'] / 1000:.0f} | {line['seconds'] / 60:.1f} | {spread} | {warned} |"
    )


def main() -> None:
    """Write the pictures and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--together", metavar="VALUE", help="a value of the log, by the start of its name")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = [read(path) for path in arguments.runs]
    if arguments.together:
        series = []
        for run in runs:
            name = next(n for entry in run.lines for n in entry if n.startswith(arguments.together))
            series += [Series(run.path.name, collect(run.lines, [name])[0].points)]
        (arguments.out / f"{arguments.together}.svg").write_text(svg(series), encoding="utf-8")
        return
    print(
        "| run | model | data | kimg | minutes | diversity, duplicates | warnings |\n|---|---|---|---|---|---|---|"
    )
    for run in runs:
        last_grid(run, arguments.out / f"{run.path.name}.png")
        (arguments.out / f"{run.path.name}.svg").write_text(
            svg(collect(run.lines, _LOSSES)), encoding="utf-8"
        )
        print(row(run))


if __name__ == "__main__":
    main()
