"""Trials in this process: what they are scored by, how they end, and that they go on with their own run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock
from optuna.pruners import NopPruner, ThresholdPruner
from optuna.trial import TrialState

import fastgan
from fastgan.config import Duration, read_toml
from fastgan.progress import Silent
from fastgan.training.options import tables
from fastgan.tuning import begin, lost, storage, trial
from fastgan.tuning.metric import Metric
from fastgan.tuning.records import MOST_LOSSES, best, records, worked
from fastgan.tuning.sampler import STARTUP, ByNumber
from fastgan.tuning.trial import LABEL, STOPPED, WORKER, FailedError, Judge, Work
from fastgan.tuning.worker import lock_path
from tests.tuning.conftest import SPACE, TINY, images


@pytest.fixture
def work(squares: Path, tmp_path: Path) -> Callable[..., Work]:
    """A worker's work on a study in tmp_path/out."""

    def make(*sources: Path, **changes: Any) -> Work:
        asked: dict[str, Any] = {
            "sources": sources or (squares,),
            "held": (),
            "space": SPACE,
            "presets": (),
            "settings": tables(TINY),
            "folder": tmp_path / "out",
            "trials": 2,
            "seconds": None,
            "trial_budget": Duration(images=400),
            "metric": "kid",
            "extractor": "random-conv",
            "eval_images": 32,
            "resolution": None,
            "seeds": 1,
            "seed": 0,
            "pruner": "auto",
            "confirm": 1,
            "confirm_seeds": 1,
            "jobs": 1,
            "storage": None,
            "study": None,
            "device": "cpu",
            "command": "",
        }
        ready = begin.ready(begin.Asked(**asked | changes), Silent(), write=True)
        plan = replace(ready.plan, trial_budget=Duration(images=64))  # fewer than a user may ask for
        return Work(plan=plan, folder=tmp_path / "out", device="cpu", worker="here")

    return make


