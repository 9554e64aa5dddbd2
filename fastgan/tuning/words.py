"""What a study says in sentences."""

from collections.abc import Mapping
from typing import Any

from fastgan.text import duration
from fastgan.tuning.plan import Plan


def planned(
    plan: Plan, trials: int | None, jobs: int, searching: float | None, confirming: float | None
) -> str:
    """What is going to be done."""
    space = plan.space
    names = ", ".join(dimension.key for dimension in space.dimensions)
    presets = f"the presets {', '.join(space.presets)}" if len(space.presets) > 1 else space.presets[0]
    runs = len(plan.instances)
    several = f" on {runs} runs each" if runs > 1 else ""
    count = "as many trials as fit" if trials is None else f"{trials} trials"
    text = f"{count} of {plan.trial_budget}{several}, by {plan.metric.name}, around {presets}: {names}"
    each = plan.trial_seconds
    if searching is not None:
        text += f"; {duration(searching)} of searching"
    elif each is not None and trials is not None:
        text += f"; at most {duration(each * -(-trials // jobs))} of searching"
    return text + (f", then {duration(confirming)} of confirming" if confirming else "")


def result(report: Mapping[str, Any]) -> str:
    """What was found, in a sentence: confirmed scores where there are some."""
    metric, name = report["metric"], report["best"]
    rows = {row["of"]: row for row in report["confirmed"] if row["mean"] is not None}
    over = sum(trial["state"] in ("complete", "pruned", "failed") for trial in report["trials"])
    if name is None:
        return f"none of {over} trials came to a score"
    if name not in rows:
        return (
            f"trial {name} is the best of {over} by its {metric} in the search alone, which is not confirmed"
        )
    best = rows[name]
    seeds = f"{len(best['scores'])} fresh run{'s' if len(best['scores']) > 1 else ''}"
    what = f"trial {name}" if name.isdecimal() else f"the preset {name} as it is"
    if name.isdecimal() and best["label"]:
        what += f", the preset {best['label']},"
    text = f"{what} is the best of {over} trials: {metric} {best['mean']:.4g} over {seeds}"
    presets = [row for of, row in rows.items() if row["label"] and of != name]
    return text + "".join(f", {row['mean']:.4g} for the preset {row['label']}" for row in presets)


def table(report: Mapping[str, Any]) -> list[str]:
    """The confirmations, a line each, under a head; empty where there are none."""
    rows = report["confirmed"]
    if not rows:
        return []
    lines = [f"{'':>10}  {'search':>9}  {'confirmed':>9}  runs"]
    for row in rows:
        searched = "" if row["searched"] is None else f"{row['searched']:.4g}"
        mean = "failed" if row["mean"] is None else f"{row['mean']:.4g}"
        runs = "  ".join(f"{score:.4g}" for score in row["scores"])
        lines.append(f"{row['of']:>10}  {searched:>9}  {mean:>9}  {runs}")
    return lines
