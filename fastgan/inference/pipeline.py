"""Seeds to files: latents -> model -> encoders -> disk, all at once, with as much in memory as a few batches.

A thread prepares latents, conditions and noise; one begins runs of the model, of which several are in flight; several
encode; one writes. Short queues join them: whatever is slow, the others wait for it. The first exception of any ends
all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgan.inference.archives import Made
from fastgan.inference.conditions import Request
from fastgan.inference.folder import OutputFolder, disk_errors
from fastgan.inference.grid import contact_sheet, rows_of, sheet_columns
from fastgan.inference.inputs import Inputs
from fastgan.inference.plan import Batch, Plan
from fastgan.inference.runs import Fetch
from fastgan.inference.runtime import Runtime
from fastgan.inference.stages import Busy, Channel, Stop, Stopped, short_turns
from fastgan.inference.writers import Writer, write_png
from fastgan.machine import usable_cores

Advance = Callable[[int], None]
See = Callable[[int, NDArray[np.uint8]], None]
"""Is shown each batch: the place of its first image, and its images."""
ANYTHING = Request()
_PREPARED = 2  # batches whose latents wait for the model
_ENCODED = 4  # batches that wait for the writer
_GRACE = 1.0  # seconds that a batch is given when the user interrupts

Taken = list[tuple[Any, str]]


@dataclass(frozen=True)
class Report:
    """What a run did."""

    images: int
    seconds: float
    busy: dict[str, float]
    """Of each stage the share of the time that it worked: 1 is one that the others wait for."""
    workers: int

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds if self.seconds else 0.0


def write_set(
    runtime: Runtime,
    plan: Plan,
    writer: Writer,
    *,
    request: Request = ANYTHING,
    workers: int | None = None,
    advance: Advance = lambda n: None,
    see: See | None = None,
) -> Report:
    """Make what `writer` wants of `plan`, and close the writer.

    workers: threads that encode; None for one a core that this process may use. advance(n) is called when n more
    images are written. see: is shown every batch of the plan, also those that are on disk. Raises what any stage
    raised first; whatever was whole then is kept.
    """
    if plan.batch != runtime.batch:
        raise ValueError(f"the plan's batch is {plan.batch}, the model's {runtime.batch}.")
    run = _Run(runtime, plan, writer, request, workers or min(32, usable_cores()), advance, see)
    with short_turns():
        return run.finish()


class _Run:
    """The stages of one call of `write_set`."""

    def __init__(
        self,
        runtime: Runtime,
        plan: Plan,
        writer: Writer,
        request: Request,
        workers: int,
        advance: Advance,
        see: See | None,
    ) -> None:
        self._runtime, self._plan, self._writer, self._request = runtime, plan, writer, request
        self._advance, self._see = advance, see
        self._stop = Stop()
        self._prepared: Channel[tuple[Batch, Inputs, list[dict[str, Any]]]] = Channel(_PREPARED, self._stop)
        self._encoded: Channel[tuple[Batch, list[dict[str, Any]], list[Future[Taken]]]]
        self._encoded = Channel(_ENCODED, self._stop)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="fastgan-encode")
        self._workers = workers
        self._busy = {"prepare": Busy(), "model": Busy(), "encode": Busy(workers), "write": Busy()}
        self._begun: set[int] = set()  # seeds that were handed to the encoders and not written yet
        self._made = 0

    def finish(self) -> Report:
        """Run until all is written, or until something goes wrong."""
        started = time.perf_counter()
        stages = [
            threading.Thread(target=self._guard, args=(stage,), name=f"fastgan-{stage.__name__}", daemon=True)
            for stage in (self._prepare, self._generate, self._write)
        ]
        try:
            for thread in stages:
                thread.start()
            for thread in stages:
                while thread.is_alive():
                    thread.join(_GRACE)  # with a limit, or Windows would not hear Ctrl-C
        except BaseException as interruption:  # Ctrl-C, which only the main thread hears
            self._stop.because(interruption)
            prepare, model, write = stages
            prepare.join()
            model.join(_GRACE)  # a batch that takes longer is left to itself: nothing stops it
            write.join()
            raise
        finally:
            self._close()
        if self._stop.reason is not None:
            raise self._stop.reason
        seconds = time.perf_counter() - started
        shares = {name: busy.share(seconds) for name, busy in self._busy.items()}
        return Report(self._made, seconds, shares, self._workers)

    def _close(self) -> None:
        failed = self._stop.reason is not None
        self._pool.shutdown(cancel_futures=True)
        if failed:
            self._writer.drop(sorted(self._begun))
        try:
            self._writer.close(finished=not failed)
        except Exception:
            if not failed:  # a disk that is full is told of once
                raise

    def _guard(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Stopped:
            pass
        except BaseException as error:
            self._stop.because(error)

    def _prepare(self) -> None:
        """Latents, conditions and noise of each batch, ahead of the model."""
        for batch in self._plan.batches(self._writer.wanted, all_of_them=self._see is not None):
            with self._busy["prepare"].working():
                inputs = self._runtime.prepare(batch.seeds, self._request)
                wanted = [batch.seeds[row] for row in batch.rows]
                details = self._runtime.describe_conditions(wanted, self._request)
            self._prepared.put((batch, inputs, details))
        self._prepared.put(None)

    def _generate(self) -> None:
        """Run the model, beginning the next batch before the last is fetched."""
        flying: deque[tuple[Batch, list[dict[str, Any]], Fetch]] = deque()
        for batch, inputs, details in self._prepared:
            with self._busy["model"].working():
                flying.append((batch, details, self._runtime.launch(inputs)))
            if len(flying) > self._runtime.lanes:
                self._fetch(*flying.popleft())
        while flying:
            self._fetch(*flying.popleft())
        self._encoded.put(None)

    def _fetch(self, batch: Batch, details: list[dict[str, Any]], fetch: Fetch) -> None:
        """Hand a batch's images to the encoders, in as many parts as there are workers."""
        with self._busy["model"].working():
            images = fetch()
        if self._see is not None:
            self._see(batch.start, images)
        self._stop.check()
        seeds = [batch.seeds[row] for row in batch.rows]
        self._begun.update(seeds)
        parts = [part for part in np.array_split(np.arange(len(seeds)), self._workers) if len(part)]
        futures = [
            self._pool.submit(self._encode, [(seeds[k], images[batch.rows[k]]) for k in part])
            for part in parts
        ]
        self._encoded.put((batch, details, futures))

    def _encode(self, images: list[tuple[int, NDArray[np.uint8]]]) -> Taken:
        with self._busy["encode"].working():
            taken = []
            for seed, image in images:
                self._stop.check()
                taken.append(self._writer.take(seed, image))
            return taken

    def _write(self) -> None:
        """Put images on disk, in the order of the seeds."""
        for batch, details, futures in self._encoded:
            taken = [pair for future in futures for pair in future.result()]
            places = [batch.start + int(row) for row in batch.rows]
            made = [
                Made(place, self._plan.seeds[place], content, digest, detail)
                for place, (content, digest), detail in zip(places, taken, details, strict=True)
            ]
            with self._busy["write"].working():
                self._writer.write(made)
            self._begun.difference_update(image.seed for image in made)
            self._made += len(made)
            self._advance(len(made))


def write_grid(
    runtime: Runtime,
    seeds: Sequence[int],
    folder: OutputFolder,
    *,
    request: Request = ANYTHING,
    advance: Advance,
) -> Path:
    """Write OUT/grid.png, one contact sheet of all `seeds`, and return its path.

    Where several classes are requested: a row a class, with the same z along each column.
    """
    images = []
    for row in rows_of(request):
        at_once = runtime.batch * runtime.lanes
        for start in range(0, len(seeds), at_once):
            part = seeds[start : start + at_once]
            images.append(runtime.images(part, row))
            advance(len(part))
    return write_sheet(folder, np.concatenate(images), sheet_columns(len(seeds), runtime.resolution, request))


def write_sheet(folder: OutputFolder, images: NDArray[np.uint8], columns: int) -> Path:
    """Write OUT/grid.png of uint8 [N, H, W, C], and return its path."""
    path = folder.path / "grid.png"
    with disk_errors(path):
        write_png(path, contact_sheet(images, columns))
    return path
