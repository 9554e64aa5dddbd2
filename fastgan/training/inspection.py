"""What a run draws and measures between its steps; a signal ends it within seconds."""

import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from fastgan.data import Dataset
from fastgan.training import overfit
from fastgan.training.diversity import Diversity
from fastgan.training.evaluation import Evaluate, sampler
from fastgan.training.log import Grid
from fastgan.training.signals import Stop
from fastgan.training.trainer import Trainer

_PATIENCE = 5.0  # seconds after a signal for which a grid or an evaluation that is nearly done may go on


class _StoppedError(Exception):
    """A signal ends what is being drawn or measured."""


class Inspection:
    """The grid of samples, readings for the watch, and metrics (`evaluate`, where there are any)."""

    def __init__(
        self, run: Path, trainer: Trainer, dataset: Dataset, evaluate: Evaluate | None, stop: Stop
    ) -> None:
        self.grid = Grid(run, trainer)
        self._trainer, self._evaluate, self._stop = trainer, evaluate, stop
        self._yardstick = Diversity(dataset, trainer.config.train.grid_images)
        self._asked_at: float | None = None  # when a signal was first seen here

    def draw(self) -> Tensor | None:
        """The grid's images [N, C, R, R] on the CPU, or None where a signal ended it."""
        try:
            return self.grid.draw(self._between)
        except _StoppedError:
            return None

    def readings(self, images: Tensor) -> dict[str, float]:
        """What the watch reads off the grid's `images`, and off images that are held out."""
        readings = overfit.gap(self._trainer)
        return readings | self._yardstick.measure(images) if len(images) > 1 else readings

    def metrics(self) -> Mapping[str, float] | None:
        """The metrics as they are now, or None where a signal ended it. Raises MetricError."""
        assert self._evaluate is not None
        try:
            return {k: float(v) for k, v in self._evaluate(sampler(self._trainer, self._between)).items()}
        except _StoppedError:
            return None

    def _between(self) -> None:
        """Raise _StoppedError where a signal came a while ago: a grid or an evaluation may take hours, stopping not."""
        if self._stop.signum is not None:
            self._asked_at = self._asked_at or time.monotonic()
            if time.monotonic() - self._asked_at > _PATIENCE:
                raise _StoppedError
