"""Whether trials fit, said before the first: the memory of all workers, and a budget in which something is learnt."""

import torch

from fastgan import models
from fastgan.config import Duration, build
from fastgan.data import survey
from fastgan.errors import ConfigError, DataError, MemoryLimitError
from fastgan.evaluation.extra_scores import OF_REAL
from fastgan.naming import named
from fastgan.training import afford
from fastgan.training import plan as plans
from fastgan.training.settings import RunConfig
from fastgan.tuning.plan import Plan, run_settings

_FEW_STEPS = 50
"""Steps of a trial below which nothing can be told"""
_FEWEST_STEPS = 20
"""The same where the speed is not known exactly"""


def check(plan: Plan, device: torch.device, jobs: int) -> list[str]:
    """Notes on what presets take. MemoryLimitError, or ConfigError for a budget that is hopeless, with what fits."""
    notes = []
    for name in plan.space.presets:
        for images in plan.sets:
            tables = run_settings(plan, plan.base(name, images), images, plan.seed, scored=False)
            config = build(RunConfig, tables)
            ready = plans.make(config, device, again=_again)
            _check_steps(plan, ready, name)
            free = afford.free_memory(device)
            takes = afford.needed(ready.cost)
            if free is not None and jobs > 1 and jobs * takes > free and device.type == "cpu":
                raise MemoryLimitError(
                    f"{jobs} workers with the preset {name} take about {jobs * takes / 2**30:.1f} GiB of memory, and "
                    f"{free / 2**30:.1f} GiB are free: {named('jobs', max(free // takes, 1))}"
                )
            notes += [f"{name}: a training step takes about {takes / 2**30:.1f} GiB"] if jobs > 1 else []
    return list(dict.fromkeys(notes))


def _again(option: str) -> str:
    """What mends a call of train, of a search: `--accumulate 2` is a setting of all its trials."""
    name, _, value = option.partition(" ")
    if name == "--accumulate":
        return f"{named('settings')} train.accumulate={value}"
    return f"{named('settings')} {value}" if name == "--set" else option


def check_metric(plan: Plan) -> None:
    """DataError or ConfigError where a metric asks for what images or models do not have."""
    computed, name = plan.metric.computed, plan.metric.name
    for preset in plan.space.presets:
        for images in plan.sets:
            config = build(RunConfig, plan.base(preset, images))
            if computed == "ppl" and not models.load(config.model.name).Generator.has_truncation:
                raise ConfigError(
                    f"{named('metric', name)} is a path through styles, and the preset {preset} has none: judge by kid"
                )
            if computed not in OF_REAL:
                continue
            if not survey(images.train).class_names:
                raise DataError(
                    f"{images.name} has no classes, which {named('metric', name)} needs: judge by kid, or sort the "
                    "images into a folder for each class"
                )
            if config.data.conditional in ("none", "attributes"):
                raise ConfigError(
                    f"{named('metric', name)} asks models for classes: train them by {named('settings')} "
                    "data.conditional=labels"
                )


def _check_steps(plan: Plan, ready: plans.Plan, name: str) -> None:
    budget, batch = plan.trial_budget, ready.config.train.batch
    if budget.images is not None and budget.images < _FEW_STEPS * batch:
        raise ConfigError(
            f"{named('trial_budget', str(budget))} comes to {budget.images / batch:.3g} steps of the preset "
            f"{name}, and nothing can be told after so few: give {Duration(images=200 * batch)} or more"
        )
    reached = (ready.img_per_s or 0.0) * (budget.seconds or 0.0)
    if budget.seconds is not None and reached < _FEWEST_STEPS * batch:
        raise ConfigError(f"a trial would learn nothing: {ready.outlook}")