def study_of(work: Work, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    return optuna.create_study(
        sampler=ByNumber(0),
        pruner=pruner or storage.pruner(work.plan),
        direction=work.plan.metric.direction,
    )


def test_a_trial_is_scored_four_times_on_images_that_it_never_sees(work: Callable[..., Work]) -> None:
    mine = work()
    study = study_of(mine, NopPruner())
    study.optimize(mine.search, n_trials=1)
    (found,) = records(study)
    assert found.state == "complete"
    assert sorted(found.points) == [1, 2, 3, 4]
    assert found.score == found.points[4] == found.runs[0]["score"]
    run = fastgan.Run(mine.folder / found.runs[0]["folder"])
    assert run.cur_nimg == 64
    (images,) = mine.plan.sets
    assert Path(run.config.data.source) == images.train
    card = fastgan.evaluate(
        run,
        data=images.held,
        metrics="kid",
        extractor="random-conv",
        n=32,
        out=run.path / "x.json",
        progress=False,
    )
    assert card["kid"] == pytest.approx(found.score, rel=1e-4)


def test_a_weak_trial_is_stopped_with_its_run_saved(work: Callable[..., Work]) -> None:
    mine = work()
    study = study_of(mine, ThresholdPruner(upper=-1.0))
    study.enqueue_trial({"train.lr_g": 1e-3}, user_attrs={LABEL: "small"})
    study.optimize(mine.search, n_trials=2)
    preset, other = records(study)
    assert (preset.state, other.state) == (
        "complete",
        "pruned",
    )  # what others are held against goes to its end
    assert sorted(other.points) == [1]
    run = fastgan.Run(mine.folder / "trials" / "0001")
    assert run.cur_nimg == 16
    assert len(list((run.path / "checkpoints").iterdir())) == 1
    assert fastgan.train(resume=run, progress=False, settings={"train.eval_every": "none"}).cur_nimg == 64


def test_presets_are_what_halving_holds_others_against(work: Callable[..., Work]) -> None:
    mine = work()
    study = study_of(mine)
    study.enqueue_trial({"train.lr_g": 8e-4}, user_attrs={LABEL: "small"})
    study.optimize(mine.search, n_trials=1)
    assert "completed_rung_0" in study.trials[0].system_attrs


def test_what_cannot_be_trained_fails_with_its_sentence_and_the_study_goes_on(
    work: Callable[..., Work],
) -> None:
    mine = work(space={"model.norm": ["batch", "none"]}, settings=tables(TINY | {"model.name": "dcgan"}))
    study = study_of(mine)
    for norm in ("batch", "none"):
        study.enqueue_trial({"model.norm": norm})
    study.optimize(mine.search, n_trials=2, catch=(FailedError,))
    failed, whole = records(study)
    assert (failed.state, whole.state) == ("failed", "complete")
    assert failed.reason is not None
    assert "needs a discriminator without batch norm" in failed.reason


def test_an_interrupted_trial_goes_on_with_its_run_to_the_same_score(
    work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = work()
    whole = study_of(mine, NopPruner())
    whole.optimize(mine.search, n_trials=1)
    (unbroken,) = records(whole)
    (mine.folder / "trials").rename(mine.folder / "unbroken")

    hear = Judge._hear

    def interrupted(self: Judge, line: dict[str, float]) -> None:
        hear(self, line)
        if 2 in self._told:
            raise KeyboardInterrupt

    study = study_of(mine, NopPruner())
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "_hear", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.optimize(mine.search, n_trials=1)
    (stopped,) = records(study)
    assert stopped.state == "lost"
    assert stopped.attributes[STOPPED] is True
    assert fastgan.Run(mine.folder / "trials" / "0000").cur_nimg == 32

    assert [record.number for record in lost.queue_again(study, mine.folder)] == [0]
    assert lost.queue_again(study, mine.folder) == []
    study.optimize(mine.search, n_trials=1)
    (again,) = records(study)
    assert (again.number, again.trial.number, again.state) == (0, 1, "complete")
    assert again.drawn == unbroken.drawn
    assert again.points == unbroken.points


def test_several_runs_a_trial_lie_beside_each_other(work: Callable[..., Work], tmp_path: Path) -> None:
    mine = work(images(tmp_path / "a.fgd"), images(tmp_path / "b.fgd", seed=1), seeds=2)
    assert mine.plan.pruner == "wilcoxon"
    study = study_of(mine)
    study.optimize(mine.search, n_trials=1)
    (found,) = records(study)
    folders = [run["folder"] for run in found.runs]
    assert folders == [f"trials/0000/{name}" for name in ("a-0", "b-0", "a-1", "b-1")]
    assert len({run["score"] for run in found.runs}) == 4
    assert found.score == Metric("kid").together(trial.by_set(found.runs))
    config = read_toml(mine.folder / "trials" / "0000" / "b-1.toml")
    assert (config["train"]["seed"], Path(config["data"]["source"]).name) == (1, "b-16-0-train.fgd")


def test_scores_of_several_sets_count_by_ratios() -> None:
    kid, coverage = Metric("kid"), Metric("coverage")
    assert kid.together({"a": [0.1, 0.3]}) == pytest.approx(0.2)
    assert kid.together({"a": [0.1, 0.3], "b": [20.0]}) == pytest.approx(2.0)
    assert coverage.together({"a": [0.25], "b": [0.75]}) == pytest.approx(0.5)
    assert (kid.direction, coverage.direction) == ("minimize", "maximize")
    with pytest.raises(fastgan.FastganError, match="metric='kod' is unknown: choose one of kid"):
        Metric.named("kod")


def test_a_trial_is_lost_when_its_workers_lock_is_free(tmp_path: Path) -> None:
    study = optuna.create_study()
    alive, dead, elsewhere = (study.ask() for _ in range(3))
    for name, each in (("alive", alive), ("dead", dead), ("elsewhere", elsewhere)):
        each.set_user_attr(WORKER, name)
    for name in ("alive", "dead"):
        lock_path(tmp_path, name).touch()
    with FileLock(lock_path(tmp_path, "alive")):
        found = lost.queue_again(study, tmp_path)
    assert [record.number for record in found] == [dead.number]
    states = {record.number: record.state for record in records(study)}
    assert states == {alive.number: "running", dead.number: "waiting", elsewhere.number: "running"}


def test_a_trial_that_loses_its_worker_again_and_again_is_given_up(tmp_path: Path) -> None:
    study = optuna.create_study()
    for k in range(MOST_LOSSES):
        study.ask().set_user_attr(WORKER, f"dead{k}")
        lock_path(tmp_path, f"dead{k}").touch()
        found = lost.queue_again(study, tmp_path)
        assert len(found) == (1 if k + 1 < MOST_LOSSES else 0)
    (record,) = records(study)
    assert record.state == "failed"
    assert record.reason is not None
    assert "died 3 times" in record.reason


def test_what_a_trial_draws_follows_from_its_number() -> None:
    def drawn(seed: int, count: int) -> list[float]:
        study = optuna.create_study()
        for _ in range(count):
            study.sampler = ByNumber(seed)  # as processes of one trial each do
            study.optimize(lambda t: t.suggest_float("x", 0.0, 1.0) ** 2, n_trials=1)
        return [t.params["x"] for t in study.trials]

    count = STARTUP + 3
    first = drawn(0, count)
    assert first == drawn(0, count)
    assert len(set(first)) == count
    assert first != drawn(1, count)


def test_the_best_are_different_settings_and_time_counts_once() -> None:
    from datetime import datetime, timedelta

    study, start = optuna.create_study(), datetime(2026, 1, 1)
    for x, score, at in ((1.0, 3.0, 0), (2.0, 1.0, 5), (2.0, 2.0, 100), (3.0, 2.5, 200)):
        made = optuna.create_trial(
            params={"x": x},
            distributions={"x": optuna.distributions.FloatDistribution(0, 9)},
            value=score,
        )
        made.datetime_start = start + timedelta(seconds=at)
        made.datetime_complete = start + timedelta(seconds=at + 10)
        study.add_trial(made)
    found = records(study)
    assert [record.score for record in best(found, Metric("kid"))] == [1.0, 2.5, 3.0]
    assert [record.score for record in best(found, Metric("coverage"))] == [3.0, 2.5, 2.0]
    assert worked(found) == 35.0
    assert all(record.trial.state == TrialState.COMPLETE for record in found)
