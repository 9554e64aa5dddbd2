"""A budget of CPU time, and the samples that are taken along it. Needs numpy alone: peers run in venvs of their own.

Why CPU time and not a number of images: what a recipe makes of a minute is the question, and its speed is half of the
answer. Why not wall time, as `fastgan train --budget` has it: two runs on two cores, or anything else on the machine,
would change it. So the clock is `time.process_time()`, which counts all threads of the process (there is one), and it
stands still while samples are made. Reading data, building networks and measuring precisions come before it starts.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 100


class CpuClock:
    """CPU seconds of this process, without those that pass while it is paused."""

    def __init__(self) -> None:
        self._paused = 0.0

    def seconds(self) -> float:
        """Since the process began."""
        return time.process_time() - self._paused

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens here does not count."""
        start = time.process_time()
        try:
            yield
        finally:
            self._paused += time.process_time() - start


class Recorder:
    """Takes samples when a point of the budget has passed; what it took before an interruption stays taken.

    folder: holds points.json and point-K.npy. due: CPU seconds of the points, ascending, the last being the budget.
    """

    def __init__(self, folder: Path, due: tuple[float, ...], samples: int) -> None:
        self.folder, self._due, self.samples, self.clock = folder, due, samples, CpuClock()
        self._file = folder / "points.json"
        self.points: list[dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else []
        self._zero = 0.0
        self.setup_seconds = 0.0

    def begin(self, before: float = 0.0, at: float | None = None) -> None:
        """Training begins now, or began when the clock showed `at`.

        before: CPU seconds that it took already, where it was interrupted.
        """
        self.setup_seconds = self.clock.seconds() if at is None else at
        self._zero = self.setup_seconds - before

    def forget(self) -> None:
        """Training begins anew: nothing was taken."""
        self.points = []

    @property
    def seconds(self) -> float:
        """CPU seconds of training."""
        return self.clock.seconds() - self._zero

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.seconds >= self._due[-1]

    def take(self, images: int, sample: Callable[[int, int], np.ndarray], *, at_last: bool = False) -> None:
        """Save samples where a point has passed. images: shown so far.

        sample(start, n) -> uint8 [n, H, W, 3]. at_last: training is over, whatever the clock says.
        """
        taken = self.seconds
        due = range(len(self.points), len(self._due))
        passed = [number for number in due if at_last or taken >= self._due[number]]
        if not passed:
            return
        with self.clock.paused():
            starts = range(0, self.samples, BATCH)
            made = np.concatenate([sample(start, min(BATCH, self.samples - start)) for start in starts])
            for number in passed:  # several, where a step takes longer than from one point to the next
                temporary = self.path(number).with_suffix(".part")
                with temporary.open("wb") as file:
                    np.save(file, made)
                os.replace(temporary, self.path(number))
                self.points.append({"seconds": taken, "images": images})
            self.save()

    def save(self) -> None:
        """Write points.json, whole or not at all."""
        temporary = self._file.with_suffix(".part")
        temporary.write_text(json.dumps(self.points))
        os.replace(temporary, self._file)

    def path(self, number: int) -> Path:
        """Where the samples of a point lie."""
        return self.folder / f"point-{number}.npy"
