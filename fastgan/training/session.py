"""The loop around the trainer: checkpoints, log, grids, budget, and a way out at any moment."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastgan.callbacks import Callback
from fastgan.data import Dataset
from fastgan.errors import ConfigError, DataError, FastganError, MetricError
from fastgan.text import quoted
from fastgan.training import checkpoint, conditions, outlook, overfit, schedule, signals, stopping
from fastgan.training.diversity import Diversity
from fastgan.training.evaluation import Evaluate, better, decisive, sampler
from fastgan.training.log import Grid, Log
from fastgan.training.settings import RunConfig
from fastgan.training.source import Source
from fastgan.training.state import describe
from fastgan.training.trainer import Trainer
from fastgan.training.watch import Watch

_PATIENCE = 5.0  # seconds after a signal for which a grid or an evaluation that is nearly done may go on
NOBODY = Callback()
"""Is told everything and does nothing"""
Note = Callable[[str], None]
"""Called with a sentence that the user should read once."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How training stands, at every line of the log."""

    cur_nimg: int
    seconds: float
    done: float
    """Share of the budget used, 0 to 1."""
    left: float | None
    """Seconds until the budget is used up, None before the speed is known."""
    img_per_s: float
    """Images a second between the last two lines of the log; 0 before the first."""
    losses: dict[str, float]
    """Means since the last report; empty between the lines of the log."""
    alarms: tuple[str, ...] = ()
    """What the watch is warning of."""
    growing: tuple[int, float] | None = None
    """The resolution being trained, and how far it has faded in; None where nothing grows."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How `Session.fit` ended."""

    cur_nimg: int
    seconds: float
    signum: int | None
    """The signal that stopped it; None when the budget was used up."""
    stopped: str | None = None
    """The condition of train.stop_when that ended it."""

    @property
    def exit_code(self) -> int:
        """0, or 128 + signal as a shell reports it."""
        return 0 if self.signum is None else 128 + self.signum


