"""A call of `fastgan tune` that has been checked: searched, confirmed, and reported."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from fastgan.callbacks import Callback
from fastgan.errors import FastganError
from fastgan.files import atomic_write
from fastgan.interrupts import Interrupted
from fastgan.naming import named
from fastgan.progress import Progress
from fastgan.tuning import confirm, outcome, page, search, storage, words
from fastgan.tuning import space as spaces
from fastgan.tuning.begin import Ready
from fastgan.tuning.crew import Crew
from fastgan.tuning.lost import alone
from fastgan.tuning.plan import Plan
from fastgan.tuning.records import Record, best, records
from fastgan.tuning.trial import LABEL


def carry_out(ready: Ready, shown: Progress, callback: Callback) -> tuple[dict[str, Any], dict[str, Any]]:
    """Search, confirm and report; study.json and the best settings. Interrupted with how to go on on a signal."""
    asked, plan = ready.asked, ready.plan
    place = storage.open_storage(asked.storage, asked.folder)
    study = storage.begin(plan, place, asked.name)
    with atomic_write(asked.folder / "space.toml") as temporary:
        temporary.write_text(plan.space.toml(), encoding="utf-8")
    _remember(study, asked.command)
    with Crew(
        plan=plan,
        folder=asked.folder,
        storage=_absolute(asked.storage),
        meeting=storage.meeting(asked.storage, asked.folder),
        jobs=asked.jobs,
        devices=ready.devices,
    ) as crew:
        try:
            with alone(crew.meeting):
                _enqueue_presets(study, plan)
            trials, rows = _worked(ready, study, place, crew, shown, callback)
        except KeyboardInterrupt as stop:
            shown.note("saving what is being trained")
            crew.stop()
            done = sum(record.over for record in records(study))
            text = f"stopped after {done} trials: the same call goes on in {asked.folder}"
            if isinstance(stop, Interrupted):
                raise Interrupted(stop.signum, text) from stop
            raise KeyboardInterrupt(text) from stop
    return _report(ready, study, trials, rows, shown)


def _worked(
    ready: Ready, study: optuna.Study, place: Any, crew: Crew, shown: Progress, callback: Callback
) -> tuple[list[Record], list[confirm.Confirmed]]:
    asked, plan = ready.asked, ready.plan

    def hear(record: Record) -> None:
        if record.state == "failed":
            shown.note(f"trial {record.name} failed: {record.reason}")
            callback.event(record.number, "failed", record.reason or "")
        elif record.score is not None:
            callback.log(record.number, {plan.metric.name: record.score})

    shared: dict[str, Any] = {"plan": plan, "crew": crew, "say": shown.line, "note": shown.note}
    trials = search.Search(
        study=study, trials=ready.trials, seconds=ready.searching, hear=hear, **shared
    ).run()
    chosen = best(trials, plan.metric)[: asked.confirm]
    if not chosen:
        return trials, []
    again = storage.begin(replace(plan, pruner="none"), place, storage.confirmation(study.study_name))
    with alone(crew.meeting):
        confirm.enqueue(again, plan, chosen, asked.confirm_seeds)
    runs = search.Search(study=again, trials=None, confirms=True, hear=lambda record: None, **shared).run()
    return trials, confirm.confirmed(runs, chosen, plan)


def _report(
    ready: Ready,
    study: optuna.Study,
    trials: list[Record],
    rows: list[confirm.Confirmed],
    shown: Progress,
) -> tuple[dict[str, Any], dict[str, Any]]:
    asked, plan = ready.asked, ready.plan
    decided = outcome.chosen(plan, rows, trials)
    if decided is None:
        raise FastganError(
            f"no trial in {asked.folder} has come to a score: give more {named('trials')}, more {named('budget')}, or "
            "a space that can be trained"
        )
    name, drawn = decided
    tables = outcome.recipe(plan, drawn, name if drawn is None else plan.space.presets[0])
    content = outcome.report(
        plan,
        study.study_name,
        trials,
        rows,
        commands=study.user_attrs.get(_COMMANDS, ()),
        complete=ready.trials is None or sum(record.over for record in trials) >= ready.trials,
    )
    outcome.write_best(asked.folder, plan, name, tables, words.result(content))
    outcome.write_report(asked.folder, content)
    shown.line("writing the report", 1.0)
    page.write(asked.folder, plan, study, content)
    return content, tables


def _enqueue_presets(study: optuna.Study, plan: Plan) -> None:
    """The presets as they are, or as near to them as the space comes, are the first trials."""
    there = {record.label for record in records(study)}
    images = plan.sets[0]
    for name in plan.space.presets:
        drawn, moved = plan.space.own(name, spaces.Images(images.count, images.side), plan.device)
        label = f"{name}, moved into the space: {', '.join(moved)}" if moved else name
        if label not in there:
            study.enqueue_trial(drawn, user_attrs={LABEL: label})


_COMMANDS = "fastgan.commands"
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")


def _remember(study: optuna.Study, command: str) -> None:
    before = list(study.user_attrs.get(_COMMANDS, ()))
    told = _PASSWORD.sub(r"\1:...@", command)
    if told not in before:
        study.set_user_attr(_COMMANDS, [*before, told])


def _absolute(asked: str | None) -> str | None:
    return asked if asked is None or "://" in asked else str(Path(asked).absolute())
