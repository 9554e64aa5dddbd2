"""A trial: settings drawn, runs trained and scored, and what the study is told of it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna import Trial
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial

from fastgan import ownership
from fastgan.api.evaluate import evaluate
from fastgan.api.run import Run
from fastgan.api.train import train
from fastgan.callbacks import Callback
from fastgan.config import to_toml
from fastgan.data import Dataset
from fastgan.errors import DataError, FastganError, OutputError
from fastgan.files import atomic_write
from fastgan.machine import lacks_memory
from fastgan.metrics import open_extractor, reference
from fastgan.metrics.evaluate import Evaluator
from fastgan.training import checkpoint
from fastgan.training.evaluation import Evaluate
from fastgan.training.settings import TrainConfig
from fastgan.tuning.plan import POINTS, Plan, numbered, run_settings
from fastgan.tuning.sets import ImageSet

WORKER, REASON, STOPPED, RUNS, LABEL = "worker", "reason", "stopped", "runs", "label"
"""Attributes of a trial: the process that has it, why it failed, whether that process was asked to stop, facts of its
runs, and the preset whose own settings it has"""
SECOND = "random-conv"
"""Features that nobody trained, in which confirmations are scored as well"""


class FailedError(Exception):
    """A trial that cannot be trained, with its reason: the study goes on."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker does with a trial."""

    plan: Plan
    folder: Path
    device: str
    worker: str
    """Its name, which its lock file has"""

    def search(self, trial: Trial) -> float:
        """The score of a trial of the search. Raises TrialPruned, or FailedError with the reason."""
        return self._told(trial, self._search)

    def confirm(self, trial: Trial) -> float:
        """The score of one run with a fresh seed."""
        return self._told(trial, self._confirm)

    def _told(self, trial: Trial, work: Callable[[Trial], float]) -> float:
        trial.set_user_attr(WORKER, self.worker)
        if trial.user_attrs.get(STOPPED):
            trial.set_user_attr(STOPPED, False)  # of the trial that this one goes on with
        try:
            return work(trial)
        except (OutputError, DataError, KeyboardInterrupt):  # nothing that the settings could help
            trial.set_user_attr(STOPPED, True)
            raise
        except optuna.TrialPruned:
            raise
        except Exception as error:
            if isinstance(error, FastganError):
                why = str(error)
            elif lacks_memory(error):
                why = "out of memory"
            else:
                why = f"{type(error).__name__}: {error}"
            trial.set_user_attr(REASON, why)
            raise FailedError(why) from error

    def _search(self, trial: Trial) -> float:
        plan, place = self.plan, self.folder / "trials" / f"{first_number(_frozen(trial)):04d}"
        drawn = plan.space.draw(trial)
        runs: list[dict[str, Any]] = []
        for k, (images, seed) in enumerate(plan.instances):
            judge = Judge(plan, _reporting(trial) if plan.prunes_within else None)
            found = plan.settings(drawn, images)
            runs.append(self._trained(numbered(place, plan, images, seed), found, images, seed, judge))
            trial.set_user_attr(RUNS, runs)
            if len(plan.instances) > 1:
                trial.report(runs[-1]["score"], k)
                if k + 1 < len(plan.instances):
                    _stop_if_weak(trial)
        return plan.metric.together(by_set(runs))

    def _confirm(self, trial: Trial) -> float:
        asked, plan = trial.user_attrs, self.plan
        images = next(each for each in plan.sets if each.name == asked["set"])
        drawn = asked["drawn"]
        found = plan.base(asked["of"], images) if drawn is None else plan.settings(drawn, images)
        run = self.folder / "confirm" / f"{asked['of']}-{images.name}-{asked['seed']}"
        facts = self._trained(run, found, images, asked["seed"], None)
        if plan.metric.while_training and plan.extractor != SECOND:
            facts["second"] = self._scored(run, images, SECOND)
        trial.set_user_attr(RUNS, [facts])
        return float(facts["score"])

    def _trained(
        self, path: Path, found: Mapping[str, Any], images: ImageSet, seed: int, judge: "Judge | None"
    ) -> dict[str, Any]:
        """Train the run `path`, or go on with it, and say what it came to."""
        plan = self.plan
        scored = judge is not None and plan.metric.while_training
        settings = path.with_name(f"{path.name}.toml")
        with atomic_write(settings) as temporary:
            temporary.write_text(to_toml(run_settings(plan, found, images, seed, scored=scored)), "utf-8")
        if judge is not None and (path / "log.jsonl").is_file():
            judge.catch_up(Run(path).history)
        try:
            run = train(
                images.train,
                config=settings,
                out=path,
                resume="auto",
                device=self.device,
                evaluator=self._evaluator(images) if scored else None,
                callback=judge,
                progress=False,
            )
        finally:  # stopped early, too
            _slim(path)
        last = next(iter(run.history[::-1]), {})
        score = plan.metric.of(last) if last.get("cur_nimg") == run.cur_nimg else None
        if score is None:
            score = self._scored(path, images, plan.extractor)
        if not math.isfinite(score):
            raise FastganError(f"its {plan.metric.name} is {score}")
        return {
            "set": images.name,
            "seed": seed,
            "score": score,
            "cur_nimg": run.cur_nimg,
            "steps": run.cur_nimg // run.config.train.batch,
            "seconds": run.facts["seconds"],
            "folder": str(path.relative_to(self.folder)),
        }

    def _scored(self, run: Path, images: ImageSet, extractor: str) -> float:
        """The score of a run that has ended, in the features of `extractor`."""
        plan = self.plan
        card = evaluate(
            run,
            data=images.held,
            metrics=[plan.metric.computed],
            extractor=extractor,
            n=plan.eval_images,
            device=self.device,
            out=run / ("eval.json" if extractor == plan.extractor else f"eval-{extractor}.json"),
            overwrite=True,
            progress=False,
        )
        score = plan.metric.of(card.scores)
        if score is None:
            raise FastganError(f"{plan.metric.name} is not among the scores of {plan.metric.computed}")
        return score

    def _evaluator(self, images: ImageSet) -> Callable[[Dataset, TrainConfig, torch.device], Evaluate]:
        """What scores a run on its way: against the held-out images, not those it is trained on."""
        plan = self.plan

        def make(dataset: Dataset, config: TrainConfig, device: torch.device) -> Evaluate:
            network = open_extractor(plan.extractor, device)
            held = reference.read(images.reference)
            return Evaluator(held, network, [plan.metric.computed], plan.eval_images)

        return make


