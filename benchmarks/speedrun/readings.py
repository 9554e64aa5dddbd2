"""Results, read for the page: what a contender had reached after so many minutes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.speedrun.contenders import CONTENDERS, LONG, MINUTES, SETS, Cell, Scores, ranking

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """One run at one point of its budget."""

    result: Result
    minutes: float
    point: Mapping[str, Any]
    """seconds, images, scores; empty where the run failed before it"""

    @property
    def scores(self) -> Scores:
        """By name; without those that could not be computed."""
        found: Scores = self.point.get("scores", {})
        return found

    @property
    def images_per_second(self) -> float | None:
        """Of a CPU second of training."""
        return self.point["images"] / self.point["seconds"] if self.point else None

    @property
    def cell(self) -> Cell:
        """The run."""
        result = self.result
        return Cell(result["dataset"], result["minutes"], result["contender"], result["seed"])


def along(result: Result) -> Iterator[Reading]:
    """Every point of a run, of one that failed the missing ones too."""
    cell = Cell(result["dataset"], result["minutes"], result["contender"], result["seed"])
    points = list(result["points"]) + [{}] * len(cell.due)
    for seconds, point in zip(cell.due, points, strict=False):
        yield Reading(result, seconds / 60, point)


def at(results: Iterable[Result], dataset: str, minutes: float) -> dict[str, list[Reading]]:
    """Contender -> its runs on a set after so many minutes, one a seed, best contender first.

    A run of a longer budget stands for the shorter one where its settings do not follow the budget.
    """
    found: dict[str, list[Reading]] = {}
    for result in sorted(results, key=lambda each: each["seed"]):
        longer = not result["follows_budget"] and result["minutes"] == max(MINUTES) > minutes
        if result["dataset"] == dataset and (result["minutes"] == minutes or longer):
            readings = [reading for reading in along(result) if reading.minutes == minutes]
            if readings:
                found.setdefault(result["contender"], []).append(readings[-1])
    order = ranking({name: [reading.scores for reading in runs] for name, runs in found.items()})
    return {name: found[name] for name in order}


def tables(results: Sequence[Result]) -> Iterator[tuple[str, float, dict[str, list[Reading]]]]:
    """Set, minutes and readings of each table for which there are results."""
    for dataset in SETS:
        for minutes in (*MINUTES, LONG):
            found = at(results, dataset, minutes)
            if found:
                yield dataset, minutes, found


def missing(dataset: str, minutes: float, found: Iterable[str]) -> list[str]:
    """Contenders without a result in a table that is for all."""
    return [] if minutes == LONG else [name for name in CONTENDERS if name not in set(found)]


def middle(runs: Sequence[Reading], score: str) -> float | None:
    """The median over seeds; None where a run lacks the score."""
    values = [run.scores[score] for run in runs if score in run.scores]
    return median(values) if len(values) == len(runs) else None


def curve(
    results: Iterable[Result], name: str, dataset: str, minutes: float, score: str
) -> list[tuple[float, float]]:
    """(minutes, median over seeds) along the runs of one budget."""
    runs = [
        result
        for result in results
        if (result["contender"], result["dataset"], result["minutes"]) == (name, dataset, minutes)
    ]
    by_minute: dict[float, list[float]] = {}
    for result in runs:
        for reading in along(result):
            if score in reading.scores:
                by_minute.setdefault(reading.minutes, []).append(reading.scores[score])
    return [(x, median(values)) for x, values in sorted(by_minute.items()) if len(values) == len(runs)]
