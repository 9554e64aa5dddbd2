"""How many images a second a way to run a model makes, by batch, and whether a larger batch is worth a try."""

import time
from itertools import repeat

from fastgan import machine
from fastgan.fastest.choice import Trial
from fastgan.inference.conditions import Request
from fastgan.inference.runtime import Runtime

_RISE = 1.05
_ENOUGH, BLOCK = 0.5, 0.05  # seconds of a reading, which is the best of its blocks


class Way:
    """One runtime in one precision, and its readings so far: images a second, by batch."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.rates: dict[int, float] = {}
        self.growing = True

    @property
    def best(self) -> float:
        """The most images a second so far; 0 before the first reading."""
        return max(self.rates.values(), default=0.0)

    def at(self, batch: int) -> Runtime:
        """The runtime, set to that many images a run."""
        self.runtime.batch = self.runtime.fits = batch
        return self.runtime

    def read(self, batch: int, seconds: float) -> None:
        """Take a reading in at most so many seconds, or of one run, and see whether a larger batch is worth one."""
        runtime = self.at(batch)
        before, rate, images = self.best, rate_of(runtime), batch * runtime.lanes
        until = time.monotonic() + min(seconds - images / rate, _ENOUGH)
        while time.monotonic() + images / rate < until:  # where there is no time for it, the first run counts
            rate = max(rate, rate_of(runtime, in_a_block(images, rate)))
        if runtime.fits < batch:  # it was split: memory is full
            self.growing = False
            return
        self.rates[batch] = rate
        self.growing = rate >= _RISE * before

    def trials(self) -> list[Trial]:
        """A trial for each batch that was read."""
        name, precision = self.runtime.name, self.runtime.precision
        return [
            Trial(runtime=name, precision=precision, batch=batch, images_per_second=float(f"{rate:.4g}"))
            for batch, rate in self.rates.items()
        ]


def in_a_block(batch: int, rate: float) -> int:
    """Runs that take long enough for the clock, and no longer."""
    return max(1, round(BLOCK * rate / batch))


def rate_of(runtime: Runtime, runs: int = 1) -> float:
    """Images a second of so many full batches in each lane, in flight as the pipeline has them."""
    inputs = runtime.prepare(range(runtime.batch), Request())
    began = time.perf_counter()
    images = sum(len(made) for made in runtime.launch_each(repeat(inputs, runs * runtime.lanes)))
    return images / (time.perf_counter() - began)


class Room:
    """Whether a larger batch would fit into memory, told from how far the process has grown so far."""

    def __init__(self) -> None:
        self._before = machine.peak_memory()

    def takes(self, size: int, way: Way) -> bool:
        """A GPU is asked by trying: what does not fit is split there, and seen."""
        available, peak = machine.available_memory(), machine.peak_memory()
        if on_gpu(way.runtime) or available is None or peak is None or self._before is None:
            return True
        return (peak - self._before) * size / max(way.rates) <= available / 2


def on_gpu(runtime: Runtime) -> bool:
    """Whether a model is run elsewhere than on the CPU."""
    return runtime.device != "cpu"
