"""The best trials once more, with seeds that the search has not had: what a search found first is better by luck too.

They are trials of a second study, which the same workers take, and the preset that the search began from is one of
them, as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from fastgan.tuning.plan import CONFIRMING, Plan
from fastgan.tuning.records import Record, records
from fastgan.tuning.trial import by_set


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What a trial, or a preset, came to with fresh seeds."""

    of: str
    """0007, or the preset's name"""
    searched: float | None
    """What it had scored in the search"""
    scores: tuple[float, ...]
    """One a run"""
    second: tuple[float, ...]
    """The same runs in features that nobody trained"""
    folders: tuple[str, ...]
    """Of the runs"""
    drawn: dict[str, Any] | None
    """What was drawn; None: the preset as it is"""
    label: str | None = None
    """The preset whose own settings these are"""
    mean: float | None = None
    """Over seeds and sets, as a trial's score; None where a run failed"""
    failed: str | None = None


def enqueue(study: optuna.Study, plan: Plan, chosen: Sequence[Record], seeds: int) -> None:
    """Queue what is not there yet of `chosen` and of the preset that stands first, with `seeds` fresh seeds each."""
    there = {_key(record.attributes) for record in records(study)}
    wanted: list[tuple[str, dict[str, Any] | None]] = [(record.name, record.drawn) for record in chosen]
    if not any(record.label == plan.space.presets[0] for record in chosen):
        wanted.append((plan.space.presets[0], None))
    for k in range(seeds):
        for images in plan.sets:
            for of, drawn in wanted:
                told = {"of": of, "drawn": drawn, "set": images.name, "seed": plan.seed + CONFIRMING + k}
                if _key(told) not in there:
                    study.enqueue_trial({}, user_attrs=told)


def _key(told: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(told.get(name) for name in ("of", "set", "seed"))


def confirmed(found: Sequence[Record], chosen: Sequence[Record], plan: Plan) -> list[Confirmed]:
    """What was confirmed of `chosen` and of presets, the best first; those with a failed run last."""
    searched = {record.name: record.score for record in chosen}
    labels = {record.name: record.label for record in chosen}
    names = [record.name for record in chosen] + list(plan.space.presets)
    rows = []
    for name in names:
        runs = [record for record in found if record.attributes.get("of") == name and record.over]
        if not runs:
            continue
        failed = next((record.reason for record in runs if record.state == "failed"), None)
        scores = by_set(run for record in runs for run in record.runs)
        rows.append(
            Confirmed(
                of=name,
                searched=searched.get(name),
                scores=tuple(record.score for record in runs if record.score is not None),
                second=tuple(r["second"] for record in runs for r in record.runs if "second" in r),
                folders=tuple(r["folder"] for record in runs for r in record.runs),
                drawn=runs[0].attributes["drawn"],
                label=labels.get(name, name),
                mean=plan.metric.together(scores) if scores and failed is None else None,
                failed=failed,
            )
        )
    sign = -1 if plan.metric.direction == "maximize" else 1
    return sorted(rows, key=lambda row: (row.mean is None, sign * (row.mean or 0.0)))
