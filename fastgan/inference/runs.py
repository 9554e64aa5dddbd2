"""Batches through a model: several side by side on a CPU, and in halves where they do not fit into memory.

A run that is spread over all cores waits at the end of each operation for the slowest of them, and for a core that is
busy with encoding. Runs on a core each wait for nobody: two of them on two cores make 1.3 to 1.6 times as many images
of 64 px a second as one on both (narrow networks in batches of 16; 1.05 times at StyleGAN's full width).
"""

import threading
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import ConfigError
from fastgan.inference.inputs import Inputs, parts
from fastgan.machine import available_memory, peak_memory, threads_asked, usable_cores

Fetch = Callable[[], NDArray[np.uint8]]
"""Waits for a run that was begun, and gives its images, uint8 [n, H, W, C]."""


_MOST_LANES = 32  # Python begins the operations of all lanes, one at a time


def lanes_here() -> int:
    """As many lanes as there are cores for this process, or OMP_NUM_THREADS where that is set."""
    return min(_MOST_LANES, threads_asked() or usable_cores())


class Runs(ABC):
    """How often, how many at a time, and how many at once."""

    def __init__(self, batch: int, lanes: int) -> None:
        self.batch = batch
        self.fits = batch
        """Images that are run at a time: `batch`, or less where so many did not fit into memory."""
        self.usual: int | None = None
        """The batch that this device and model have where none is asked for; None: whatever `batch` is."""
        self.lanes = lanes
        """Runs that go on side by side, each on one core; 1: one at a time, on all cores or on a GPU.

        Fewer than was asked for, once the first run has shown that there is no room for so many."""
        self._pool: ThreadPoolExecutor | None = None
        self._halving = threading.Lock()

    @property
    def grain(self) -> int:
        """A run of fewer than `batch` is filled up to a multiple of this: `batch`, unless that is above the usual."""
        return min(self.batch, self.usual or self.batch)

    @abstractmethod
    def _begin(self, inputs: Inputs) -> Fetch:
        """Begin one run of just these images: `fits`, or a multiple of `grain`.

        Raises MemoryError, here or when fetched, for more than fit.
        """

    @abstractmethod
    def _check_inputs(self, inputs: Inputs) -> None:
        """Raise ValueError for what the model does not take."""

    @abstractmethod
    def _too_large(self) -> ConfigError:
        """What is said where not even one image fits into memory."""

    def _enter_lane(self) -> None:  # noqa: B027  what was opened for one core needs nothing
        """Keep all runs of the thread that calls this to one core."""

    def _leave_lanes(self) -> None:  # noqa: B027  as above
        """Undo for later threads what `_enter_lane` did."""

    def _most_lanes(self, wanted: int) -> int:
        """As many of these as this model can be run in, as it was opened."""
        return self.lanes

    @contextmanager
    def side_by_side(self, wanted: int) -> Iterator[None]:
        """While the block works, as many lanes as can be of those wanted; afterwards as many as there were."""
        before, self.lanes = self.lanes, self._most_lanes(wanted)
        try:
            yield
        finally:
            pool, self._pool, self.lanes = self._pool, None, before
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                self._leave_lanes()

    def launch(self, inputs: Inputs) -> Fetch:
        """Begin the run of up to `batch` images; what is returned waits for it and gives uint8 [n, H, W, C].

        One more than `lanes` should be in flight: what is made on a GPU is then copied while the next is computed. A
        run that does not fit into memory is split in halves, with a warning, and so are all that follow. Raises
        ConfigError where one image alone does not fit, ValueError for wrong inputs. To be called by one thread.
        """
        self._check_inputs(inputs)
        if len(inputs) > self.batch:
            raise ValueError(f"{len(inputs)} images were asked for at once; the batch is {self.batch}.")
        if self._pool is not None:
            return self._pool.submit(self._run, inputs).result
        return self._launch(inputs) if self.lanes == 1 else self._open_lanes(inputs)

    def launch_each(self, batches: Iterable[Inputs]) -> Iterator[NDArray[np.uint8]]:
        """The images of each, in order, with as many runs in flight as there may be."""
        flying: deque[Fetch] = deque()
        for inputs in batches:
            flying.append(self.launch(inputs))
            if len(flying) > self.lanes:
                yield flying.popleft()()
        while flying:
            yield flying.popleft()()

    def _launch(self, inputs: Inputs) -> Fetch:
        """Begin a run in this thread."""
        fits, begun = self._begin_parts(inputs)

        def fetch() -> NDArray[np.uint8]:
            try:
                images = [wait() for wait in begun]
            except MemoryError:
                begun.clear()
            else:
                return (images[0] if len(images) == 1 else np.concatenate(images))[: len(inputs)]
            self._halve(fits, len(inputs))
            return self._launch(inputs)()

        return fetch

    def _begin_parts(self, inputs: Inputs) -> tuple[int, list[Fetch]]:
        """Begin as many images at a time as fit; how many that were comes first."""
        while True:
            fits = self.fits
            try:
                return fits, [self._begin(part) for part in inputs.parts(fits, self.grain)]
            except MemoryError:
                pass  # and out of here before the next try: a caught error keeps what its frames had allocated
            self._halve(fits, len(inputs))

    def _halve(self, fits: int, count: int) -> None:
        """Of `count` images `fits` were run at a time: half as many from now on; ConfigError where that was one."""
        with self._halving:
            if self.fits != fits:  # another lane has halved them already
                return
            tried = max(map(len, parts(count, fits, self.grain)))
            if tried == 1:
                raise self._too_large()
            warnings.warn(
                f"{tried} images do not fit into memory at a time: going on with {tried // 2}.", stacklevel=4
            )
            self.fits = tried // 2

    def _open_lanes(self, inputs: Inputs) -> Fetch:
        """The first run, alone: what it takes tells for how many there is room."""
        before = peak_memory()
        with self._lanes(1) as one:
            images = one.submit(self._run, inputs).result()
        after, free = peak_memory(), available_memory()
        if before is not None and after is not None and free is not None and after > before:
            self.lanes = min(self.lanes, 1 + free // 2 // (after - before))
        self._pool = self._lanes(self.lanes)
        return lambda: images

    def _lanes(self, count: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(count, "fastgan-lane", initializer=self._enter_lane)

    def _run(self, inputs: Inputs) -> NDArray[np.uint8]:
        return self._launch(inputs)()
