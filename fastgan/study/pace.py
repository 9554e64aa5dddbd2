"""How long it takes: what each kind of work has cost so far, what is left, and whether the next thing still fits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from fastgan.config import Duration
from fastgan.study.settings import Settings

USUAL = {"choices": 60.0, "cnn": 6.0, "head": 2.0, "tuned": 9.0, "image of a gan": 0.01, "pools": 20.0}
"""Seconds, on two slow cores, until they are measured. pools: to draw and filter the synthetic images of a seed."""


class OutOfTimeError(Exception):
    """What is next would end after the budget."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is being done, for the one who waits."""

    what: str
    done: float
    """Share of the whole, 0 to 1, by expected time"""
    left: float | None
    """Expected seconds to the end; None: not known yet"""


Progress = Callable[[Step], None]


class Work(Protocol):
    """What a pace asks of a study."""

    settings: Settings
    deadline: float | None
    """time.monotonic() after which nothing is begun"""

    @property
    def progress(self) -> Progress:
        """What is told of each step."""

    def left(self) -> list[str]:
        """The kinds of all work that is not on disk yet."""


def expected(usual: dict[str, float], kind: str, gan_budget: Duration) -> float:
    """Seconds of one unit of work of a kind."""
    if kind == "gan":
        images = gan_budget.images or 0
        return (gan_budget.seconds or images * usual["image of a gan"]) + usual["pools"]
    learner, _, tuned = kind.partition(", ")
    return usual[learner] * (3 if tuned else 1)


class Pace:
    """The units of work of a study, those done and those to come."""

    def __init__(self, study: Work, usual: dict[str, float] | None = None) -> None:
        self._study = study
        self._usual = dict(usual or USUAL)
        self._seen: dict[str, list[float]] = {}
        self.left = study.left()
        self._total = self._seconds(self.left)
        self._begun = time.monotonic()

    def total(self) -> float:
        """Expected seconds of all that is to be done."""
        return self._seconds(self.left)

    @contextmanager
    def unit(self, kind: str, what: str) -> Iterator[Callable[[float], None]]:
        """One unit; what is yielded says how far it is. OutOfTimeError where it would end after the deadline."""
        study = self._study
        need = self.cost(kind)
        if study.deadline is not None and time.monotonic() + 0.8 * need > study.deadline:
            raise OutOfTimeError
        if kind in self.left:
            self.left.remove(kind)

        def show(done: float) -> None:
            rest = self._seconds(self.left) + (1 - done) * need
            passed = time.monotonic() - self._begun
            study.progress(Step(what=what, done=passed / max(passed + rest, 1e-9), left=rest))

        show(0.0)
        begun = time.monotonic()
        yield show
        self._seen.setdefault(kind, []).append(time.monotonic() - begun)

    def cost(self, kind: str) -> float:
        """Expected seconds of a unit of work."""
        seen = self._seen.get(kind)
        if seen:
            return sum(seen) / len(seen)
        return expected(self._usual, kind, self._study.settings.gan_budget)

    def _seconds(self, kinds: list[str]) -> float:
        return sum(self.cost(kind) for kind in kinds)
