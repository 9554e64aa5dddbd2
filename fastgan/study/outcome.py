"""Run a study to its end, or to where its budget or its user ends it, and leave report.json and report.html."""

import time
from typing import TYPE_CHECKING, Any

from fastgan.errors import OutputError
from fastgan.files import atomic_write, write_json
from fastgan.naming import named
from fastgan.study import page, plan, report
from fastgan.study.pace import OutOfTimeError

if TYPE_CHECKING:
    from fastgan.study.plan import Plan
    from fastgan.study.study import Study


def run(study: "Study", planned: "Plan") -> dict[str, Any]:
    """Every cell, and the report of what is there; it is written even where time ran out."""
    begun = time.monotonic()
    try:
        study.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {study.folder} ({error.strerror}): choose another {named('out')}"
        ) from error
    plan.remember(study, planned)
    if planned.budget is not None:
        study.deadline = begun + planned.budget
    in_time = True
    try:
        study.run()
    except OutOfTimeError:
        in_time = False
    except KeyboardInterrupt:
        study.note(f"stopped; what is done lies in {study.folder}, and the same call goes on")
        raise
    study.deadline = None  # of the cells: the page and the files are what all of it was for
    finished = report.make(study, time.monotonic() - begun)
    finished["complete"] = in_time
    write_json(study.folder / "report.json", finished)
    with atomic_write(study.folder / "report.html") as temporary:
        temporary.write_text(page.render(study, finished), encoding="utf-8")
    return finished


def told(study: "Study", finished: dict[str, Any]) -> str:
    """The verdicts, and where the report is."""
    lines = [f"{found['name']}: {found['verdict']['sentence']}" for found in finished["scenarios"]]
    if not finished["complete"]:
        lines.append(
            f"the budget ended before all was done: the same call with a larger {named('budget')} goes on"
        )
    if not finished["scenarios"]:
        lines.append("no scenario has two whole seeds yet, so there is no verdict")
    lines.append(f"  {study.folder / 'report.html'}   every arm, with pictures")
    lines.append(f"  {study.folder / 'report.json'}   the same as numbers")
    return "\n".join(lines)
