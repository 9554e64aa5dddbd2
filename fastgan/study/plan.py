"""What fits into a budget, said before anything is begun.

The classifiers' share is what they cost here, measured by a few steps; the rest is the GANs'. What was decided stands
in plan.json beside the results, so that a study that goes on goes on with the same GANs.
"""

import json
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastgan.config import Duration
from fastgan.errors import ConfigError
from fastgan.files import write_json
from fastgan.study import cnn, recipes, transfer
from fastgan.study.arms import REAL
from fastgan.study.cnn import Hyper
from fastgan.study.pace import USUAL, Pace

if TYPE_CHECKING:
    from fastgan.study.study import Study

SHORTEST = 30.0
"""Seconds of a GAN below which there is no point in it."""
_MEASURED = 6  # steps
_SPARE = 1.1  # what is planned for beyond what is expected


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to be done."""

    seconds: float
    """Expected"""
    budget: float | None
    sentence: str


def fit(study: "Study", budget: float | None, *, free_gan: bool) -> Plan:
    """Plan the study, and set the length of its GANs where that is free and there is a budget.

    Raises ConfigError where the budget is too short: it says what would fit.
    """
    usual = measure(study)
    if budget is not None and free_gan:
        study.settings = replace(study.settings, gan_budget=_gan_budget(study, usual, budget))
    study.usual = usual
    pace = Pace(study, usual)
    total = pace.total()
    gans = pace.left.count("gan")
    if budget is not None and total > budget * 1.02:
        raise ConfigError(_too_short(study, usual, budget))
    classifiers = len([kind for kind in pace.left if kind not in ("gan", "choices")])
    said = (
        f"{len(study.scenarios)} scenario{'s' * (len(study.scenarios) > 1)}, {study.settings.seeds} seeds: "
        f"{classifiers} classifiers and {gans} GANs of {study.settings.gan_budget} to train, about {words(total)}"
    )
    if not pace.left:
        said = "everything is there already"
    return Plan(seconds=total, budget=budget, sentence=said)


def measure(study: "Study") -> dict[str, float]:
    """Seconds of a classifier of each kind, on this machine as it is loaded now."""
    desk = study.desk(study.scenarios[0], 0)
    usual = dict(USUAL)
    training = replace(study.training["cnn"], steps=_MEASURED)
    for _ in range(2):  # the first time, memory is found and kernels are chosen
        begun = time.perf_counter()
        cnn.fit(study.task, desk.batches(REAL, "cnn"), desk.shape, cnn.TRIALS[0], training, 0, None)
        a_step = (time.perf_counter() - begun) / _MEASURED
    usual["cnn"] = 1.0 + study.settings.steps * a_step
    usual["choices"] = len(recipes.RECIPES) * usual["cnn"] + 10.0 * (study.backbone is not None)
    if study.backbone is not None:
        tap = study.backbone.taps[1]
        features = desk.features(desk.train)
        head = transfer.fit_head(study.task, features[tap], desk.train.targets, transfer.START_DECAY)
        training = replace(study.training["tuned"], steps=2)
        begun = time.perf_counter()
        batches = desk.batches(REAL, "tuned")
        how = (Hyper(lr=1e-4, decay=0.0), training, 0, None)
        transfer.fine_tune(study.task, study.backbone, tap, head, batches, *how)
        usual["tuned"] = 3.0 + study.settings.tuned_steps * (time.perf_counter() - begun) / 2
    return usual


def _gan_budget(study: "Study", usual: dict[str, float], budget: float) -> Duration:
    """What is left for each GAN, in whole seconds; or what an earlier call with this budget decided."""
    file = study.folder / "plan.json"
    asked = [budget, study.content]
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        if before["asked"] == asked:
            return Duration(seconds=float(before["gan_seconds"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    pace = Pace(study, usual)
    gans = pace.left.count("gan")
    rest = budget - _SPARE * sum(pace.cost(kind) for kind in pace.left if kind != "gan")
    if not gans:
        return study.settings.gan_budget
    seconds = float(int(rest / _SPARE / gans) - 5)
    if seconds < SHORTEST:
        raise ConfigError(_too_short(study, usual, budget))
    return Duration(seconds=seconds)


def remember(study: "Study", planned: Plan) -> None:
    """Keep the length of GANs beside the results."""
    if planned.budget is not None:
        kept = {"asked": [planned.budget, study.content], "gan_seconds": study.settings.gan_budget.seconds}
        write_json(study.folder / "plan.json", kept)


def _too_short(study: "Study", usual: dict[str, float], budget: float) -> str:
    """How long it takes, and the largest part of it that would fit."""
    settings = study.settings
    shortest = replace(settings, gan_budget=Duration(seconds=SHORTEST))

    def needs(**changes: Any) -> float:
        study.settings = replace(shortest, **changes)
        try:
            return _SPARE * Pace(study, usual).total() + 1
        except ConfigError:  # a scenario without these arms
            return math.inf
        finally:
            study.settings = settings

    bare = ("real", "classical", f"synthetic x{settings.ratios[0]:g}")
    parts: list[tuple[str, dict[str, Any]]] = [
        ("--seeds 3", {"seeds": 3}),
        ("--seeds 2", {"seeds": 2}),
        (f"--seeds 3 --arms '{','.join(bare)}'", {"seeds": 3, "only": bare}),
        (f"--seeds 2 --arms '{','.join(bare)}'", {"seeds": 2, "only": bare}),
    ]
    fits = next((f"{name} ({words(n)})" for name, how in parts if (n := needs(**how)) <= budget), None)
    much = words(needs())
    what = f"{len(study.scenarios)} scenario{'s' * (len(study.scenarios) > 1)} of {settings.seeds} seeds"
    mend = f"; what fits: {fits}" if fits else f"; nothing of it fits, so give {much}"
    return f"--budget {words(budget)} is too short: {what} need {much} with GANs of {SHORTEST:.0f} s{mend}"


def words(seconds: float) -> str:
    """`45s`, `12m`, `1h 5m`: rounded up."""
    if seconds < 90:
        return f"{math.ceil(seconds)}s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes}m" if minutes < 90 else f"{minutes // 60}h {minutes % 60}m"
