"""The loop of one call: workers are started while trials are to be had and there is time, and lost trials queued."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import optuna

from fastgan.config import Duration
from fastgan.errors import FastganError
from fastgan.naming import named
from fastgan.text import clock, duration
from fastgan.tuning.crew import Crew
from fastgan.tuning.lost import queue_again
from fastgan.tuning.plan import Plan
from fastgan.tuning.records import Record, best, records, worked
from fastgan.tuning.trial import STOPPED

_LOOK = 0.5
"""Seconds between looks"""
_FEW, _ENOUGH = 50, 200
"""Steps of a trial below which the search ends, and below which its user is warned"""
_HOPELESS = 3
"""Trials of which none came to a score, upon which the search ends"""
Say = Callable[[str, float | None], None]
"""How the whole stands: a line, and the share that is done"""
Hear = Callable[[Record], None]
"""Told of each trial once it is over"""


@dataclass(kw_only=True)
class Search:
    """One of the two parts of a call: the search itself, or its confirmation."""

    study: optuna.Study
    plan: Plan
    crew: Crew
    trials: int | None
    """How many there are to be; None: as many as the time allows"""
    seconds: float | None = None
    """Of work, until no trial is begun any more; None: no limit"""
    confirms: bool = False
    say: Say
    hear: Hear
    note: Callable[[str], None]
    _heard: set[int] = field(default_factory=set)

    def run(self) -> list[Record]:
        """Work until all is done; the trials. Raises FastganError where none can be trained."""
        self._heard = {record.number for record in records(self.study) if record.over}
        while True:
            found = self._look()
            if self._start(found) == 0 and not self.crew.names and not _running(found):
                return found
            self.say(*self._line(found))
            time.sleep(_LOOK)

    def _look(self) -> list[Record]:
        self.crew.reap({record.worker or "" for record in records(self.study)})
        for record in queue_again(self.study, self.crew.meeting):
            stopped = record.attributes.get(STOPPED)
            self.note(
                f"trial {record.name} {'goes on' if stopped else 'has lost its worker and is tried again'}"
            )
        optuna.storages.fail_stale_trials(self.study)  # of a database that hears its workers
        found = records(self.study)
        for record in found:
            if record.over and record.number not in self._heard:
                self._heard.add(record.number)
                if not self.confirms:
                    self._check_steps(record)
                self.hear(record)
        self._check_hopeless(found)
        return found

    def _start(self, found: list[Record]) -> int:
        """Start what may be started; how many are still to be."""
        others = sum(r.state == "running" and r.worker not in self.crew.names for r in found)
        over = sum(record.over for record in found)
        left = self.crew.free
        if self.confirms or self.trials is not None:
            total = len(found) if self.confirms else self.trials
            left = (total or 0) - over - others - len(self.crew.names)
        if not self.confirms and not self._in_time(found):
            left = 0
        for _ in range(min(self.crew.free, max(left, 0))):
            self.crew.start(self.study.study_name, confirms=self.confirms)
            left -= 1
        return max(left, 0)

    def _in_time(self, found: list[Record]) -> bool:
        """Whether another trial would end in time, as far as can be told."""
        if self.seconds is None:
            return True
        return worked(found) + (self._each(found) or 0.0) <= self.seconds

    def _each(self, found: list[Record]) -> float | None:
        """Seconds that a trial takes: the mean of those that are over, or what the budget says."""
        took = [record.seconds for record in found if record.state in ("complete", "pruned")]
        return sum(took) / len(took) if took else self.plan.trial_seconds

    def _line(self, found: list[Record]) -> tuple[str, float | None]:
        over = sum(record.over for record in found)
        total = len(found) if self.confirms else self.trials
        if not self.crew.names and _running(found):
            theirs = ", ".join(f"{r.name} ({r.worker})" for r in found if r.state == "running")
            return f"waiting for what other calls are training: {theirs}", None
        what = "confirming: run" if self.confirms else "trial"
        text = f"{what} {min(over + 1, total or over + 1)}{f' of {total}' if total else ''}"
        first = best(found, self.plan.metric)[:1]
        if first and not self.confirms:
            text += f", best {self.plan.metric.name} {first[0].score:.4g} ({first[0].name})"
        each = self._each(found)
        left: float | None = None
        if each is not None and total:
            left = each * max(total - over, 0) / max(self.crew.jobs, 1)
        if self.seconds is not None:
            remaining = max(self.seconds - worked(found), 0.0)
            left = remaining if left is None else min(left, remaining)
        text += "" if left is None else f", about {clock(left)} to go"
        return text, over / total if total else None

    def _check_steps(self, record: Record) -> None:
        """FastganError where a whole trial has made so few steps that trials cannot be told apart."""
        steps = min((run["steps"] for run in record.runs), default=_FEW)
        if record.state != "complete" or steps >= _ENOUGH:
            return
        budget = self.plan.trial_budget
        text = f"trial {record.name} made {steps} steps in {budget}"
        if steps < _FEW and budget.seconds is not None:
            longer = Duration(seconds=2.0 * round(budget.seconds * _ENOUGH / max(steps, 1)))
            raise FastganError(
                f"{text}, from which nothing can be told: give {named('trial_budget', str(longer))} in a new study, "
                f"{named('resolution', 32)}, or a smaller model"
            )
        self.note(f"{text}, few to tell settings apart")

    def _check_hopeless(self, found: list[Record]) -> None:
        failed = [record for record in found if record.state == "failed"]
        if len(failed) >= _HOPELESS and len(failed) == sum(record.over for record in found):
            raise FastganError(
                f"the first {len(failed)} trials all failed, the last because: {failed[-1].reason}"
            )


def _running(found: list[Record]) -> bool:
    return any(record.state in ("running", "lost") for record in found)


def fits(
    plan: Plan, trials: int | None, seconds: float | None, jobs: int, confirming: float | None
) -> tuple[float | None, str | None]:
    """Seconds for the search within a budget for the whole, and a sentence where not all trials may fit.

    confirming: seconds that the confirmation takes. FastganError where not even a few fit, with what would.
    """
    if seconds is None:
        return None, None
    each = plan.trial_seconds
    if each is None or confirming is None:
        return seconds, None  # in images: told once some are over
    left = seconds - confirming
    possible = int(left / each) * jobs if left > 0 else 0
    least = len(plan.space.presets) + 2
    if possible < min(least, trials or least):
        rounds = -(-min(least, trials or least) // jobs)
        share = seconds / (rounds + confirming / each)
        raise FastganError(
            f"a budget of {duration(seconds)} holds {possible} trials of {duration(each)} beside the confirmation, "
            f"which takes {duration(confirming)}: give {duration(confirming + rounds * each)}, or trials of "
            f"{duration(share)}"
        )
    if trials is not None and possible < trials:
        return left, (
            f"{possible} of {trials} trials fit into the budget where none is stopped early, and more where some are"
        )
    return left, None
