"""`python -m benchmarks.speedrun`: every run that has no result yet, some of them side by side."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import click

from benchmarks.speedrun import datasets, places
from benchmarks.speedrun.contenders import CONTENDERS, SAMPLES, Cell, cells
from benchmarks.speedrun.lightweight import REQUIREMENTS


def wanted(out: Path, only: tuple[str, ...]) -> list[Cell]:
    """The runs whose key begins with one of `only`, or all; UsageError for one that is none.

    A whole key may name any run, also of a budget that is not in the table.
    """
    planned = list(cells(places.results(out / "results" / places.machine())))
    if not only:
        return planned
    chosen: dict[str, Cell] = {}
    for part in only:
        found = {cell.key: cell for cell in planned if f"{cell.key}/".startswith(f"{part.rstrip('/')}/")}
        if not found:
            try:
                found = {part: Cell.parse(part)}
            except ValueError:
                raise click.UsageError(
                    f"--only {part}: no run begins like this; --list shows them, and avatars/4/small/0 is one."
                ) from None
        chosen |= found
    return list(chosen.values())


def install(out: Path) -> None:
    """Put lightweight-gan into a virtual environment of its own, with the torch that is used here."""
    python = places.venv(out)
    if (python.parents[1] / "complete").exists():
        return
    import numpy
    import PIL
    import torch

    subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])], check=True)
    pip = [str(python), "-m", "pip", "install", "-q"]
    beside = [f"torch=={torch.__version__}", f"numpy=={numpy.__version__}", f"pillow=={PIL.__version__}"]
    subprocess.run([*pip, *beside], check=True)
    subprocess.run([*pip, "--no-deps", *REQUIREMENTS], check=True)
    (python.parents[1] / "complete").touch()


def prepare(out: Path, todo: list[Cell]) -> None:
    """Data and packages, before processes want them side by side."""
    for name in sorted({cell.dataset for cell in todo}):
        datasets.prepare(out, name)
    if any(CONTENDERS[cell.contender].kind == "lightweight-gan" for cell in todo):
        install(out)


def start(out: Path, cell: Cell, samples: int) -> subprocess.Popen[bytes]:
    """A run's process, which does not hear the terminal's Ctrl-C: it is told once, by this one."""
    log = places.log(out, cell)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.speedrun.worker", str(out), cell.key]
    command += ["--samples", str(samples)]
    with log.open("ab") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, env=places.environment(out), start_new_session=True
        )


def run_all(out: Path, todo: list[Cell], jobs: int, samples: int) -> int:
    """Run them, `jobs` at a time; how many failed."""
    waiting, failed = list(todo), 0
    running: dict[str, tuple[Cell, subprocess.Popen[bytes]]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                click.echo(f"{cell.key} begins, {len(waiting)} to come")
                running[cell.key] = (cell, start(out, cell, samples))
            time.sleep(0.5)
            for key, (cell, process) in list(running.items()):
                if process.poll() is not None:
                    del running[key]
                    failed += process.returncode != 0
                    state = "done" if process.returncode == 0 else f"FAILED, see {places.log(out, cell)}"
                    click.echo(f"{key} {state}")
    except BaseException:
        for _, process in running.values():
            process.send_signal(signal.SIGINT)  # a fastgan run saves, and goes on from there next time
        for _, process in running.values():
            process.wait()
        raise
    return failed


def _ask_to_stop(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Data, runs and results.")
@click.option("--only", multiple=True, help="Runs that begin like this: avatars, avatars/4/small.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Runs side by side.")
@click.option("--samples", default=SAMPLES, show_default=True, help="Images a point is scored on.")
@click.option("--list", "listing", is_flag=True, help="Show the runs that are missing, and run none.")
def main(out: Path, only: tuple[str, ...], jobs: int, samples: int, listing: bool) -> None:
    """Run what has no result yet: fixed images, fixed CPU time, one core a run.

    Called again, it goes on where it was interrupted. The long runs come into the plan once all of the shorter ones on
    their set are done: call it again then.
    """
    signal.signal(signal.SIGTERM, _ask_to_stop)
    out = out.absolute()
    todo = [cell for cell in wanted(out, only) if not places.result(out, cell).exists()]
    hours = sum(cell.minutes for cell in todo) / 60
    click.echo(f"{len(todo)} runs, {hours:.1f} hours of one core")
    if listing:
        click.echo("\n".join(cell.key for cell in todo))
        return
    prepare(out, todo)
    if run_all(out, todo, jobs, samples):
        sys.exit(1)


if __name__ == "__main__":
    main()
