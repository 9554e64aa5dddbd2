"""How fast is each op against the best eager composition, torch.compile, and a copy of the bytes it must move?

    python -m benchmarks.ops [--op NAME] [--threads N] [--no-compile] [--missing] [--seconds S]

fp32 and bf16, NCHW and channels_last, forward alone and with backward, at the shapes of a StyleGAN's layers, with one
thread and with all. Rows are merged into results/ops-<device>.json as they are measured, so the whole matrix can be
taken in pieces: `--missing --seconds 120`, again and again until it says that nothing is left. A row of kernels that
have been built anew since is missing, too.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.merge import Key, Row, key, merged, rows_of
from benchmarks.publish import RESULTS, slug
from fastgan.benchmark import report, suite
from fastgan.benchmark.questions import Question, questions
from fastgan.benchmark.request import Request
from fastgan.device import choose
from fastgan.files import write_json


class Chunk:
    """One run's share of the matrix: on request only what the file does not have, and no row after the time is up."""

    def __init__(self, folder: Path, *, missing: bool, seconds: float | None) -> None:
        self._folder, self._missing = folder, missing
        self._until = time.monotonic() + seconds if seconds else float("inf")

    def path(self, request: Request) -> Path:
        """The file of the request's device."""
        device = report.device_name(str(choose(request.device)))
        return self._folder / f"ops-{slug(device)}.json"

    def _before(self, request: Request) -> dict[str, Any] | None:
        path = self.path(request)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def run(self, request: Request) -> int:
        """Measure and write row by row; returns how many rows are still missing from the file."""
        before = self._before(request)
        there = _there(before, request)

        def skip(question: Question) -> bool:
            late = time.monotonic() > self._until
            return late or (self._missing and _about(question, request) in there)

        suite.run(
            request,
            progress=lambda what: print(f"\r\033[K{what}", end="", file=sys.stderr),
            keep=lambda document: write_json(self.path(request), merged(before, document)),
            skip=skip,
        )
        print("\r\033[K", end="", file=sys.stderr)
        there = _there(self._before(request), request)
        plan = suite.ops_plan(request, str(choose(request.device)))
        return sum(_about(question, request) not in there for question in questions(plan))


def _about(question: Question, request: Request) -> Key:
    """The key of the row that answers `question`."""
    of = question
    return (of.op.name, of.shape, of.dtype, of.layout, of.pass_, request.threads)


def _there(document: Row | None, request: Request) -> set[Key]:
    """The rows that need not be measured: of these very kernels, with torch.compile if the request wants it."""
    build = report.kernels()
    rows = (row for row in rows_of(document) if row.get("kernels") == build)
    return {key(row) for row in rows if "compile_s" in row or not request.compiled}


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option(
    "--threads", type=click.IntRange(1), multiple=True, help="Default: 1, and on a CPU all cores too."
)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
@click.option("--op", "names", multiple=True)
@click.option("--dtype", "dtypes", multiple=True)
@click.option("--layout", "layouts", multiple=True)
@click.option("--pass", "passes", multiple=True)
@click.option("--missing", is_flag=True, help="Only rows that the file does not have of these kernels.")
@click.option("--seconds", type=float, help="Begin no row after this time.")
@click.option("--budget", "budget_s", type=float, default=1.0, show_default=True, help="Seconds a row.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=RESULTS)
def main(threads: tuple[int, ...], missing: bool, seconds: float | None, out: Path, **narrowed: Any) -> None:
    """Measure and merge into results/ops-<device>.json."""
    chunk = Chunk(out, missing=missing, seconds=seconds)
    request = Request(sections=["ops"], **narrowed)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_cpu = str(choose(request.device)) == "cpu"
    left = 0
    for count in threads or sorted({1, cores if on_cpu else 1}):
        left += chunk.run(replace(request, threads=count))
    print(f"{chunk.path(request)}: {left} rows of this question are missing")


if __name__ == "__main__":
    main()