class _StoppedError(Exception):
    """A signal ends what is being drawn or measured."""


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
    _logged: tuple[int, float] = field(default=(0, 0.0), init=False)
    _speed: float = field(default=0.0, init=False)
    _foresaw: bool = field(default=False, init=False)
    _began_at: int = field(default=0, init=False)
    _asked_at: float | None = field(default=None, init=False)
    """When a signal that asks to stop was first seen while something was drawn or measured."""
    _in_step: bool = field(default=False, init=False)

    def fit(self, report: Callable[[Report], None]) -> Outcome:
        """Train until the budget is used up, a condition is met or a signal asks to stop; save, and say which.

        Raises FastganError when losses or parameters stay beyond all numbers after every rollback (nothing broken is
        ever saved), and OutputError when the disk is full. In all processes but the first: do as that one says.
        """
        processes = self.trainer.processes
        if processes.rank:
            signum = processes.follow(self.trainer)
            return Outcome(cur_nimg=self.trainer.cur_nimg, seconds=self.seconds, signum=signum)
        self.trainer.spread()
        if self.config.train.eval_every is not None and self.evaluate is None:
            raise ConfigError("train.eval_every is set, and this session was given nothing that evaluates")
        self._start, self._began_at = time.monotonic() - self.seconds, self.trainer.cur_nimg
        self._stop_when = stopping.parse(self.config.train.stop_when, evaluates=True)
        self._grid = Grid(self.run, self.trainer)
        self._yardstick = Diversity(self.dataset, self.config.train.grid_images)
        self._source = Source(self._file(), self.dataset)
        went_back: str | None = None
        with signals.graceful(size=processes.size) as stop:
            self._stop = stop
            while True:
                with closing(Log(self.run, self.trainer.cur_nimg, self.note)) as self._log:
                    if went_back:
                        self._say("rollback", went_back)
                    try:
                        self._train(report, stop)
                    except DataError as error:
                        raise self._lost_data(error) from error
                    except _BrokenError as broken:
                        went_back = self._go_back(str(broken))
                    else:
                        break
        processes.dismiss(stop.signum)
        return Outcome(
            cur_nimg=self.trainer.cur_nimg, seconds=self.seconds, signum=stop.signum, stopped=self.stopped
        )

    def _train(self, report: Callable[[Report], None], stop: signals.Stop) -> None:
        """The loop, to its end."""
        train, trainer, now = self.config.train, self.trainer, self._now()
        lengths = (train.log_every, train.grid_every, train.checkpoint_every)
        log_due, grid_due, save_due = (schedule.Every(length, *now) for length in lengths)
        eval_due = schedule.Every(train.eval_every, *now) if train.eval_every else None
        self._logged = now
        self._watch = Watch(
            images=len(self.dataset) - len(trainer.feed.held),
            adaptive=trainer.objective.augmentation.controller is not None,
            state=self.watched,
        )
        if trainer.cur_nimg == 0:
            self._draw()
        while stop.signum is None and self.stopped is None and schedule.progress(train.budget, *now) < 1:
            self._look_at_source()
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
        if self.saved is None or self.saved.name != f"{trainer.cur_nimg:09d}":
            self._save()
        if stop.signum is None:
            self._draw()
            checkpoint.save_release(self.run / "generator.safetensors", checkpoint.load(self.run))

    def _now(self) -> tuple[int, float]:
        return self.trainer.cur_nimg, self.seconds

    def _file(self) -> Path:
        own = self.run / "data.fgd"
        return own if own.exists() else Path(self.config.data.source)

    def _report(self, losses: dict[str, float]) -> Report:
        budget, nimg = self.config.train.budget, self.trainer.cur_nimg
        if budget.images is not None:
            left = max(budget.images - nimg, 0) / self._speed if self._speed else None
        else:
            left = max((budget.seconds or 0.0) - self.seconds, 0.0)
        done = min(schedule.progress(budget, nimg, self.seconds), 1.0)
        return Report(
            cur_nimg=nimg,
            seconds=self.seconds,
            left=left,
            done=done,
            img_per_s=self._speed,
            losses=losses,
            alarms=self._watch.active,
            growing=self.trainer.growing,
        )

    def _write(self, readings: Mapping[str, float] | None = None) -> dict[str, float]:
        """A line of the log: the means since the last one, and `readings`; what is to be said of them is said.

        _BrokenError when steps are skipped without an end.
        """
        nimg, (before, since) = self.trainer.cur_nimg, self._logged
        losses = self.trainer.take_losses()
        if nimg > before:
            self._speed = (nimg - before) / max(self.seconds - since, 1e-9)
            self._foresee(before, nimg)
            self._logged = (nimg, self.seconds)
            values = {
                "seconds": round(self.seconds, 3),
                "img_per_s": round(self._speed, 3),
                **self.trainer.scheduled(),
                **losses,
                **(readings or {}),
            }
            with checkpoint.saving(self._log.path, self.run):
                self._log.write({"cur_nimg": nimg, **values})
            for kind, text in self._watch.read(values, nimg):
                self._say(kind, text)
            self._check_stop({"cur_nimg": nimg, **values})
        if "skipped" in losses and not self.trainer.finite():
            raise _BrokenError("a parameter is not finite")
        if "skipped" in losses and self.trainer.stuck():
            raise _BrokenError("step after step has a loss or gradient that is not finite")
        return losses

    def _foresee(self, before: int, nimg: int) -> None:
        """Say, once, what the budget comes to: as soon as the speed is that of steps after the first."""
        if self._foresaw or before == self._began_at:
            return
        self._foresaw = True
        train, phase = self.config.train, self.trainer.phase
        self.note(
            outlook.foreseen(
                train.budget,
                train.usual_kimg,
                cur_nimg=nimg,
                left=max((train.budget.seconds or 0.0) - self.seconds, 0.0),
                img_per_s=self._speed,
                batch=phase.batch,
            )
        )

    def _look_at_source(self) -> None:
        gone = self._source.check()
        if gone:
            self._say("data", gone)

    def _lost_data(self, error: DataError) -> DataError:
        """What to say where the images cannot be read any more; what was trained on them is saved before."""
        # Within an iteration one network may be a step ahead: then the newest checkpoint is the one to go on from.
        if not self._in_step and (self.saved is None or self.saved.name != f"{self.trainer.cur_nimg:09d}"):
            with suppress(_BrokenError):
                self._save()
        return DataError(
            f"{error}; {checkpoint.remaining(self.run)}: go on from there with fastgan train --resume "
            f"{quoted(self.run)}"
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

    def _between(self) -> None:
        """Raise _StoppedError where a signal came a while ago: a grid or an evaluation may take hours, stopping not."""
        if self._stop.signum is not None:
            self._asked_at = self._asked_at or time.monotonic()
            if time.monotonic() - self._asked_at > _PATIENCE:
                raise _StoppedError

    def _draw(self) -> Tensor | None:
        """Draw the grid; its images [N, C, R, R], or None where a signal ended it."""
        try:
            images = self._grid.draw(self._between)
        except _StoppedError:
            return None
        with checkpoint.saving(self._grid.folder, self.run):
            self._log.image(self._grid.save(images, self.trainer.cur_nimg), self.trainer.cur_nimg)
        return images

    def _look(self) -> dict[str, float]:
        """Draw the grid, and what the watch reads off it."""
        images = self._draw()
        if images is None:
            return {}
        readings = overfit.gap(self.trainer)
        return readings | self._yardstick.measure(images) if len(images) > 1 else readings

    def _measure(self) -> dict[str, float]:
        """The metrics, as they are now; and whether this is the best so far.

        Samples that cannot be measured, such as one image over and over, are news and no reason to end.
        """
        assert self.evaluate is not None
        try:
            made = self.evaluate(sampler(self.trainer, self._between))
            metrics = {name: float(value) for name, value in made.items()}
        except _StoppedError:
            return {}
        except MetricError as error:
            self._say("metric", str(error))
            return {}
        name = decisive(self.config.train.best_metric, metrics)
        if better(self.best, name, metrics[name]):
            self.best = {"metric": name, "value": metrics[name], "cur_nimg": self.trainer.cur_nimg}
        return metrics

    def _go_back(self, what: str) -> str:
        """To an earlier checkpoint, one further each time, with other random numbers and half the learning rates.

        The same steps from the same weights would break down again. The checkpoint is written anew with the rollback
        in its state, so a resumption knows of it. Gives the sentence to say; FastganError when there is no checkpoint,
        or when going back did not help train.max_rollbacks times.
        """
        target = checkpoint.earlier(self.run, len(self.rollbacks))
        if target is None or len(self.rollbacks) >= self.config.train.max_rollbacks:
            raise self._broken(what)
        loaded, broke_at = checkpoint.load(target), self.trainer.cur_nimg
        self.trainer.load_state_dict(loaded)
        self.rollbacks.append({"from": broke_at, "to": self.trainer.cur_nimg, "why": what})
        self.trainer.go_back(len(self.rollbacks))
        self.trainer.spread()
        self.stopped = None
        self.best, self.watched = loaded.state.get("best"), loaded.state.get("watch", {})
        self._store()
        return (
            f"training broke down at {broke_at} images ({what}): it goes on from {self.trainer.cur_nimg} images, with "
            f"other random numbers and learning rates times {0.5 ** len(self.rollbacks):g}"
        )

    def _broken(self, what: str) -> FastganError:
        after = f" after {len(self.rollbacks)} rollbacks" if self.rollbacks else ""
        return FastganError(
            f"training broke down at {self.trainer.cur_nimg} images{after} ({what}); {checkpoint.remaining(self.run)}: "
            f"go on with smaller steps, as in fastgan train --resume {quoted(self.run)} --set train.lr_g=1e-4 "
            "--set train.lr_d=1e-4"
        )

    def _save(self) -> None:
        self._write()
        if not self.trainer.finite():
            raise _BrokenError("a parameter is not finite")
        self.watched = self._watch.state()
        self._store()

    def _store(self) -> None:
        model, optimizer = self.trainer.state_dict()
        self.saved = checkpoint.save(
            self.run,
            model=model | conditions.sample(self.config, self.dataset),
            optimizer=optimizer,
            state=describe(self),
            keep=self.config.train.keep_checkpoints,
        )
