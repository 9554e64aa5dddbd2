"""report.html of a study: what its template, page.html.j2, shows; one file that opens without a network."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from fastgan import ownership
from fastgan.data import packed
from fastgan.files import atomic_write
from fastgan.pages.document import render
from fastgan.report.read import embed
from fastgan.report.real import MOST, Real
from fastgan.text import duration
from fastgan.tuning import figures, words
from fastgan.tuning.plan import Plan

_ENOUGH = 4
"""Whole trials from which importance means something"""


def write(folder: Path, plan: Plan, study: optuna.Study, report: Mapping[str, Any]) -> Path:
    """Write report.html, whole or not at all."""
    path = folder / "report.html"
    with atomic_write(path) as temporary:
        temporary.write_text(_page(folder, plan, study, report), encoding="utf-8")
    return path


def _page(folder: Path, plan: Plan, study: optuna.Study, report: Mapping[str, Any]) -> str:
    trials, higher = report["trials"], report["direction"] == "maximize"
    scored = [trial for trial in trials if trial["score"] is not None]
    whole = [trial for trial in scored if trial["state"] == "complete"]
    dimensions = plan.space.searched
    return render(
        "tuning/page.html.j2",
        report=report,
        result=words.result(report),
        tiles=_tiles(report),
        second=any(row["second"] for row in report["confirmed"]),
        grids=list(_grids(folder, plan, report)),
        history=figures.history(scored, plan.metric.name, higher=higher) if scored else None,
        importance=_importance(study, len(whole)),
        parallel=figures.parallel(whole, dimensions, plan.metric.name, higher=higher)
        if len(whole) > 1
        else None,
        slices=figures.slices(scored, dimensions, plan.metric.name) if scored else [],
        columns=[dimension.key for dimension in dimensions],
        shown=figures.shown,
        commands=_commands(report),
        facts={**report["machine"], **{f"{name}, version": v for name, v in report["versions"].items()}},
    )


def _tiles(report: Mapping[str, Any]) -> dict[str, str]:
    trials = report["trials"]
    counts = {
        state: sum(trial["state"] == state for trial in trials) for state in ("complete", "pruned", "failed")
    }
    rows = {row["of"]: row for row in report["confirmed"] if row["mean"] is not None}
    tiles = {
        "whole / stopped early / failed trials": " / ".join(map(str, counts.values())),
        "budget of a run": report["trial_budget"],
        "time of all trials": duration(sum(trial["seconds"] for trial in trials)),
    }
    if report["best"] in rows:
        tiles[f"confirmed {report['metric']} of {report['best']}"] = f"{rows[report['best']]['mean']:.4g}"
    preset = next((row for row in rows.values() if row["label"]), None)
    if preset is not None and preset["of"] != report["best"]:
        tiles[f"of the preset {preset['label']}"] = f"{preset['mean']:.4g}"
    return tiles


def _grids(folder: Path, plan: Plan, report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Real images of the first set, and the last samples of what was confirmed."""
    images = packed.read(plan.sets[0].held).images[:MOST].numpy()
    real = Real("held out", images).sheet()
    if real:
        yield "Real images, held out", real
    for row in report["confirmed"]:
        for run in row["folders"][:1]:
            grids = ownership.grids(folder / run)
            picture = embed(grids[-1]) if grids else None
            if picture:
                score = "" if row["mean"] is None else f": {row['mean']:.4g}"
                yield f"{row['of']}{score}", picture


def _importance(study: optuna.Study, whole: int) -> list[tuple[str, float]]:
    """Settings with the share of the differences that they explain, the largest first; none of too few trials."""
    if whole < _ENOUGH:
        return []
    try:
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):  # all scores alike, or no setting that all trials have
        return []
    return [(name, share) for name, share in found.items() if math.isfinite(share)]


def _commands(report: Mapping[str, Any]) -> list[str]:
    best = "fastgan train DATA --config best.toml --budget 2h"
    return [*report["commands"], best]
