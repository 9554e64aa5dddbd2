"""From seeds to files: the pipeline of `fastgan generate` against the loop of a script.

The script is what people write around a public generator: eager torch in fp32, then PIL's `save` of each image as PNG,
in the same thread; with one image at a time, and with batches. Ours runs in every runtime for PNG, and in the fastest
of them for the other formats and for `nowhere`, where images are made and dropped: the difference between the two is
what encoding and writing cost.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fastgan.benchmark.contenders import Contenders, Generate
from fastgan.benchmark.timing import Measured, throughput_row
from fastgan.errors import ConfigError
from fastgan.inference.conditions import Request
from fastgan.inference.encoders import to_pil
from fastgan.inference.folder import OutputFolder
from fastgan.inference.image_sets import Layout, open_set
from fastgan.inference.pipeline import write_set
from fastgan.inference.runtime import Runtime
from fastgan.inference.shards import Shard
from fastgan.inference.writers import FORMATS

NOWHERE = "nowhere"
SCRIPT, BATCHED = "script, one at a time", "script, batched"
_SECONDS = 1.0  # of images that a contender makes in a round, about
_ROUNDS = 3  # at least

Write = Callable[[int, Path], Mapping[str, float]]
"""Make so many images and put them into an empty folder; the busy share of every stage, where there are stages."""


@dataclass
class _Turns:
    """One contender: how many images it makes in a round, and what the rounds gave."""

    write: Write
    batch: int
    count: int = 0
    seconds: list[float] = field(default_factory=list)
    busy: list[Mapping[str, float]] = field(default_factory=list)

    def warm_up(self) -> None:
        """A batch, and how many batches a round takes."""
        self._take(self.batch)
        runs = round(_SECONDS / (self._take(self.batch)[0] * self.batch))
        self.count = self.batch * max(1, runs)

    def take_turn(self) -> None:
        seconds, busy = self._take(self.count)
        self.seconds.append(seconds)
        self.busy.append(busy)

    def _take(self, count: int) -> tuple[float, Mapping[str, float]]:
        """Seconds an image, by the wall, from the first seed to the last file's name; what is removed is not timed."""
        with tempfile.TemporaryDirectory(prefix="fastgan-bench-") as folder:
            began = time.perf_counter()
            busy = self.write(count, Path(folder))
            return (time.perf_counter() - began) / count, busy


def formats(runtime: Runtime, *, quick: bool) -> list[str]:
    """PNG first, then the others that can hold the model's images, and `nowhere`."""
    found = []
    for name in FORMATS:
        try:
            Layout(image_format=name).check(runtime, 1, Shard())
        except ConfigError:
            continue
        found.append(name)
    return ["png"] if quick else ["png", NOWHERE, *(name for name in found if name != "png")]


def ask(model: Contenders, image_format: str, batch: int, seconds: float) -> dict[str, Any]:
    """One row: all ways to PNG, or the fastest one to another format."""
    turns = {name: _Turns(write, size) for name, (write, size) in _ways(model, image_format, batch).items()}
    for turn in turns.values():
        turn.warm_up()
    began, rounds = time.monotonic(), 0
    while rounds < _ROUNDS or time.monotonic() - began < seconds:
        for turn in turns.values():
            turn.take_turn()
        rounds += 1
    measured = Measured({name: turn.seconds for name, turn in turns.items()})
    baseline = SCRIPT if SCRIPT in turns else next(iter(turns))
    row = {"format": image_format, "batch": batch, "baseline": baseline, **throughput_row(measured, baseline)}
    return {**row, "busy": {name: _mean(turn.busy) for name, turn in turns.items() if turn.busy[0]}}


def _ways(model: Contenders, image_format: str, batch: int) -> dict[str, tuple[Write, int]]:
    """What writes, and a multiple of how many images, by name."""

    def ours(name: str) -> tuple[Write, int]:
        return partial(_ours, model, name, batch, image_format), batch * model.runtimes[name].lanes

    if image_format != "png":
        name = model.fastest(batch)
        return {name: ours(name)}
    ways: dict[str, tuple[Write, int]] = {}
    generate = model.eager()
    if generate is not None:
        for name, size in ((SCRIPT, 1), (BATCHED, batch)):
            ways[name] = (partial(_script, generate, size), size)
    return ways | {name: ours(name) for name in model.runtimes}


def _script(generate: Generate, batch: int, count: int, folder: Path) -> Mapping[str, float]:
    for start in range(0, count, batch):
        seeds = range(start, start + batch)
        for seed, image in zip(seeds, generate(seeds), strict=True):
            to_pil(image).save(folder / f"seed{seed:04d}.png")
    return {}


def _ours(
    model: Contenders, name: str, batch: int, image_format: str, count: int, folder: Path
) -> Mapping[str, float]:
    runtime, seeds = model.runtime(name, batch), range(count)
    if image_format == NOWHERE:
        runtime.images(seeds, Request())
        return {}
    layout = Layout(image_format=image_format)
    with open_set(runtime, seeds, Request(), OutputFolder(folder / "out", {}), layout) as (plan, writer):
        return write_set(runtime, plan, writer).busy


def _mean(shares: list[Mapping[str, float]]) -> dict[str, float]:
    return {stage: round(sum(one[stage] for one in shares) / len(shares), 3) for stage in shares[0]}
