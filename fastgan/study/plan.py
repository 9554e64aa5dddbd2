"""What fits into a budget, said before anything is begun.

The classifiers' share is what they cost here, measured by a few steps; the rest is the GANs'. How long these are
trained stands in plan.json beside the results, so that a study that goes on, with whatever budget, goes on with the
same GANs.
"""

import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from fastgan.config import Duration
from fastgan.documents import read_json
from fastgan.errors import ConfigError, DocumentError
from fastgan.files import write_json
from fastgan.naming import named
from fastgan.study import cnn, gan, recipes, transfer
from fastgan.study.arms import REAL
from fastgan.study.cnn import Hyper
from fastgan.study.labelled import Labelled
from fastgan.study.pace import USUAL, Pace
from fastgan.text import duration

if TYPE_CHECKING:
    from fastgan.study.study import Study

SHORTEST = 30.0
"""Seconds of a GAN below which there is no point in it."""
_MEASURED = 6  # steps
_LONGEST = 1e9  # seconds of a GAN that plan.json is believed
_SPARE = 1.1  # what is planned for beyond what is expected
_DRAWN = 2e-3  # seconds for each image that is shown: some two are drawn for it, in all mixes
_TRIED = Duration(images=256)  # of a GAN whose length is given in images


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to be done."""

    seconds: float
    """Expected"""
    budget: float | None
    sentence: str
    gan_seconds: float | None = None
    """Of each GAN, where the budget decided over it"""


def fit(study: "Study", budget: float | None, *, free_gan: bool) -> Plan:
    """Plan the study, and set the length of its GANs where that is free and there is a budget.

    Raises ConfigError where the budget is too short: it says what would fit.
    """
    usual = measure(study)
    kept = _kept(study) if free_gan else None
    shared = None  # of what the budget leaves
    if free_gan and budget is not None and kept is None and not _begun(study):
        shared = _gan_seconds(study, usual, budget)
    gan_seconds = kept if shared is None else shared
    if gan_seconds is not None:
        study.settings = replace(study.settings, gan_budget=Duration(seconds=gan_seconds))
    study.usual = usual
    pace = Pace(study, usual)
    total = pace.total()
    if budget is not None and total > budget * 1.02:
        raise ConfigError(_too_short(study, usual, budget))
    sentence = _sentence(study, pace, total) + ("" if kept is None else _kept_note())
    return Plan(seconds=total, budget=budget, sentence=sentence, gan_seconds=gan_seconds)


def _kept_note() -> str:
    return f"; GANs stay as long as an earlier budget made them: {named('gan_budget')} trains others"


def _begun(study: "Study") -> bool:
    """Whether there are GANs of the length that is set: then the others are made as long."""
    seeds = range(study.settings.seeds)
    return any(study.gan_run(scenario, seed) for scenario in study.scenarios for seed in seeds)


def _sentence(study: "Study", pace: Pace, total: float) -> str:
    if not pace.left:
        return "everything is there already"
    gans = pace.left.count("gan")
    classifiers = len([kind for kind in pace.left if kind not in ("gan", "choices")])
    return (
        f"{len(study.scenarios)} scenario{'s' * (len(study.scenarios) > 1)}, {study.settings.seeds} seeds: "
        f"{classifiers} classifiers and {gans} GANs of {study.settings.gan_budget} to train, about {duration(total)}"
    )


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
    usual["pools"] = 2.0 + _DRAWN * study.settings.steps * study.training["cnn"].batch
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
    if study.settings.gan_budget.images is not None and "gan" in Pace(study, usual).left:
        usual["image of a gan"] = _an_image(study, desk.train)
    return usual


def _an_image(study: "Study", images: Labelled) -> float:
    """Seconds that a GAN takes for each image it is shown, on this machine as it is loaded now."""
    shown = min(study.settings.gan_budget.images or 0, _TRIED.images or 0)
    recipe = replace(study.gan_recipe(), budget=Duration(images=shown))
    with tempfile.TemporaryDirectory() as place:
        run = gan.train(study.task, images, recipe, 0, Path(place), report=lambda said: None)
        facts = gan.facts(run)
    return float(facts["seconds"] / max(facts["cur_nimg"], 1))


def _gan_seconds(study: "Study", usual: dict[str, float], budget: float) -> float | None:
    """What a budget leaves for each GAN, in whole seconds; None: there is none to train.

    ConfigError where there is no point in so little.
    """
    pace = Pace(study, usual)
    gans = pace.left.count("gan")
    if not gans:
        return None
    rest = budget - _SPARE * sum(pace.cost(kind) for kind in pace.left if kind != "gan")
    seconds = float(int(rest / _SPARE / gans - usual["pools"]))
    if seconds < SHORTEST:
        study.settings = replace(study.settings, gan_budget=Duration(seconds=SHORTEST))
        raise ConfigError(_too_short(study, usual, budget))
    return seconds


class _Kept(TypedDict):
    content: str
    gan_seconds: float


def _kept(study: "Study") -> float | None:
    """Seconds of each GAN, where an earlier call on these images decided over it; None where none did."""
    try:
        before = read_json(study.folder / "plan.json", _Kept)
    except (OSError, DocumentError):
        return None
    seconds = before["gan_seconds"]
    return seconds if before["content"] == study.content and 0 < seconds < _LONGEST else None


def remember(study: "Study", planned: Plan) -> None:
    """Keep the length of GANs beside the results, where the budget decided over it."""
    if planned.gan_seconds is not None:
        kept = {"content": study.content, "gan_seconds": planned.gan_seconds}
        write_json(study.folder / "plan.json", kept)


def _too_short(study: "Study", usual: dict[str, float], budget: float) -> str:
    """How long it takes, and the largest part of it that would fit."""
    settings = study.settings

    def needs(**changes: Any) -> float:
        study.settings = replace(settings, **changes)
        try:
            return _SPARE * Pace(study, usual).total() + 1
        except ConfigError:  # a scenario without these arms
            return math.inf
        finally:
            study.settings = settings

    bare = ("real", "classical", f"synthetic x{settings.ratios[0]:g}")
    parts: list[tuple[str, dict[str, Any]]] = [
        (f"{named('seeds')} 3", {"seeds": 3}),
        (f"{named('seeds')} 2", {"seeds": 2}),
        (f"{named('seeds')} 3 {named('arms')} '{','.join(bare)}'", {"seeds": 3, "only": bare}),
        (f"{named('seeds')} 2 {named('arms')} '{','.join(bare)}'", {"seeds": 2, "only": bare}),
    ]
    fits = next((f"{name} ({_at_least(n)})" for name, how in parts if (n := needs(**how)) <= budget), None)
    much = _at_least(needs())
    what = f"{len(study.scenarios)} scenario{'s' * (len(study.scenarios) > 1)} of {settings.seeds} seeds"
    mend = f"; what fits: {fits}" if fits else f"; nothing of it fits, so give {much}"
    if settings.gan_budget != Duration(seconds=SHORTEST):
        mend += f", or shorter GANs with {named('gan_budget')}"
    short = f"{named('budget')} {Duration(seconds=budget)} is too short: {what} need {much}"
    return f"{short} with GANs of {settings.gan_budget}{mend}"


def _at_least(seconds: float) -> Duration:
    """That long, rounded up to whole seconds, or from 90 on to whole minutes: a budget that can be given."""
    return Duration(seconds=float(math.ceil(seconds) if seconds < 90 else 60 * math.ceil(seconds / 60)))