@dataclass
class Judge(Callback):
    """Hears the scores of a run while it trains; `report` may raise TrialPruned, upon which the run is saved."""

    plan: Plan
    report: Callable[[int, float], None] | None
    _told: set[int] = field(default_factory=set)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """A line of the run's log."""
        self._hear({"cur_nimg": step, **values})

    def catch_up(self, lines: list[dict[str, float]]) -> None:
        """What a run has scored before it was killed."""
        for line in lines:
            self._hear(line)

    def _hear(self, line: Mapping[str, float]) -> None:
        score = self.plan.metric.of(line)
        if score is None or not math.isfinite(score) or self.report is None:
            return
        budget = self.plan.trial_budget
        done = (
            line["cur_nimg"] / budget.images
            if budget.images is not None
            else line["seconds"] / (budget.seconds or 1.0)
        )
        point = min(int(POINTS * done + 1e-6), POINTS)
        if point and point not in self._told:
            self._told.add(point)
            self.report(point, score)


def by_set(runs: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The scores of runs by the names of their sets."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run["set"], []).append(run["score"])
    return found


def _reporting(trial: Trial) -> Callable[[int, float], None]:
    def report(point: int, score: float) -> None:
        trial.report(score, point)
        if point < POINTS:
            _stop_if_weak(trial)

    return report


def _stop_if_weak(trial: Trial) -> None:
    """Raise TrialPruned where the pruner says so; presets, which others are held against, are trained to their end."""
    weak = trial.should_prune()  # asked of presets, too: it remembers what others are held against
    if weak and LABEL not in trial.user_attrs:
        raise optuna.TrialPruned


def _frozen(trial: Trial) -> FrozenTrial:
    return next(t for t in trial.study.get_trials(deepcopy=False) if t.number == trial.number)


def first_number(trial: FrozenTrial) -> int:
    """The number of a trial, or of the one that it goes on with: what its folder is called."""
    first = RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
    return int(trial.number if first is None else first)


def _slim(run: Path) -> None:
    """Keep the newest checkpoint alone."""
    (run / "best").unlink(missing_ok=True)
    if not (run / "latest").is_file():
        return
    newest = checkpoint.locate(run)
    for path in ownership.checkpoints(run):
        if path.resolve() != newest.resolve():
            checkpoint.remove(path)
