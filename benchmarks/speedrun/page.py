"""docs/quality.md from the results: `python -m benchmarks.speedrun.page [--out DIR] [--check]`.

With --out, the results and grids of that folder are taken over first: into benchmarks/results/speedrun and docs/runs.
A block of the document begins with `<!-- speedrun: NAME -->` and ends with `<!-- end -->`; what stands between them,
and the curves in docs/runs, follow from the JSON. All else in the document is written by hand.
"""

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import click

from benchmarks.publish import RESULTS
from benchmarks.speedrun import datasets, places, sheets
from benchmarks.speedrun.contenders import CONTENDERS, RANKED, SAMPLES, cost, flattered
from benchmarks.speedrun.drawing import curves
from benchmarks.speedrun.readings import Reading, Result, middle, missing, tables
from fastgan.benchmark import report
from fastgan.files import atomic_write

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = RESULTS / "speedrun"
COLUMNS = {
    "kid[effnet-lite0]": "KID, effnet-lite0",
    "kid[random-conv]": "KID, random-conv",
    "fid[effnet-lite0-b10]": "FID, block 10",
    "coverage[effnet-lite0]": "coverage, effnet-lite0",
    "coverage[random-conv]": "coverage, random-conv",
    "periodic[pixels]": "periodic",
}
SKELETON = """# Picture quality per minute

<!-- speedrun: protocol -->
<!-- end -->

<!-- speedrun: tables -->
<!-- end -->

<!-- speedrun: commands -->
<!-- end -->
"""
_BLOCK = re.compile(r"(<!-- speedrun: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def machines(folder: Path) -> list[list[Result]]:
    """The results of each machine, of contenders that are still in the table."""
    found: list[list[Result]] = []
    for each in sorted(folder.glob("*")):
        results: list[Result] = [r for r in places.results(each) if r["contender"] in CONTENDERS]
        found += [results] if results else []
    return found


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _spread(values: Sequence[float]) -> str:
    """The median, and from where to where seeds go."""
    low, high = number(min(values)), number(max(values))
    return number(median(values)) if low == high else f"{number(median(values))} ({low}-{high})"


def winners(found: dict[str, list[Reading]]) -> dict[str, str]:
    """Score -> who is best by the median over seeds, of those that were not trained in its features."""
    best = {}
    for score in COLUMNS:
        values = {name: middle(runs, score) for name, runs in found.items() if not flattered(name, score)}
        known = {name: cost(score, value) for name, value in values.items() if value is not None}
        if known:
            best[score] = min(known, key=lambda name: known[name])
    return best


def table(found: dict[str, list[Reading]]) -> report.Table:
    """A row for each contender, best first."""
    best = winners(found)
    rows = []
    for name, runs in found.items():
        mark = " †" if CONTENDERS[name].pretrained else ""
        row = [f"`{name}`{mark}"]
        speeds = [run.images_per_second for run in runs]
        known = [speed for speed in speeds if speed is not None]
        row.append(_spread(known) if known else "failed")
        row.append(_spread([run.point["images"] / 1000 for run in runs if run.point]) if known else "")
        for score in COLUMNS:
            values = [run.scores[score] for run in runs if score in run.scores]
            cell = _spread(values) if values else "none"
            cell += "" if len(values) == len(runs) else f" ({len(runs) - len(values)} failed)"
            row.append(f"**{cell}**" if best.get(score) == name else cell)
        row.append(_copies(runs))
        rows.append(row)
    return ["contender", "images/s", "kimg", *COLUMNS.values(), "copies"], rows


def _copies(runs: Sequence[Reading]) -> str:
    """Of the audit, which is made at a run's end."""
    ended = [
        run.result["audit"] for run in runs if run.minutes == run.result["minutes"] and run.result["audit"]
    ]
    if not ended:
        return ""
    surely = " (p < 0.01)" if min(audit["p_value"] for audit in ended) < 0.01 else ""
    return ", ".join(f"{audit['copies']}" for audit in ended) + surely


def verdict(found: dict[str, list[Reading]]) -> str:
    """Who is best by what, and where it is not a preset of today."""
    best = {COLUMNS[score]: name for score, name in winners(found).items() if score in RANKED}
    said = "; ".join(f"{score}: `{name}`" for score, name in best.items())
    others = sorted({name for name in best.values() if CONTENDERS[name].kind != "preset"})
    lost = ", ".join(f"`{name}`" for name in others)
    return f"Best by {said}." + (f" **Not won by a preset of today: {lost} is ahead.**" if others else "")


def _protocol(results: Sequence[Result]) -> str:
    parts = []
    machine = results[-1]["machine"]
    commits = sorted({str(result["machine"]["commit"]) for result in results})
    dates = sorted(result["machine"]["date"][:10] for result in results)
    parts.append(
        f"{len(results)} runs on {machine['device']}, torch {machine['versions']['torch']}, one core each, commits "
        f"{', '.join(commits)}, {dates[0]} to {dates[-1]}."
    )
    sizes = {result["dataset"]: result["data"] for result in results}
    counted = "; ".join(
        f"{name} {data['trained_on']['images']:,} and {data['held_out']['images']:,}, {datasets.SOURCES[name]}"
        for name, data in sorted(sizes.items())
    )
    samples = sorted({result["samples"] for result in results})
    parts.append(
        f"Images trained on and held out, 64 px: {counted}. Each point is scored on "
        f"{' or '.join(f'{n:,}' for n in samples)} generated images against those held out. A budget is CPU time of "
        "training on one core: what is read and built before, and the samples and scores themselves, do not count. "
        "Numbers are medians over seeds, with the range in brackets; the best of a column is bold. † was trained on "
        "features of effnet-lite0 themselves, so that scores in them flatter it: it is ranked by the others. Rows "
        "stand in the order of the mean rank in both KIDs and in `periodic`, where 1 is right and anything below it "
        "counts as 1. `copies` are images as close to a training image as 0.5 % of held-out ones are, in either of "
        f"two spaces, one number a seed: up to {SAMPLES // 100} of {SAMPLES:,} are chance."
    )
    what = [
        f"- `{c.name}`: {c.what}"
        for c in CONTENDERS.values()
        if any(r["contender"] == c.name for r in results)
    ]
    return "\n\n".join([*parts, "\n".join(what)])


def _tables(results: Sequence[Result]) -> str:
    parts, shown = [], set()
    for dataset, minutes, found in tables(results):
        parts.append(f"### {dataset}, {minutes:g} core-minutes")
        parts += [report.markdown(table(found)), verdict(found)]
        failed = [run for runs in found.values() for run in runs if run.result["failed"]]
        parts += [f"`{run.cell.key}` failed: {run.result['failed']}" for run in failed]
        if absent := missing(dataset, minutes, found):
            parts.append(f"Not run: {', '.join(f'`{name}`' for name in absent)}.")
        parts.append(f"![Samples](runs/{sheets.name(dataset, minutes)})")
        for file in curves(results, dataset, minutes):
            if file not in shown:
                shown.add(file)
                parts.append(f"![Score over core-minutes](runs/{file})")
    return "\n\n".join(parts)


def _commands(_results: Sequence[Result]) -> str:
    return (
        "```\n"
        "python -m benchmarks.speedrun --out DIR --jobs 2       what has no result yet; again for the long runs\n"
        "python -m benchmarks.speedrun --out DIR --only avatars/4/small/0\n"
        "python -m benchmarks.speedrun.page --out DIR           results, curves, grids and this page\n"
        "```"
    )


BLOCKS: dict[str, Callable[[Sequence[Result]], str]] = {
    "protocol": _protocol,
    "tables": _tables,
    "commands": _commands,
}


def rendered(text: str, folder: Path = FOLDER) -> str:
    """`text` with every block made anew from the results in `folder`, one part a machine."""

    def block(found: re.Match[str]) -> str:
        parts = [BLOCKS[found[2]](results) for results in machines(folder)]
        return f"{found[1]}\n{chr(10).join(parts)}\n\n{found[3]}"

    return _BLOCK.sub(block, text)


def pictures(folder: Path = FOLDER) -> dict[str, str]:
    """The curves by the names of their files in docs/runs."""
    found: dict[str, str] = {}
    for results in machines(folder):
        for dataset, minutes, _ in tables(results):
            found |= curves(results, dataset, minutes)
    return found


def take_over(out: Path, folder: Path, docs: Path) -> None:
    """Copy results, and draw the sheets of samples."""
    for path in sorted((out / "results").glob("*/*.json")):
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for results in machines(out / "results"):
        for dataset, minutes, found in tables(results):
            held_out = datasets.paths(out, dataset)[1]
            drawn = sheets.draw(out, found, held_out if dataset in datasets.SHOWN else None)
            with atomic_write(docs / "runs" / sheets.name(dataset, minutes)) as temporary:
                drawn.save(temporary, "png", optimize=True)


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, exists=True), help="Take its results and grids over first."
)
@click.option(
    "--check",
    is_flag=True,
    help="Change nothing; exit with 1 if the page is stale.",
)
def main(out: Path | None, check: bool) -> None:
    """Bring docs/quality.md and its pictures up to date."""
    document = DOCS / "quality.md"
    if out is not None and not check:
        take_over(out, FOLDER, DOCS)
    text = document.read_text(encoding="utf-8") if document.exists() else SKELETON
    new, drawn = rendered(text), pictures()
    if check:
        stale = [
            name for name, svg in drawn.items() if (DOCS / "runs" / name).read_text(encoding="utf-8") != svg
        ]
        if new != text or stale:
            sys.exit(
                "docs/quality.md is not what the results make of it: run python -m benchmarks.speedrun.page."
            )
        return
    for name, svg in drawn.items():
        (DOCS / "runs" / name).write_text(svg, encoding="utf-8")
    document.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
