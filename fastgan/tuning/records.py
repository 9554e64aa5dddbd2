"""The trials of a study as a user counts them: one that was tried again after a loss is one, in its newest state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from fastgan.tuning.metric import Metric
from fastgan.tuning.trial import LABEL, REASON, RUNS, STOPPED, WORKER, first_number

MOST_LOSSES = 3
"""Times that a trial's worker may die before the trial is given up"""
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True, kw_only=True)
class Record:
    """A trial."""

    number: int
    """Of its folder"""
    state: str
    """complete, pruned, failed, running, waiting, or lost: its worker is gone, and it is not queued again yet"""
    score: float | None
    """Of the search; of a pruned trial the last there is"""
    drawn: dict[str, Any]
    label: str | None
    """The preset whose own settings it has"""
    reason: str | None
    """Why it failed"""
    points: dict[int, float]
    """Scores on the way"""
    runs: list[dict[str, Any]]
    seconds: float
    """From its start to its end"""
    began: datetime | None
    ended: datetime | None
    worker: str | None
    attributes: dict[str, Any] = field(repr=False)
    trial: FrozenTrial = field(repr=False)

    @property
    def name(self) -> str:
        """Its folder's."""
        return f"{self.number:04d}"

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("complete", "pruned", "failed")


def records(study: optuna.Study) -> list[Record]:
    """All trials, by number."""
    trials = study.get_trials(deepcopy=False)
    newest: dict[int, FrozenTrial] = {}
    losses: dict[int, int] = {}
    for trial in trials:
        first = first_number(trial)
        newest[first] = trial
        stopped = trial.user_attrs.get(STOPPED) or trial.user_attrs.get(REASON)
        losses[first] = losses.get(first, 0) + (trial.state == TrialState.FAIL and not stopped)
    return [_record(number, trial, losses[number]) for number, trial in sorted(newest.items())]


def _record(number: int, trial: FrozenTrial, losses: int) -> Record:
    told = trial.user_attrs
    state, reason = _STATES[trial.state], told.get(REASON)
    if state == "failed" and reason is None:
        if losses < MOST_LOSSES:
            state = "lost"
        else:
            reason = f"its worker died {losses} times, perhaps for lack of memory: see its log in workers/"
    values = trial.values
    score = values[0] if values else None
    if state == "pruned" and trial.intermediate_values:
        score = trial.intermediate_values[max(trial.intermediate_values)]
    began, ended = trial.datetime_start, trial.datetime_complete
    return Record(
        number=number,
        state=state,
        score=score,
        drawn=dict(trial.params),
        label=told.get(LABEL),
        reason=reason,
        points=dict(trial.intermediate_values),
        runs=list(told.get(RUNS, ())),
        seconds=(ended - began).total_seconds() if began and ended else 0.0,
        began=began,
        ended=ended,
        worker=told.get(WORKER),
        attributes=dict(told),
        trial=trial,
    )


def best(found: Sequence[Record], metric: Metric) -> list[Record]:
    """Complete trials, the best first; of those that came to the same settings the first alone."""
    whole = [record for record in found if record.state == "complete" and record.score is not None]
    ordered = sorted(whole, key=lambda r: (-1 if metric.direction == "maximize" else 1) * (r.score or 0.0))
    unique: list[Record] = []
    for record in ordered:
        if all(record.drawn != other.drawn for other in unique):
            unique.append(record)
    return unique


def worked(found: Sequence[Record]) -> float:
    """Seconds in which at least one trial that is over, or runs, was being trained."""
    spans = sorted(
        (record.began.timestamp(), (record.ended or datetime.now()).timestamp())
        for record in found
        if record.began is not None and (record.over or record.state == "running")
    )
    total, until = 0.0, 0.0
    for start, end in spans:
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total
