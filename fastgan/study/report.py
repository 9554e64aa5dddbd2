"""What a study found, as JSON: every arm's numbers, who was held against whom, and the verdict of each scenario."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastgan.config import to_mapping
from fastgan.study.scenarios import Scenario
from fastgan.study.statistics import estimate
from fastgan.study.study import Study
from fastgan.study.verdict import Verdict, judge
from fastgan.version import __version__

FORMAT = "fastgan.augment"
_WORDS = {"accuracy": ("Accuracy", "points"), "macro_f1": ("Macro-F1", "points of macro-F1")}


def make(study: Study, seconds: float) -> dict[str, Any]:
    """The whole report of what is done so far."""
    task, parts = study.task, study.split.parts()
    return {
        "format": FORMAT,
        "version": __version__,
        "settings": to_mapping(study.settings),
        "data": {
            "sha256": study.content,
            "kind": "attributes" if task.multi else "classes",
            "names": task.names,
            "side": int(study.data.images.shape[1]),
            "channels": int(study.data.images.shape[3]),
            "images": {part: len(rows) for part, rows in parts.items()},
            "counts": {part: task.counts(study.data.targets[rows]) for part, rows in parts.items()},
            "near": study.near,
            "notes": study.split.notes,
        },
        "backbone": None if study.backbone is None else study.backbone.name,
        "device": str(study.device),
        "seconds": round(seconds, 1),
        "classifier_seconds": round(sum(cell["seconds"] for cell in study.results), 1),
        "gans": study.gans(),
        "scenarios": [found for s in study.scenarios if (found := _scenario(study, s)) is not None],
        "cells": study.results,
    }


def main_measure(study: Study, scenario: Scenario) -> tuple[str, str, str]:
    """What the verdict of a scenario is about: as `value` takes it, its title, and what its differences are called."""
    name = scenario.minority
    if name is not None:
        return f"recall:{study.task.names.index(name)}", f"Recall of {name}", f"points of recall of {name!r}"
    title, words = _WORDS[study.settings.measure]
    return study.settings.measure, title, words


def _scenario(study: Study, scenario: Scenario) -> dict[str, Any] | None:
    """A scenario, of the seeds for which every arm is there; None before there are two."""
    arms, cells = study.arms(scenario), [c for c in study.results if c["scenario"] == scenario.name]
    by = {(cell["arm"], cell["seed"]): cell for cell in cells}
    seeds = [s for s in range(study.settings.seeds) if all((arm.name, s) in by for arm in arms)]
    if len(seeds) < 2:
        return None
    measure, title, words = main_measure(study, scenario)
    test = {a.name: [value(by[a.name, s]["measures"], measure) for s in seeds] for a in arms}
    val = {a.name: [by[a.name, s]["val"] for s in seeds] for a in arms}
    drawn = {a.name: sum(by[a.name, s]["synthetic"] or 0 for s in seeds) for a in arms}
    judged = [
        a for a in arms if a.mix is None or drawn[a.name]
    ]  # where none passes the filter, none was tried
    grain = study.exam.grain if scenario.minority is None else 1 / max(_minority(study, scenario), 1)
    found = judge(judged, test, val, grain=grain, what=words)
    choices = study.cells.get(study.identity(scenario, None, 0))
    against = {rival.arm: rival for rival in found.against}
    return {
        "name": scenario.name,
        "per_class": scenario.per_class,
        "minority": scenario.minority,
        "few": scenario.few,
        "seeds": seeds,
        "measure": measure,
        "measure_title": title,
        "choices": choices,
        "verdict": _verdict(found),
        "arms": [
            {
                "name": arm.name,
                "learner": arm.learner,
                "synthetic": arm.mix is not None,
                "ceiling": arm.ceiling,
                "beside": arm.beside,
                "hyper": by[arm.name, seeds[0]]["hyper"],
                "real_images": 0 if arm.mix is not None and arm.mix.alone else by[arm.name, seeds[0]]["real"],
                "synthetic_images": round(drawn[arm.name] / len(seeds)),
                "filter": by[arm.name, seeds[0]]["filter"],
                **summary([by[arm.name, s]["measures"] for s in seeds]),
                "main": _estimate(test[arm.name]),
                "val": sum(val[arm.name]) / len(seeds),
                "over_best": _rival(against.get(arm.name), "best"),
                "over_same": _rival(against.get(arm.name), "same"),
                "seconds": sum(by[arm.name, s]["seconds"] for s in seeds) / len(seeds),
            }
            for arm in arms
        ],
    }


def summary(measures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and intervals of each measure over seeds, and the sum of the confusion tables."""
    found: dict[str, Any] = {
        name: _estimate([m[name] for m in measures])
        for name in ("accuracy", "macro_f1", "gap", "calibration_error")
    }
    found["recall"] = [_estimate(column) for column in zip(*(m["recall"] for m in measures), strict=True)]
    rows = zip(*(m["confusion"] for m in measures), strict=True)
    found["confusion"] = [[sum(cell) for cell in zip(*row, strict=True)] for row in rows]
    return found


def value(measures: Mapping[str, Any], name: str) -> float:
    """`accuracy`, `macro_f1`, or `recall:K`."""
    head, _, which = name.partition(":")
    return float(measures[head][int(which)] if which else measures[head])


def _minority(study: Study, scenario: Scenario) -> int:
    rows = study.split.test
    assert scenario.minority is not None
    return study.task.counts(study.data.targets[rows])[study.task.names.index(scenario.minority)]


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    found = estimate(values)
    ends = [found.low, found.high]
    return {"mean": found.mean, "interval": [end if math.isfinite(end) else None for end in ends]}


def _rival(against: Any, which: str) -> dict[str, Any] | None:
    if against is None:
        return None
    found = getattr(against, which)
    return {
        "mean": found.mean,
        "interval": [found.low, found.high],
        "p": found.p_value,
        "p_holm": getattr(against, f"{which}_p"),
    }


def _verdict(found: Verdict) -> dict[str, Any]:
    told = asdict(found)
    told.pop("against")
    return told
