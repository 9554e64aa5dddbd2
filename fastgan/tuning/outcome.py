"""What a study came to: study.json, and best.toml, which `fastgan train --config` takes."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch

from fastgan.config import build, to_mapping, to_toml
from fastgan.files import atomic_write, write_json
from fastgan.machine import processor
from fastgan.training.settings import RunConfig
from fastgan.tuning.confirm import Confirmed
from fastgan.tuning.plan import Plan
from fastgan.tuning.records import Record, best
from fastgan.tuning.space import PRESET, look_up
from fastgan.version import __version__

FORMAT = "fastgan.tune"
_LEFT_OUT = {
    "data": ("source", "fit", "split", "kind", "max_bad", "max_pixels"),
    "model": ("img_channels", "classes", "attributes"),
    "train": (
        *("seed", "budget", "checkpoint_every", "keep_checkpoints", "grid_every", "grid_images", "log_every"),
        *("eval_every", "eval_metrics", "eval_images", "best_metric", "stop_when", "init_from"),
    ),
}
"""Settings that belong to a run, or to its images, and not to the recipe"""


def recipe(plan: Plan, drawn: Mapping[str, Any] | None, preset: str) -> dict[str, Any]:
    """All settings that make a trial what it is, complete, as tables; drawn: None for the preset as it is."""
    images = plan.sets[0]
    found = plan.base(preset, images) if drawn is None else plan.settings(drawn, images)
    tables = to_mapping(build(RunConfig, found))
    tables["model"]["resolution"] = images.side
    kept = {
        name: {key: value for key, value in table.items() if key not in _LEFT_OUT.get(name, ())}
        for name, table in tables.items()
    }
    start = found.get("train", {}).get("init_from")
    if start:
        kept["train"]["init_from"] = start
    return {name: table for name, table in kept.items() if table}


def chosen(
    plan: Plan, rows: Sequence[Confirmed], trials: Sequence[Record]
) -> tuple[str, dict[str, Any] | None] | None:
    """The best: its name, and what was drawn for it (None: a preset as it is); None where nothing came to a score."""
    for row in rows:
        if row.mean is not None:
            return row.of, row.drawn
    first = best(trials, plan.metric)[:1]
    return (first[0].name, first[0].drawn) if first else None


def write_best(folder: Path, plan: Plan, name: str, tables: Mapping[str, Any], said: str) -> Path:
    """Write best.toml, whole or not at all."""
    path = folder / "best.toml"
    head = f"# {said}\n# fastgan train DATA --config best.toml --budget 2h\n"
    with atomic_write(path) as temporary:
        temporary.write_text(head + to_toml(tables), encoding="utf-8")
    return path


def report(
    plan: Plan,
    study: str,
    trials: Sequence[Record],
    rows: Sequence[Confirmed],
    *,
    commands: Sequence[str],
    complete: bool,
) -> dict[str, Any]:
    """The content of study.json."""
    decided = chosen(plan, rows, trials)
    return {
        "format": FORMAT,
        "study": study,
        "complete": complete,
        "metric": plan.metric.name,
        "direction": plan.metric.direction,
        **{key: value for key, value in plan.identity().items() if key not in ("space", "source", "metric")},
        "space": plan.space.toml(),
        "sets": [
            {
                "name": images.name,
                "images": images.count,
                "held_out": images.held_count,
                "resolution": images.side,
                "channels": images.channels,
            }
            for images in plan.sets
        ],
        "trials": [_trial(plan, record) for record in trials],
        "confirmed": [{name: value for name, value in vars(row).items() if name != "drawn"} for row in rows],
        "best": None if decided is None else decided[0],
        "commands": list(commands),
        "machine": {"cpu": processor().name, "cores": processor().cores, "system": platform.platform()},
        "versions": {
            "fastgan": __version__,
            "torch": torch.__version__,
            "optuna": optuna.__version__,
            "python": platform.python_version(),
        },
    }


def _trial(plan: Plan, record: Record) -> dict[str, Any]:
    shown = {"number", "state", "score", "label", "reason", "points", "runs", "seconds"}
    told = {key: value for key, value in vars(record).items() if key in shown}
    return {**told, "settings": settings_of(plan, record)}


def settings_of(plan: Plan, record: Record) -> dict[str, Any]:
    """What is searched, by the settings' names, with the values that the trial was trained with."""
    if any(dimension.key not in record.drawn for dimension in plan.space.searched):
        return dict(record.drawn)  # it had not drawn all
    found = plan.settings(record.drawn, plan.sets[0])
    told = {PRESET: record.drawn[PRESET]} if PRESET in record.drawn else {}
    return told | {dimension.key: look_up(found, dimension.key) for dimension in plan.space.dimensions}


def write_report(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write study.json, whole or not at all."""
    path = folder / "study.json"
    write_json(path, content)
    return path
