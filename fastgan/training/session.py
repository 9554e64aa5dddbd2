"""The loop around the trainer: checkpoints, log, grids, budget, and a way out at any moment."""

import math
import platform
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastgan import __version__
from fastgan.config import to_mapping
from fastgan.data import Dataset
from fastgan.errors import FastganError
from fastgan.training import checkpoint, schedule, signals
from fastgan.training.log import Grid, Log
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How `Session.fit` ended."""

    cur_nimg: int
    seconds: float
    signum: int | None
    """The signal that stopped it; None when the budget was used up."""

    @property
    def exit_code(self) -> int:
        """0, or 128 + signal as a shell reports it."""
        return 0 if self.signum is None else 128 + self.signum


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
    saved: Path | None = None
    """The newest checkpoint of this session."""
    _logged: tuple[int, float] = field(default=(0, 0.0), init=False)
    _speed: float = field(default=0.0, init=False)

    def fit(self, report: Callable[[Report], None]) -> Outcome:
        """Train until the budget is used up or a signal asks to stop; save, and say how it ended.

        Raises FastganError when a loss or a parameter is no longer finite (nothing broken is ever saved), and
        OutputError when the disk is full. In all processes but the first: do as that one says.
        """
        if self.trainer.processes.rank:
            signum = self.trainer.processes.follow(self.trainer)
            return Outcome(cur_nimg=self.trainer.cur_nimg, seconds=self.seconds, signum=signum)
        self.trainer.spread()
        train, trainer, start = self.config.train, self.trainer, time.monotonic() - self.seconds
        now = (trainer.cur_nimg, self.seconds)
        log_due, grid_due, save_due = (
            schedule.Every(length, *now)
            for length in (train.log_every, train.grid_every, train.checkpoint_every)
        )
        self._logged = (trainer.cur_nimg, self.seconds)
        grid = Grid(self.run, trainer)
        with (
            signals.graceful(size=trainer.processes.size) as stop,
            closing(Log(self.run, trainer.cur_nimg, self.note)) as log,
        ):
            if trainer.cur_nimg == 0:
                self._draw(grid, log)
            while stop.signum is None and schedule.progress(train.budget, *now) < 1:
                trainer.step()
                self.seconds = time.monotonic() - start
                now = (trainer.cur_nimg, self.seconds)
                losses = self._write(log) if log_due.due(*now) else {}
                report(self._report(losses))
                if grid_due.due(*now):
                    self._draw(grid, log)
                if save_due.due(*now):
                    self._save(log)
            if self.saved is None or int(self.saved.name) != trainer.cur_nimg:
                self._save(log)
            if stop.signum is None:
                self._draw(grid, log)
                checkpoint.save_release(self.run / "generator.safetensors", checkpoint.load(self.run))
        trainer.processes.dismiss(stop.signum)
        return Outcome(cur_nimg=trainer.cur_nimg, seconds=self.seconds, signum=stop.signum)

    def _report(self, losses: dict[str, float]) -> Report:
        budget, nimg = self.config.train.budget, self.trainer.cur_nimg
        if budget.images is not None:
            left = max(budget.images - nimg, 0) / self._speed if self._speed else None
        else:
            left = max((budget.seconds or 0.0) - self.seconds, 0.0)
        done = min(schedule.progress(budget, nimg, self.seconds), 1.0)
        return Report(
            cur_nimg=nimg, seconds=self.seconds, left=left, done=done, img_per_s=self._speed, losses=losses
        )

    def _write(self, log: Log) -> dict[str, float]:
        """A line of the log, with the means since the last one; a loss that is not finite ends training here."""
        nimg, (before, since) = self.trainer.cur_nimg, self._logged
        losses = self.trainer.take_losses()
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self._broken(f"{name} is {value}")
        if nimg > before:
            self._speed = (nimg - before) / max(self.seconds - since, 1e-9)
            self._logged = (nimg, self.seconds)
            seconds, speed = round(self.seconds, 3), round(self._speed, 3)
            with checkpoint.saving(log.path, self.run):
                log.write(
                    {
                        "cur_nimg": nimg,
                        "seconds": seconds,
                        "img_per_s": speed,
                        **self.trainer.scheduled(),
                        **losses,
                    }
                )
        return losses

    def _draw(self, grid: Grid, log: Log) -> None:
        with checkpoint.saving(grid.folder, self.run):
            log.image(grid.save(self.trainer.cur_nimg), self.trainer.cur_nimg)

    def _broken(self, what: str) -> FastganError:
        return FastganError(
            f"training broke down at {self.trainer.cur_nimg} images ({what}); {checkpoint.remaining(self.run)}: go on "
            f"with smaller steps, as in fastgan train --resume {self.run} --set train.lr_g=1e-4 --set train.lr_d=1e-4"
        )

    def _save(self, log: Log) -> None:
        self._write(log)
        if not self.trainer.finite():
            raise self._broken("a parameter is not finite")
        model, optimizer = self.trainer.state_dict()
        self.saved = checkpoint.save(
            self.run,
            model=model,
            optimizer=optimizer,
            state=self._state(),
            keep=self.config.train.keep_checkpoints,
        )

    def _state(self) -> dict[str, Any]:
        data = self.dataset
        return {
            "cur_nimg": self.trainer.cur_nimg,
            "resolution": self.trainer.phase.shown(self.trainer.cur_nimg),
            "seconds": self.seconds,
            "precision": self.trainer.precision,
            "config": to_mapping(self.config),
            "data": {
                "content_hash": data.content_hash,
                "images": len(data),
                "class_names": list(data.class_names),
                "attribute_names": list(data.attribute_names),
            },
            "rng": "reseeded before every iteration from train.seed and cur_nimg",
            "versions": _versions(),
            "machine": machine(self.device),
        }


def machine(device: torch.device) -> dict[str, str]:
    """What bitwise equality depends on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "torch": torch.__version__,
        "device": f"{device.type} {name}",
        "threads": str(torch.get_num_threads()),
    }


def _versions() -> dict[str, str]:
    return {"fastgan": __version__, "torch": torch.__version__, "python": platform.python_version()}
