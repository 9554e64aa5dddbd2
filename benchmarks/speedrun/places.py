"""Where things lie in the folder of a speedrun, and what its processes are told."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.publish import slug
from benchmarks.speedrun.contenders import Cell
from fastgan.machine import processor


def _flat(cell: Cell) -> str:
    return cell.key.replace("/", "-")


def machine() -> str:
    """The name of this machine's folder of results."""
    return slug(processor().name)


def result(out: Path, cell: Cell) -> Path:
    """The JSON of a run."""
    return out / "results" / machine() / f"{_flat(cell)}.json"


def grid(out: Path, cell: Cell, minutes: float) -> Path:
    """Samples of a run at a point of its budget."""
    return out / "grids" / f"{_flat(cell)}-{minutes:g}m.png"


def work(out: Path, cell: Cell) -> Path:
    """What a run needs until its result is there."""
    return out / "runs" / _flat(cell)


def log(out: Path, cell: Cell) -> Path:
    """What a run said."""
    return out / "logs" / f"{_flat(cell)}.log"


def venv(out: Path) -> Path:
    """The Python that has lightweight-gan."""
    return out / "lightweight-gan" / "bin" / "python"


def results(folder: Path) -> Iterator[dict[str, Any]]:
    """The results in a folder of one machine."""
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def environment(out: Path) -> dict[str, str]:
    """Of a run: one thread, and statistics of real images kept beside the results."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, **one, "FASTGAN_CACHE": str(out / "cache"), "PYTHONPATH": root}
