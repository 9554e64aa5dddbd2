"""A fastgan run whose seconds are CPU seconds: `fastgan.train` as a user calls it, with another clock."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import fastgan
from benchmarks.speedrun.contenders import Cell, Contender
from benchmarks.speedrun.datasets import SIZE
from benchmarks.speedrun.recorder import Recorder
from fastgan.callbacks import Callback
from fastgan.config import to_mapping
from fastgan.data import Dataset
from fastgan.training import checkpoint, session
from fastgan.training.evaluation import Evaluate, Sampler
from fastgan.training.settings import TrainConfig

_MARK = "speedrun[cpu]"


class Points(Callback):
    """Takes samples where the run evaluates itself, and learns from the log how many images had been shown.

    before: CPU seconds that an interrupted run took already.
    """

    def __init__(self, recorder: Recorder, before: float) -> None:
        self.recorder, self._before, self._begun = recorder, before, False

    def monotonic(self) -> float:
        """The session's clock: CPU seconds. It asks for the first time when training begins."""
        now = self.recorder.clock.seconds()
        if not self._begun:
            self._begun = True
            self.recorder.begin(self._before, now)
        return now

    def evaluator(self, _dataset: Dataset, _train: TrainConfig, _device: torch.device) -> Evaluate:
        """What fastgan.train is given to compute metrics with: it saves samples, and computes none."""

        def evaluate(sample: Sampler) -> Mapping[str, float]:
            self.recorder.take(-1, lambda start, n: np.asarray(sample(start, n)))
            return {_MARK: 0.0}

        return evaluate

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Each evaluation is followed by its line of the log."""
        if _MARK in values:
            for point in self.recorder.points:
                point["images"] = step if point["images"] < 0 else point["images"]
            self.recorder.save()


def train(contender: Contender, cell: Cell, data: Path, folder: Path, recorder: Recorder) -> dict[str, Any]:
    """Train, or go on where an interrupted run stopped; facts for the result. FastganError where training fails."""
    run = folder / "run"
    before = 0.0
    if (run / "latest").exists():
        before = float(checkpoint.read_state(checkpoint.locate(run))["seconds"])
    elif run.exists():  # killed before its first checkpoint
        shutil.rmtree(run)
        recorder.forget()
    points = Points(recorder, before)
    # All that the loop asks the time for: its budget, log, schedules, and when to evaluate.
    setattr(session, "time", SimpleNamespace(monotonic=points.monotonic))  # noqa: B010 (for mypy)
    # Some point is due at every multiple of this.
    tick = 60.0 if all(due % 60 == 0 for due in cell.due) else cell.due[0]
    done = fastgan.train(
        data,
        preset=contender.preset if contender.kind == "preset" else None,
        config=contender.config if contender.kind == "config" else None,
        out=run,
        resume="auto",
        budget=f"{cell.due[-1]:g}s",
        seed=cell.seed,
        resolution=SIZE,
        device="cpu",
        eval_every=f"{tick:g}s",
        evaluator=points.evaluator,
        callback=points,
        progress=False,
    )
    settings = to_mapping(done.config)
    del settings["data"]
    return {
        "images": done.cur_nimg,
        "seconds": recorder.seconds,
        "setup_seconds": recorder.setup_seconds,
        "settings": settings,
    }
