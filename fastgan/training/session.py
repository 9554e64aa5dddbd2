"""The loop around the trainer: checkpoints, log, grids, budget, and a way out at any moment."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastgan.callbacks import NOBODY, Callback, Job, told
from fastgan.config import to_mapping
from fastgan.data import Dataset
from fastgan.errors import ConfigError, DataError, MetricError
from fastgan.naming import resuming
from fastgan.training import checkpoint, conditions, rollback, schedule, signals, stopping
from fastgan.training.evaluation import Evaluate, better, decisive
from fastgan.training.inspection import Inspection
from fastgan.training.log import CallbackError, Log
from fastgan.training.outcome import Outcome, Report
from fastgan.training.pace import Pace
from fastgan.training.settings import RunConfig
from fastgan.training.source import Source
from fastgan.training.state import describe
from fastgan.training.trainer import Trainer
from fastgan.training.watch import Watch

Note = Callable[[str], None]
"""Called with a sentence that the user should read once."""


class _BrokenError(Exception):
    """No step is finite any more, or a parameter is not."""


@dataclass(kw_only=True)
class Session:
    """A run that is ready to train."""

    run: Path
    config: RunConfig
    dataset: Dataset
    trainer: Trainer
    device: torch.device
    seconds: float
    """Time trained before this session."""
    note: Note
    evaluate: Evaluate | None = None
    """Computes metrics every train.eval_every."""
    callback: Callback = NOBODY
    """Is told of each step log, event, grid and checkpoint, in the first process alone."""
    expected: float | None = None
    """Images a second, as measured before training, where the user has been told."""
    saved: Path | None = None
    """The newest checkpoint of this session."""
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    """When training went back: from and to which `cur_nimg`, and why."""
    best: dict[str, Any] | None = None
    """The best evaluation so far: `metric`, `value` and `cur_nimg`."""
    stopped: str | None = None
    """The condition of train.stop_when that has been met."""
    watched: Mapping[str, Any] = field(default_factory=dict)
    """What the watch remembers from before this session."""
    _in_step: bool = field(default=False, init=False)

    def fit(self, report: Callable[[Report], None]) -> Outcome:
        """Train until the budget is used up, a condition is met or a signal asks to stop; save, and say which.

        Raises FastganError when losses or parameters stay beyond all numbers after every rollback (nothing broken is
        ever saved), OutputError when the disk is full, and what the callback raises, after a save. In all processes
        but the first: do as that one says.
        """
        processes = self.trainer.processes
        if processes.rank:
            signum = processes.follow(self.trainer)
            return Outcome(cur_nimg=self.trainer.cur_nimg, seconds=self.seconds, signum=signum)
        self.trainer.spread()
        if self.config.train.eval_every is not None and self.evaluate is None:
            raise ConfigError("train.eval_every is set, and this session was given nothing that evaluates")
        self._start = time.monotonic() - self.seconds
        self._stop_when = stopping.parse(self.config.train.stop_when, evaluates=True)
        own = self.run / "data.fgd"
        self._source = Source(own if own.exists() else Path(self.config.data.source), self.dataset)
        self._pace = Pace(self.config, self.trainer.cur_nimg, self.note, self.expected)
        settings = to_mapping(self.config)
        job = Job(work="train", folder=self.run, settings=settings, step=self.trainer.cur_nimg)
        with signals.graceful(size=processes.size) as stop, told(self.callback, job) as results:
            self._inspection = Inspection(self.run, self.trainer, self.dataset, self.evaluate, stop)
            try:
                self._train_and_save(report, stop)
            finally:
                results |= {"run": self.run, "cur_nimg": self.trainer.cur_nimg, "seconds": self.seconds}
                results["stopped"] = self.stopped
            if stop.signum is not None:
                results["status"] = "interrupted"
        processes.dismiss(stop.signum)
        return Outcome(
            cur_nimg=self.trainer.cur_nimg, seconds=self.seconds, signum=stop.signum, stopped=self.stopped
        )

    def _train_and_save(self, report: Callable[[Report], None], stop: signals.Stop) -> None:
        """Train; what a callback raises is raised once all is saved."""
        try:
            self._train_and_go_back(report, stop)
        except CallbackError as error:
            refused = error.error
        else:
            return
        self._log.callback = NOBODY
        if isinstance(refused, Exception) or stop.signum is None:  # not where Ctrl-C came again: stop at once
            self._save_if_whole()
        raise refused

    def _train_and_go_back(self, report: Callable[[Report], None], stop: signals.Stop) -> None:
        """The loop, begun again after each rollback."""
        went_back: str | None = None
        while True:
            self._log = Log(self.run, self.trainer.cur_nimg, self.note, self.callback)
            try:
                if went_back and self.saved:
                    self._say("rollback", went_back)
                    self._log.checkpoint(self.saved, self.trainer.cur_nimg)
                return self._train(report, stop)
            except DataError as error:
                self._save_if_whole()
                raise self._lost_data(error) from error
            except _BrokenError as broken:
                went_back = self._go_back(str(broken))

    def _train(self, report: Callable[[Report], None], stop: signals.Stop) -> None:
        """The loop, to its end."""
        train, trainer, now = self.config.train, self.trainer, self._now()
        lengths = (train.log_every, train.grid_every, train.checkpoint_every)
        log_due, grid_due, save_due = (schedule.Every(length, *now) for length in lengths)
        eval_due = schedule.Every(train.eval_every, *now) if train.eval_every else None
        self._pace.restart(*now)
        self._watch = Watch(
            images=len(self.dataset) - len(trainer.feed.held),
            adaptive=trainer.objective.augmentation.controller is not None,
            state=self.watched,
        )
        if trainer.cur_nimg == 0:
            self._draw()
        while stop.signum is None and self.stopped is None and schedule.progress(train.budget, *now) < 1:
            if gone := self._source.check():
                self._say("data", gone)
            self._in_step = True
            trainer.step()
            self._in_step = False
            self.seconds = time.monotonic() - self._start
            now = self._now()
            readings = self._look() if grid_due.due(*now) else {}
            if eval_due is not None and eval_due.due(*now):
                readings |= self._measure()
            losses = self._write(readings) if log_due.due(*now) or readings else {}
            report(self._report(losses))
            improved = self.best is not None and self.best["cur_nimg"] == trainer.cur_nimg
            if save_due.due(*now) or improved:
                self._save()
        if not self._is_saved():
            self._save()
        if stop.signum is None:
            self._draw()
            checkpoint.save_release(self.run / "generator.safetensors", checkpoint.load(self.run))

    def _now(self) -> tuple[int, float]:
        return self.trainer.cur_nimg, self.seconds

    def _report(self, losses: dict[str, float]) -> Report:
        now = self._now()
        return Report(
            cur_nimg=now[0],
            seconds=now[1],
            left=self._pace.left(*now),
            done=self._pace.done(*now),
            img_per_s=self._pace.img_per_s,
            losses=losses,
            alarms=self._watch.active,
            growing=self.trainer.growing,
        )

    def _write(self, readings: Mapping[str, float] | None = None) -> dict[str, float]:
        """A line of the log: the means since the last one, and `readings`; what is to be said of them is said.

        _BrokenError when steps are skipped without an end.
        """
        nimg, losses = self.trainer.cur_nimg, self.trainer.take_losses()
        if self._pace.measure(*self._now(), self.trainer.phase.batch):
            values = {
                "seconds": round(self.seconds, 3),
                "img_per_s": round(self._pace.img_per_s, 3),
                **self.trainer.scheduled(),
                **losses,
                **(readings or {}),
            }
            said = self._watch.read(values, nimg)
            with checkpoint.saving(self._log.path, self.run):
                self._log.write({"cur_nimg": nimg, **values})
            for kind, text in said:
                self._say(kind, text)
            self._check_stop({"cur_nimg": nimg, **values})
        if "skipped" in losses and not self.trainer.finite():
            raise _BrokenError("a parameter is not finite")
        if "skipped" in losses and self.trainer.stuck():
            raise _BrokenError("step after step has a loss or gradient that is not finite")
        return losses

    def _save_if_whole(self) -> None:
        """Save where training ends with an error that is not the networks' own."""
        # Within an iteration one network may be a step ahead: then the newest checkpoint is the one to go on from.
        if not self._in_step and not self._is_saved():
            with suppress(_BrokenError):
                self._save()

    def _lost_data(self, error: DataError) -> DataError:
        """What to say where the images cannot be read any more; what was trained on them is saved before."""
        return DataError(
            f"{error}; {checkpoint.remaining(self.run)}: go on from there with {resuming(self.run)}"
        )

    def _check_stop(self, values: Mapping[str, float]) -> None:
        met = next((str(condition) for condition in self._stop_when if condition.met(values)), None)
        if met is not None and self.stopped is None:
            self.stopped = met
            self._say("stopped", f"{met} is met: training ends here")

    def _say(self, kind: str, text: str) -> None:
        self.note(f"{self.trainer.cur_nimg / 1000:g} kimg: {text}")
        with checkpoint.saving(self._log.events, self.run):
            self._log.event(kind, text, *self._now())

    def _draw(self) -> Tensor | None:
        """Draw the grid; its images [N, C, R, R], or None where a signal ended it."""
        images, grid = self._inspection.draw(), self._inspection.grid
        if images is not None:
            with checkpoint.saving(grid.folder, self.run):
                self._log.grid(grid.save(images, self.trainer.cur_nimg), self.trainer.cur_nimg)
        return images

    def _look(self) -> dict[str, float]:
        """Draw the grid, and what the watch reads off it."""
        images = self._draw()
        return {} if images is None else self._inspection.readings(images)

    def _measure(self) -> Mapping[str, float]:
        """The metrics, as they are now; and whether this is the best so far.

        Samples that cannot be measured, such as one image over and over, are news and no reason to end.
        """
        try:
            metrics = self._inspection.metrics()
        except MetricError as error:
            self._say("metric", str(error))
            return {}
        if metrics is None:
            return {}
        name = decisive(self.config.train.best_metric, metrics)
        if better(self.best, name, metrics[name]):
            self.best = {"metric": name, "value": metrics[name], "cur_nimg": self.trainer.cur_nimg}
        return metrics

    def _go_back(self, what: str) -> str:
        """To an earlier checkpoint, written anew with the rollback in its state; the sentence to say."""
        went = rollback.go_back(self.run, self.trainer, len(self.rollbacks), what)
        self.rollbacks.append(went.entry)
        self.stopped = None
        self.best, self.watched = went.state.get("best"), went.state.get("watch", {})
        self._store()
        return went.sentence

    def _is_saved(self) -> bool:
        return self.saved is not None and self.saved.name == f"{self.trainer.cur_nimg:09d}"

    def _save(self) -> None:
        self._write()
        if not self.trainer.finite():
            raise _BrokenError("a parameter is not finite")
        self.watched = self._watch.state()
        self._log.checkpoint(self._store(), self.trainer.cur_nimg)

    def _store(self) -> Path:
        model, optimizer = self.trainer.state_dict()
        self.saved = checkpoint.save(
            self.run,
            model=model | conditions.sample(self.config, self.dataset),
            optimizer=optimizer,
            state=describe(
                self.trainer,
                self.dataset,
                seconds=self.seconds,
                rollbacks=self.rollbacks,
                best=self.best,
                stopped=self.stopped,
                watch=self.watched,
            ),
            keep=self.config.train.keep_checkpoints,
        )
        return self.saved
