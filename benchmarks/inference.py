"""How many images a second does a generator make, to pixels and to files, and how long does one image take?

    python -m benchmarks.inference [--device cuda] [--threads 2] [--no-compile] [--case NAME] [--question NAME] ...

Rows are merged into results/inference-<device>.json, so that the whole can be taken in pieces.
"""

import json
import sys
from pathlib import Path

import click

from benchmarks.merge import merged_inference
from benchmarks.publish import RESULTS, slug
from fastgan.benchmark import inference, report, suite
from fastgan.benchmark.request import Request
from fastgan.files import write_json


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
@click.option("--case", "cases", multiple=True, help="Only models whose name has this in it.")
@click.option("--question", "questions", multiple=True, type=click.Choice(inference.QUESTIONS))
@click.option("--batch", "batches", multiple=True, type=int)
@click.option("--format", "formats", multiple=True)
@click.option("--budget", "budget_s", default=20.0, show_default=True, help="Seconds a row.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=RESULTS)
def main(out: Path, **narrowed: object) -> None:
    """Measure and merge into results/inference-<device>.json."""
    request = Request(sections=["inference"], **narrowed)  # type: ignore[arg-type]
    document = suite.run(request, progress=lambda what: print(f"\r\033[K{what}", end="", file=sys.stderr))
    print("\r\033[K", end="", file=sys.stderr)
    for title, table in report.tables("inference", document["sections"]["inference"]["rows"]):
        print(f"{title}\n\n{report.markdown(table)}\n")
    path = out / f"inference-{slug(document['device'])}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    write_json(path, merged_inference(before, document))


if __name__ == "__main__":
    main()
