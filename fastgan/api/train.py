"""Training from Python: a run begins, or goes on, and comes back as a `Run`."""

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastgan import allocator, arguments
from fastgan.api.call import long_call
from fastgan.api.run import Run
from fastgan.callbacks import NOBODY, Callback, as_one
from fastgan.data import Dataset, passed_over
from fastgan.device import choose
from fastgan.errors import ArgumentError
from fastgan.interrupts import Interrupted
from fastgan.naming import named
from fastgan.progress import Progress, stages
from fastgan.progress import progress as progressing
from fastgan.text import clock
from fastgan.training import distributed, folder, layers, plan, summary
from fastgan.training import run as training
from fastgan.training.afford import Again
from fastgan.training.choices.layered import Layered
from fastgan.training.distributed import Processes
from fastgan.training.evaluation import Evaluate
from fastgan.training.options import OPTIONS, Asked, tables
from fastgan.training.outcome import Outcome
from fastgan.training.run import MakeEvaluate
from fastgan.training.session import Session
from fastgan.training.settings import RunConfig, TrainConfig

AnyPath = str | os.PathLike[str]


@long_call
def train(
    source: AnyPath | None = None,
    *,
    preset: str | None = None,
    config: AnyPath | None = None,
    settings: Mapping[str, Any] | None = None,
    out: AnyPath | None = None,
    budget: str | None = None,
    resume: AnyPath | None = None,
    device: str = "auto",
    seed: int | None = None,
    resolution: int | None = None,
    augment: str | None = None,
    discriminator: str | None = None,
    spectral_norm: bool = False,
    conditional: str | None = None,
    init_from: AnyPath | None = None,
    freeze_d: int | None = None,
    tune_g: str | None = None,
    thaw_kimg: float | None = None,
    accumulate: int | None = None,
    eval_every: str | None = None,
    stop_when: str | None = None,
    fit: str | None = None,
    split: str | None = None,
    kind: str | None = None,
    max_bad: str | float | None = None,
    max_pixels: int | None = None,
    evaluator: MakeEvaluate | None = None,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Run:
    """Train a GAN on `source`, a folder or zip of images, a data set as it was downloaded, or a packed .fgd file.

    Settings come in layers, later ones winning: the preset ("small" where none is named), the TOML file `config`,
    `settings` by dotted keys or tables ({"train.batch": 16}; docs/training.md has them all), the arguments here, which
    `fastgan train --help` explains. What a preset leaves open and nobody sets is chosen by the images, the device,
    memory, the budget and the speed measured at the start. Lengths in kimg may be portions of the planned images, as in
    "2.5%".

    out: the run's folder; by default the next free number under runs/. budget: of the whole run, as in "10m", "2h" or
    "50kimg" (thousands of images shown). resume: a run to go on with exactly, or one of its checkpoints; "auto" starts
    the run `out`, goes on with it, or does nothing once it is done. device: "auto", "cpu", "cuda" or "cuda:N".
    resolution: side of the images in pixels, a power of two from 8 to 4096. evaluator: makes what computes the metrics
    of `eval_every`; by default those of train.eval_metrics. callback: is told of each step log, grid and checkpoint.
    progress: show bars and notes on standard error.

    Under torchrun the processes train together, and each returns the same run. Ctrl-C in the main thread, SIGTERM and
    SIGHUP end it after the step at hand: a checkpoint is saved, and KeyboardInterrupt raised whose text says how to go
    on. In another thread no signal is heard, and two runs at a time in one process share torch's random numbers, so
    that neither can be repeated exactly.

    Raises ConfigError for settings that do not exist, are impossible or contradict the run, DataError for images that
    cannot be trained on, CheckpointError for a run that cannot go on, MemoryLimitError for a step that does not fit,
    OutputError where nothing can be written, FastganError where losses stay beyond all numbers.
    """
    options = {name: value for name, value in locals().items() if name in OPTIONS}
    start = Start(
        asked=Asked(options=options, settings=tables(settings or {})),
        resume=None if resume is None else arguments.path(resume, "resume"),
        out=None if out is None else arguments.path(out, "out"),
        device=device,
    )
    if start.resume and start.out and str(start.resume) != layers.AUTO:
        own = folder.existing(start.resume)
        if own.resolve() != Path(start.out).resolve():
            raise ArgumentError(f"{named('resume')} goes on in {own}: leave {named('out')} away")
    ended = carry_out(start, again=_again, evaluator=evaluator, callback=as_one(callback), progress=progress)
    return ended.as_run()


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a call of training begins from."""

    asked: Asked
    resume: str | Path | None = None
    """A run, one of its checkpoints, layers.AUTO or layers.LAST"""
    out: str | Path | None = None
    device: str = "auto"

    def settle(self) -> tuple[Path | None, RunConfig, Layered | None]:
        """The run to go on with (None: a new one), its settings, and the preset that a new one may choose from."""
        if str(self.resume) == layers.AUTO:
            run = layers.run_to_start(self.out)
            if run is not None:
                return run, layers.goes_on(run, self.asked), None
        elif self.resume is not None:
            run = layers.run_to_resume(self.resume, self.asked, self.out)
            return run, layers.resumed(folder.existing(run), self.asked), None
        return None, *layers.new_run(self.asked)

    def done(self, run: Path | None, config: RunConfig) -> str | None:
        """With AUTO: why there is nothing left to do, in a sentence."""
        auto = str(self.resume) == layers.AUTO
        return training.finished(run, config) if auto and run is not None else None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How training ended, in one of its processes."""

    rank: int
    run: Path
    session: Session | None = None
    outcome: Outcome | None = None
    done: str | None = None
    """Why nothing was to be done"""

    def as_run(self) -> Run:
        """The run. Raises KeyboardInterrupt, or for another signal than Ctrl-C's an Interrupted, where one ended it."""
        if self.session is None or self.outcome is None:
            return Run(self.run)
        if self.outcome.signum is not None:
            at = f"{self.outcome.cur_nimg / 1000:g} kimg in {clock(self.outcome.seconds)}"
            onward = f"fastgan.train(resume={str(self.run)!r}) goes on exactly"
            text = f"stopped at {at}; saved {self.session.saved}: {onward}"
            if self.outcome.signum == signal.SIGINT:  # a subclass would not end a script by the signal
                raise KeyboardInterrupt(text)
            raise Interrupted(self.outcome.signum, text)
        return Run.ended(self.session.run, device=str(self.session.device))


def carry_out(
    start: Start,
    *,
    again: Again,
    evaluator: MakeEvaluate | None = None,
    callback: Callback = NOBODY,
    progress: bool = True,
) -> Ended:
    """Train as `start` asks for, alone or with the processes that torchrun has started.

    again: the call with one more option, for messages. A signal is no error here: `Ended.outcome` has it.
    """
    allocator.keep_memory()
    with distributed.joined() as processes:
        run, config, layered = processes.first(start.settle)
        done = processes.first(lambda: start.done(run, config))
        if done is not None and run is not None:
            return Ended(rank=processes.rank, run=run, done=done)
        with progressing(progress and processes.rank == 0) as shown:
            settled = (run, config, layered)
            with _opened(
                start, settled, shown, processes, again, evaluator or own_evaluator, callback
            ) as session:
                for text in passed_over.warnings(session.dataset.notes):
                    shown.note(text)
                shown.note(beginning(session))
                outcome = session.fit(summary.told(shown))
        return Ended(rank=processes.rank, run=session.run, session=session, outcome=outcome)


def _opened(
    start: Start,
    settled: tuple[Path | None, RunConfig, Layered | None],
    shown: Progress,
    processes: Processes,
    again: Again,
    evaluator: MakeEvaluate,
    callback: Callback,
) -> AbstractContextManager[Session]:
    run, config, layered = settled
    shared: dict[str, Any] = {"device": start.device, "note": shown.note, "progress": stages(shown)}
    shared |= {"processes": processes, "evaluator": evaluator, "again": again, "callback": callback}
    if run is None:
        return training.new(config, out=start.out, layered=layered, **shared)
    return training.resumed(run, config, **shared)


def planned(start: Start, *, again: Again) -> tuple[RunConfig, list[str]] | None:
    """The settings that training would use, after a look at the images, and what there is to say of them.

    None in a process that is not the first. Nothing is written. Errors are those that training would end with.
    """
    with distributed.joined() as processes:

        def look() -> tuple[RunConfig, list[str]]:
            run, config, layered = start.settle()
            where = choose(start.device, processes)
            if run is not None:
                return training.planned(run, config), []
            ready = plan.make(config, where, layered=layered, processes=processes, again=again)
            return ready.config, ready.facts()

        found = processes.first(look)
        return found if processes.rank == 0 else None


def own_evaluator(dataset: Dataset, train: TrainConfig, device: torch.device) -> Evaluate:
    """What computes train.eval_metrics against `dataset`."""
    from fastgan.metrics import evaluator  # which opens a network: for those who ask for metrics alone

    names = [name.strip() for name in train.eval_metrics.split(",")]
    return evaluator(dataset, metrics=names, n=train.eval_images, device=device)


def beginning(session: Session) -> str:
    """What is going to be trained, on what, where and for how long."""
    config, data, trainer = session.config, session.dataset, session.trainer
    several = f" x {trainer.processes.size}" if trainer.processes.size > 1 else ""
    start = f" from {trainer.cur_nimg / 1000:g} kimg" if trainer.cur_nimg else ""
    return (
        f"{config.model.name} on {len(data)} images of {data.resolution}x{data.resolution}x{data.channels}, "
        f"{session.device.type}{several} {trainer.precision}, budget {config.train.budget}{start}, in {session.run}"
    )


def _again(option: str) -> str:
    """A call with one more argument, of what the command would be given: `--set train.batch=8`, `--accumulate 2`."""
    name, _, value = option.partition(" ")
    argument = name.removeprefix("--").replace("-", "_")
    if argument == "set":
        key, _, value = value.partition("=")
        return f'fastgan.train(..., settings={{"{key}": {value}}})'
    return f"fastgan.train(..., {argument}={value if value.isdecimal() else repr(value)})"
