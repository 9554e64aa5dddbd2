"""The loop of a call, with workers that are none: how many are started, when it ends, and what it refuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest

from fastgan.errors import FastganError
from fastgan.tuning import confirm, search
from fastgan.tuning.metric import Metric
from fastgan.tuning.plan import Plan
from fastgan.tuning.records import best, records
from fastgan.tuning.search import Search
from fastgan.tuning.trial import LABEL, REASON, RUNS, WORKER
from tests.tuning.test_refusals import plan_of

Outcome = Callable[[optuna.Trial], float]


class Crew:
    """Takes a trial for each worker that is started, and is done at the next look."""

    def __init__(self, study: optuna.Study, folder: Path, jobs: int, outcome: Outcome) -> None:
        self.study, self.meeting, self.jobs, self.outcome = study, folder, jobs, outcome
        self.names: set[str] = set()
        self.most = 0

    @property
    def free(self) -> int:
        return self.jobs - len(self.names)

    def start(self, study: str, *, confirms: bool) -> None:
        self.names.add(f"worker{len(self.study.trials)}-{len(self.names)}")
        self.most = max(self.most, len(self.names))

    def reap(self, seen: set[str]) -> None:
        for name in sorted(self.names):

            def objective(trial: optuna.Trial, name: str = name) -> float:
                trial.set_user_attr(WORKER, name)
                return self.outcome(trial)

            self.study.optimize(objective, n_trials=1, catch=(ValueError,))
        self.names.clear()


@pytest.fixture
def searched(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Search, Crew]]:
    monkeypatch.setattr(search, "_LOOK", 0.0)

    def make(outcome: Outcome, jobs: int = 1, **changes: Any) -> tuple[Search, Crew]:
        study = optuna.create_study()
        crew = Crew(study, tmp_path, jobs, outcome)
        told: dict[str, Any] = {
            "study": study,
            "plan": plan_of(squares, tmp_path),
            "crew": crew,
            "trials": 5,
            "say": lambda text, done: None,
            "hear": lambda record: None,
            "note": lambda text: None,
        }
        return Search(**told | changes), crew

    return make


def test_no_more_trials_than_asked_for_by_any_number_of_workers(
    searched: Callable[..., tuple[Search, Crew]],
) -> None:
    heard = []
    lines = []
    mine, crew = searched(
        lambda trial: trial.suggest_float("train.lr_g", 1e-4, 4e-3),
        jobs=3,
        hear=lambda record: heard.append(record.number),
        say=lambda text, done: lines.append(text),
    )
    assert [record.state for record in mine.run()] == ["complete"] * 5
    assert (crew.most, heard) == (3, [0, 1, 2, 3, 4])
    assert lines[0].startswith("trial 1 of 5, about ")
    assert "best kid" in lines[-1]
    assert len(mine.run()) == 5  # the same call again: nothing is left to do
    mine.trials = 7
    assert len(mine.run()) == 7


def test_a_search_of_which_all_trials_fail_ends_with_the_reason(
    searched: Callable[..., tuple[Search, Crew]],
) -> None:
    def fails(trial: optuna.Trial) -> float:
        trial.set_user_attr(REASON, "R1 needs another discriminator")
        raise ValueError

    mine, _ = searched(fails)
    with pytest.raises(
        FastganError, match="the first 3 trials all failed, the last because: R1 needs another"
    ):
        mine.run()


@pytest.mark.parametrize(("steps", "ends"), [(49, True), (60, False), (500, False)])
def test_trials_of_a_few_steps_are_refused_with_what_would_do(
    searched: Callable[..., tuple[Search, Crew]], steps: int, ends: bool
) -> None:
    def quick(trial: optuna.Trial) -> float:
        trial.set_user_attr(RUNS, [{"steps": steps}])
        return 1.0

    notes: list[str] = []
    mine, _ = searched(quick, note=notes.append)
    if ends:
        with pytest.raises(
            FastganError, match=f"made {steps} steps in 1m, from which nothing can be told: give `?tr"
        ):
            mine.run()
        return
    mine.run()
    assert bool(notes) is (steps < 200)


def test_nothing_is_begun_that_would_not_end_in_time(searched: Callable[..., tuple[Search, Crew]]) -> None:
    mine, _ = searched(lambda trial: 1.0, trials=None, seconds=170.0)
    start = datetime.now() - timedelta(hours=1)
    for k in range(2):  # two trials of a minute have been trained
        made = optuna.create_trial(value=1.0)
        made.datetime_start = start + timedelta(minutes=k)
        made.datetime_complete = start + timedelta(minutes=k + 1)
        mine.study.add_trial(made)
    assert len(mine.run()) == 2
    mine.seconds = 185.0  # a third one of a minute fits, and those that follow take no time
    mine.trials = 4
    assert len(mine.run()) == 4


@contextmanager
def _confirming(squares: Path, folder: Path) -> Iterator[tuple[Plan, optuna.Study, list[Any]]]:
    plan = plan_of(squares, folder)
    study = optuna.create_study()
    for k, score in enumerate((3.0, 1.0, 2.0)):
        study.enqueue_trial({"train.lr_g": 1e-3 / (k + 1)}, user_attrs={LABEL: "small"} if k == 0 else {})
        study.optimize(
            lambda t, score=score: score + 0 * t.suggest_float("train.lr_g", 1e-4, 4e-3), n_trials=1
        )
    yield plan, optuna.create_study(), best(records(study), Metric("kid"))[:2]


def test_confirmations_are_of_the_best_and_of_the_preset_with_seeds_of_their_own(
    squares: Path, tmp_path: Path
) -> None:
    with _confirming(squares, tmp_path) as (plan, study, chosen):
        assert [record.name for record in chosen] == ["0001", "0002"]
        confirm.enqueue(study, plan, chosen, 2)
        confirm.enqueue(study, plan, chosen, 2)  # by another call
        asked = [record.attributes for record in records(study)]
        assert [(a["of"], a["seed"]) for a in asked] == [
            (of, seed) for seed in (1000, 1001) for of in ("0001", "0002", "small")
        ]
        assert asked[2]["drawn"] is None

        scores = iter((1.5, 1.2, 4.0, 1.7, 1.4, 2.0))

        def run(trial: optuna.Trial) -> float:
            score = next(scores)
            trial.set_user_attr(
                RUNS, [{"set": "squares", "score": score, "folder": f"confirm/{trial.number}"}]
            )
            return score

        study.optimize(run, n_trials=6)
        rows = confirm.confirmed(records(study), chosen, plan)
        assert [(row.of, row.searched, row.mean) for row in rows] == [
            ("0002", 2.0, pytest.approx(1.3)),
            ("0001", 1.0, pytest.approx(1.6)),
            ("small", None, pytest.approx(3.0)),
        ]
