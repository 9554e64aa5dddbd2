"""A study: its images, its split, its scenarios; and the run through all cells."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastgan.config import overrides
from fastgan.data.dataset import raw_bytes
from fastgan.nn.precision import has_fast_bf16
from fastgan.study import arms as all_arms
from fastgan.study import families, filtering, gan, recipes, scenarios, synthetic
from fastgan.study.arms import Arm
from fastgan.study.cells import Cells
from fastgan.study.cnn import Hyper, Training
from fastgan.study.desk import TRIALS, Choices, Desk
from fastgan.study.exam import Exam
from fastgan.study.labelled import Labelled
from fastgan.study.origin import Origin
from fastgan.study.pace import Pace, Progress
from fastgan.study.scenarios import Scenario
from fastgan.study.settings import Settings
from fastgan.study.split import Split
from fastgan.study.task import Task
from fastgan.study.transfer import Backbone
from fastgan.training import assemble
from fastgan.training.settings import RunConfig
from fastgan.training.transfer import check as check_start

Note = Callable[[str], None]
OpenGan = Callable[[Labelled], tuple[synthetic.Make, Path | None]]


@dataclass(kw_only=True, eq=False)
class Study:
    """Everything that is fixed before the first classifier is trained."""

    task: Task
    data: Labelled
    split: Split
    settings: Settings
    folder: Path
    device: torch.device
    backbone: Backbone | None
    near: float = families.ALIKE
    """The correlation above which images are near copies"""
    origin: Origin | None = None
    """What GANs start from; None: from scratch"""
    note: Note = print
    progress: Progress = lambda step: None
    deadline: float | None = None
    """time.monotonic() after which nothing is begun"""
    stand_in: Callable[[Scenario, int], OpenGan] | None = None
    """What takes a GAN's place, in a test of the statistics"""
    results: list[dict[str, Any]] = field(default_factory=list)
    """A cell each: scenario, arm, seed, and what came out"""
    usual: dict[str, float] | None = None
    """Seconds of each kind of classifier, where they were measured"""

    def __post_init__(self) -> None:
        self.cells = Cells(self.folder / "cells")
        self._gan_identities: dict[tuple[Scenario, int, str], str] = {}
        self.pool = self.data.take(self.split.train)
        self._val = self.data.take(self.split.val)
        self.exam = Exam(self.task, self.data.take(self.split.test))
        bf16 = has_fast_bf16(self.device)
        self.training = {
            "cnn": Training(steps=self.settings.steps, batch=32, bf16=bf16, device=self.device),
            "head": Training(steps=1, batch=64, device=self.device),
            "tuned": Training(steps=self.settings.tuned_steps, batch=32, device=self.device),
        }
        self.scenarios = scenarios.plan(
            self.task, self.pool.targets, self.settings.per_class, self.settings.imbalance
        )
        self.content = fingerprint(self.data, self.split)
        for scenario in self.scenarios:
            self.arms(scenario)  # refused now rather than later
        self.gan_config()

    def arms(self, scenario: Scenario) -> list[Arm]:
        """Those of a scenario, as they were asked for. ConfigError where that leaves nothing to compare."""
        found = all_arms.arms(
            self.settings.ratios,
            transfer=self.backbone is not None,
            thinned=scenario.minority is not None,
            ceiling=scenario != Scenario(),
        )
        return all_arms.chosen(found, self.settings.only)

    def desk(self, scenario: Scenario, seed: int) -> Desk:
        """What is trained on for a scenario and a seed."""
        train = self.pool.take(scenario.rows(self.task, self.pool.targets, seed))
        return Desk(
            task=self.task,
            chosen_by=self.chosen_by(scenario),
            train=train,
            val=self._val.take(scenario.val_rows(self.task, self._val.targets, seed)),
            everything=self.pool,
            seed=seed,
            training=self.training,
            backbone=self.backbone,
            open_gan=self._gan(scenario, seed),
            near=self.near,
        )

    def chosen_by(self, scenario: Scenario) -> str:
        """What of the validation images everything is chosen by.

        With a rare class not its recall alone, which is best where all images are said to be of it.
        """
        return self.settings.measure if scenario.minority is None else "balanced_accuracy"

    def prepared(self, scenario: Scenario, seed: int) -> Desk:
        """The same, with what was chosen for the scenario: for pictures and files of what was trained on."""
        desk = self.desk(scenario, seed)
        found = self.cells.get(self.identity(scenario, None, 0))
        desk.choices = desk.choose() if found is None else _choices(found)
        return desk

    def run(self) -> None:
        """Every cell that is not there yet, scenario by scenario and seed by seed."""
        self.pace = Pace(self, self.usual)
        for scenario in self.scenarios:
            first = self.desk(scenario, 0)
            choices = self._choices(scenario, first)
            for seed in range(self.settings.seeds):
                desk = first if seed == 0 else self.desk(scenario, seed)
                desk.choices = choices
                for arm in self.arms(scenario):
                    self._cell(scenario, arm, desk)
                self.results.extend(self._done(scenario, seed))

    def left(self) -> list[str]:
        """The kinds of all work that is not on disk yet."""
        found = []
        for scenario in self.scenarios:
            if self.cells.get(self.identity(scenario, None, 0)) is None:
                found.append("choices")
            for seed in range(self.settings.seeds):
                missing = [
                    arm
                    for arm in self.arms(scenario)
                    if self.cells.get(self.identity(scenario, arm, seed)) is None
                ]
                made = self.stand_in is not None or self.gan_run(scenario, seed) is not None
                if any(arm.mix for arm in missing) and not made:
                    found.append("gan")
                found += [f"{arm.learner}, tuned" if seed == 0 else arm.learner for arm in missing]
        return found

    def _done(self, scenario: Scenario, seed: int) -> Iterator[dict[str, Any]]:
        for arm in self.arms(scenario):
            found = self.cells.get(self.identity(scenario, arm, seed))
            assert found is not None
            yield {"scenario": scenario.name, "arm": arm.name, "seed": seed, **found}

    def identity(self, scenario: Scenario, arm: Arm | None, seed: int) -> dict[str, Any]:
        """All that decides over a cell; arm None: over a scenario's choices."""
        settings = self.settings
        found: dict[str, Any] = {
            "content": self.content,
            "names": self.task.names,
            "scenario": asdict(scenario),
            "chosen_by": self.chosen_by(scenario),
            "seed": seed,
            "steps": settings.steps,
            "bf16": self.training["cnn"].bf16,
            "recipes": [asdict(recipe) for recipe in recipes.RECIPES],
            "backbone": None if self.backbone is None else [self.backbone.name, self.backbone.size],
        }
        if arm is None:
            return found
        found |= {"arm": asdict(arm), "trials": [asdict(trial) for trial in TRIALS[arm.learner]]}
        if arm.learner == "tuned":
            found["tuned_steps"] = settings.tuned_steps
        if arm.mix is not None:
            found |= {"gan": self._gan_identity(scenario, seed), "widening": synthetic.WIDENING}
            found["filter"] = [*filtering.RULES, self.near] if arm.mix.filtered else None
        return found

    def _gan_identity(self, scenario: Scenario, seed: int) -> str:
        """Of the settings themselves: what a preset says may change with the version."""
        recipe = self.gan_recipe()
        key = scenario, seed, repr(recipe)  # a plan changes how long GANs are trained
        if key not in self._gan_identities:
            train = self.pool.take(scenario.rows(self.task, self.pool.targets, seed))
            self._gan_identities[key] = gan.identity(self.task, train, recipe, seed)
        return self._gan_identities[key]

    def _choices(self, scenario: Scenario, desk: Desk) -> Choices:
        identity = self.identity(scenario, None, 0)

        def compute() -> dict[str, Any]:
            with self.pace.unit("choices", f"{scenario.name}: choosing a recipe and a tap"):
                return asdict(desk.choose())

        found = self.cells.get_or(identity, compute)
        return _choices(found)

    def _cell(self, scenario: Scenario, arm: Arm, desk: Desk) -> None:
        identity = self.identity(scenario, arm, desk.seed)
        if self.cells.get(identity) is not None:
            return
        if arm.mix is not None:
            desk.gan  # noqa: B018  its own time is not the arm's
        begun = time.monotonic()
        what = f"{scenario.name}, seed {desk.seed}: {arm.name}"
        kind = f"{arm.learner}, tuned" if desk.seed == 0 else arm.learner
        with self.pace.unit(kind, what):
            hyper, score, predict = self._fitted(scenario, arm, desk)
            measures = self.exam.grade(self.cells.name(identity), predict, desk.real(arm))
        pool = None if arm.mix is None else len(desk.pool(arm.mix)[0])
        self.cells.put(
            identity,
            {
                "measures": asdict(measures),
                "val": score,
                "hyper": asdict(hyper),
                "seconds": round(time.monotonic() - begun, 2),
                "real": len(desk.real(arm)),
                "synthetic": pool,
                "filter": desk.filtered.reasons if arm.mix and arm.mix.filtered and desk.filtered else None,
            },
        )

    def _fitted(self, scenario: Scenario, arm: Arm, desk: Desk) -> tuple[Hyper, float, Any]:
        """The arm's hyperparameters, its validation score and its classifier.

        They are chosen by the validation images of the first seed, of the same number of trials for every arm.
        """
        if desk.seed == 0:
            fitted = [(trial, desk.fit(arm, trial)) for trial in TRIALS[arm.learner]]
            scored = [(desk.validate(predict), trial, predict) for trial, predict in fitted]
            score, hyper, predict = max(scored, key=lambda found: found[0])
            return hyper, score, predict
        first = self.cells.get(self.identity(scenario, arm, 0))
        assert first is not None
        hyper = Hyper(**first["hyper"])
        predict = desk.fit(arm, hyper)
        return hyper, desk.validate(predict), predict

    def _gan(self, scenario: Scenario, seed: int) -> OpenGan:
        if self.stand_in is not None:
            return self.stand_in(scenario, seed)

        def open_gan(train: Labelled) -> tuple[synthetic.Make, Path | None]:
            run = self.gan_run(scenario, seed)
            if run is None:
                recipe, place = self.gan_recipe(), self.folder / "gans"
                with self.pace.unit("gan", f"{scenario.name}, seed {seed}: GAN") as show:
                    run = gan.train(
                        self.task, train, recipe, seed, place, report=lambda said: show(said.done)
                    )
            return synthetic.opened(self.task, run, str(self.device)), run

        return open_gan

    def gan_run(self, scenario: Scenario, seed: int) -> Path | None:
        """The run folder of the GAN of a scenario and a seed; None where it is to be trained."""
        return gan.found(self._gan_identity(scenario, seed), self.folder / "gans")

    def gans(self) -> list[dict[str, Any]]:
        """Each GAN that is whole: scenario, seed, where it lies, how long it was trained."""
        told = []
        for scenario in self.scenarios:
            for seed in range(self.settings.seeds):
                run = self.gan_run(scenario, seed)
                if run is not None:
                    where = {
                        "scenario": scenario.name,
                        "seed": seed,
                        "run": str(run.relative_to(self.folder)),
                    }
                    told.append(where | gan.facts(run))
        return told

    def gan_recipe(self) -> gan.Recipe:
        """How GANs are trained."""
        sets = tuple(overrides(self.settings.gan_sets).items())
        return gan.Recipe(
            preset=self.settings.gan_preset,
            budget=self.settings.gan_budget,
            sets=sets,
            origin=self.origin,
            device=str(self.device),
        )

    def gan_config(self) -> RunConfig:
        """All settings of a GAN of all training images; ConfigError for what there is none of."""
        whole = self.gan_recipe().config(self.task, self.pool, Path("train.fgd"), 0)
        config = assemble.resolve(whole, gan.data_set(self.task, self.pool))
        check_start(config.train)
        assemble.check_features(config)
        assemble.check_parts(config)
        return config


def _choices(found: dict[str, Any]) -> Choices:
    return Choices(**{**found, "taps": {int(k): v for k, v in found["taps"].items()}})


def fingerprint(data: Labelled, split: Split) -> str:
    """SHA-256 (hex) of all images and targets, and of which side each is on."""
    digest = hashlib.sha256()
    for tensor in (data.images, data.targets, *split.parts().values()):
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()
