"""Generating images, from a seed to pixels and from a seed to a file.

Four questions of each model, in turns with what it is compared with (`contenders`):

- `nowhere`: images a second, seeds in, uint8 pixels out, at each batch size.
- `latency`: milliseconds from a seed to its image, one at a time: the median and the 99th percentile.
- `disk`: images a second end to end, from seeds to files, against a script (`disk`); how busy each stage is.
- `start`: seconds until the first image lies on the disk, from a cold start (`start`).
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastgan.benchmark import disk, start
from fastgan.benchmark.contenders import EAGER, Contenders
from fastgan.benchmark.request import Request
from fastgan.benchmark.sources import Source, sources
from fastgan.benchmark.timing import Contender, Settings, measure, throughput_row

QUESTIONS = ("nowhere", "latency", "disk", "start")
_DISK_BATCH = 16
_LONG = 12.0  # seconds of a round: a batch four times as large is left out


def batches(device: str, *, quick: bool) -> tuple[int, ...]:
    """Batch sizes to measure: one image, and enough to fill the device."""
    if device.startswith("cuda"):
        return (64,) if quick else (1, 16, 64, 256)
    return (16,) if quick else (1, 16, 64)


def nowhere(model: Contenders, batch: int, timing: Settings, *, compiled: bool) -> dict[str, Any]:
    """Images a second of every contender at one batch size."""
    found = model.every(batch, compiled=compiled)
    runs = [
        Contender(name=name, call=partial(ask.generate, range(ask.images)), units=ask.images)
        for name, ask in found.items()
    ]
    baseline = EAGER if EAGER in found else next(iter(found))
    return {"batch": batch, "baseline": baseline, **throughput_row(measure(runs, timing), baseline)}


def latency(model: Contenders, seconds: float) -> dict[str, Any]:
    """Wall-clock milliseconds from a seed to its image; every round asks each contender for one, of another seed."""
    found = model.each_alone()
    for run in found.values():
        for seed in range(3):
            run([seed])
    times: dict[str, list[float]] = {name: [] for name in found}
    began, seed = time.monotonic(), 0
    while seed < 20 or (time.monotonic() - began < seconds and seed < 2000):
        for name, run in found.items():
            start_ = time.perf_counter()
            run([seed])
            times[name].append(1e3 * (time.perf_counter() - start_))
        seed += 1
    return {
        "batch": 1,
        "milliseconds": {
            name: {key: float(f"{np.percentile(values, q):.4g}") for key, q in (("p50", 50), ("p99", 99))}
            | {"runs": len(values)}
            for name, values in times.items()
        },
    }


def ask(
    source: Source, device: str, timing: Settings, request: Request, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Every question about one model."""
    progress(f"inference, {source.name}: opening it in every way")
    with tempfile.TemporaryDirectory(prefix="fastgan-bench-") as folder:
        model = Contenders(source.path, device, Path(folder))
        return [{"model": source.name, **row} for row in _rows(model, source.name, timing, request, progress)]


def _rows(
    model: Contenders, name: str, timing: Settings, request: Request, progress: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    wanted = request.questions or QUESTIONS
    sizes = request.batches or batches(str(model.device), quick=request.quick)
    if "nowhere" in wanted:
        for batch in sizes:
            progress(f"inference, {name}, batch {batch}")
            row = nowhere(model, batch, timing, compiled=request.compiled)
            yield {"ask": "nowhere", **row}
            if sum(1 / rate["median"] for rate in row["images_per_second"].values()) * 4 * batch > _LONG:
                break
    if "latency" in wanted:
        progress(f"inference, {name}: latency")
        yield {"ask": "latency", **latency(model, timing.budget_s)}
    if "disk" in wanted:
        usual = disk.formats(next(iter(model.runtimes.values())), quick=request.quick)
        for image_format in request.formats or usual:
            progress(f"inference, {name}: from seeds to {image_format}")
            yield {"ask": "disk", **disk.ask(model, image_format, _DISK_BATCH, timing.budget_s)}
    if "start" in wanted:
        progress(f"inference, {name}: cold starts")
        yield {"ask": "start", **start.ask(model, quick=request.quick)}


def run(
    request: Request, device: str, timing: Settings, progress: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Ask everything about every model."""
    rows: list[dict[str, Any]] = []
    with sources(device, request.models, request.sources, quick=request.quick) as models:
        for source in models:
            if request.cases and not any(part in source.name for part in request.cases):
                continue
            rows += ask(source, device, timing, request, progress)
    return rows
