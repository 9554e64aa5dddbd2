"""What is refused before the first trial, and what a refusal leaves behind: nothing that stands in the way."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastgan
from fastgan import extras
from fastgan.config import Duration, preset
from fastgan.errors import FastganError
from fastgan.training import afford
from fastgan.tuning import begin, search, sets, storage
from fastgan.tuning.metric import Metric
from fastgan.tuning.plan import Plan
from fastgan.tuning.space import given, make
from tests.tuning.conftest import SPACE, images


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "kod"}, "metric='kod' is unknown: choose one of kid"),
        ({"metric": "cas"}, "has no classes, which metric='cas' needs"),
        ({"metric": "ppl_w_end"}, "is a path through styles, and the preset small has none"),
        ({"metric": "ifid", "pruner": "halving"}, "needs scores on the way"),
        ({"seeds": 2, "pruner": "halving"}, "stops a single run"),
        ({"preset": "smal"}, "preset='smal' is unknown"),
        ({"preset": ["small", "small"]}, "names a preset twice"),
        ({"settings": {"train.budget": "1m"}}, "train.budget out"),
        ({"settings": {"train.lrg": 1}}, "unknown setting train.lrg"),
        ({"settings": {"loss.name": "hing"}}, "hing"),
        ({"space": {"train.lr_g": "1..x"}}, "`space`: train.lr_g = '1..x' is no range"),
        ({"trial_budget": "16img"}, "comes to 2 steps of the preset small, and nothing can be told"),
        ({"trial_budget": "4"}, "has no unit"),
        ({"budget": "10kimg"}, "must be a time"),
        ({"budget": "20s", "trial_budget": "10s"}, "a budget of 20 s holds 0 trials of 10 s beside"),
        ({"trials": 0}, "trials=0 is out of range"),
        ({"data": []}, "`data` names 0 sets"),
        ({"storage": "redis://localhost"}, "pickles"),
        ({"storage": "nosuchdb://localhost"}, "the database cannot be opened"),
    ],
)
def test_one_sentence_says_what_is_wrong(
    tune: Callable[..., fastgan.Tuned], changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    if changes == {"data": []}:
        changes = {"data": [tmp_path, tmp_path]}
        said = "`data` names 2 sets and `source` 1"
    with pytest.raises(FastganError) as error:
        tune(**changes, dry_run=True)
    assert said in str(error.value)


def test_memory_is_that_of_all_workers(
    tune: Callable[..., fastgan.Tuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 300 << 20
    monkeypatch.setattr(afford, "free_memory", lambda device: free)
    tune(dry_run=True)
    with pytest.raises(
        FastganError, match=r"4 workers with the preset small take about 0\.5 GiB of memory, and 0\.3"
    ):
        tune(jobs=4, dry_run=True)
    free = 100 << 20
    with pytest.raises(
        FastganError, match=r"a training step of 8 images would take about 0\.1 GiB of memory"
    ):
        tune(dry_run=True)


def test_too_few_images_for_a_split(tune: Callable[..., fastgan.Tuned], tmp_path: Path) -> None:
    few = images(tmp_path / "few.fgd", 31)
    with pytest.raises(
        FastganError, match="holds 31 images, and a search needs 32: 16 to train on and 16 that"
    ):
        tune(source=few)
    with pytest.raises(FastganError, match="comes to 2 steps"):
        tune(trial_budget="16img")
    assert not (tmp_path / "out").exists()  # all is looked at before anything is written
    assert tune(source=few, data=images(tmp_path / "more.fgd", 16), dry_run=True).space.startswith("preset")
    with pytest.raises(FastganError, match="needs 16 to score by"):
        tune(source=few, data=images(tmp_path / "less.fgd", 15))


def test_a_dry_run_writes_nothing(tune: Callable[..., fastgan.Tuned], tmp_path: Path) -> None:
    done = tune(dry_run=True, space=None)
    assert not (tmp_path / "out").exists()
    assert "2 trials of 400img, by kid, around small: " in done.plan
    (ends,) = re.findall(r'^lr_g = "(\S+)\.\.(\S+) log"$', done.space, re.MULTILINE)
    own = preset("small")["train"]["lr_g"]
    assert [float(end) for end in ends] == pytest.approx([own / 4, own * 4], rel=0.1)
    assert "width = 4" in done.space  # fixed by the call, and so not searched
    assert done.trials == []
    assert repr(done).startswith("Tuned(")


def test_a_folder_with_something_else_in_it_stays_as_it_is(
    tune: Callable[..., fastgan.Tuned], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(FastganError, match="is not empty and holds no study"):
        tune()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_optuna_is_asked_for_by_a_line_that_installs_it(
    tune: Callable[..., fastgan.Tuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "missing", lambda extra: ("optuna",))
    with pytest.raises(FastganError, match="needs Optuna: pip install 'optuna>="):
        tune()


def plan_of(squares: Path, folder: Path, **changes: Any) -> Plan:
    ((wanted, _),) = sets.wanted([squares], [], resolution=None, largest=64, seed=0)
    found = sets.prepared(wanted, folder / "data", lambda text: None)
    told: dict[str, Any] = {
        "sets": [found],
        "space": make(given(SPACE), {}, ("small",), "x"),
        "metric": Metric("kid"),
        "extractor": "random-conv",
        "eval_images": 32,
        "trial_budget": Duration(seconds=60.0),
        "seeds": 1,
        "seed": 0,
        "pruner": "halving",
        "device": "cpu",
    }
    return Plan(**told | changes)


def test_the_study_goes_on_as_it_began(squares: Path, tmp_path: Path) -> None:
    place = storage.open_storage(None, tmp_path)
    storage.begin(plan_of(squares, tmp_path), place, "out")
    storage.begin(plan_of(squares, tmp_path), place, "out")
    assert storage.remembered(None, tmp_path, "out")["trial_budget"] == "1m"
    assert storage.remembered(None, tmp_path, "other") == {}
    for changes, said in (
        ({"metric": Metric("fid")}, "with `metric` = kid: leave `metric` as it was"),
        ({"trial_budget": Duration(seconds=90.0)}, "with `trial_budget` = 1m"),
        ({"space": make(given({"train.batch": [8, 16]}), {}, ("small",), "x")}, "with `space` = another"),
    ):
        with pytest.raises(FastganError) as error:
            storage.begin(plan_of(squares, tmp_path, **changes), place, "out")
        assert said in str(error.value)
    (tmp_path / "other").mkdir()
    others = images(tmp_path / "other" / "squares.fgd", seed=9)
    with pytest.raises(FastganError, match="with `source` = other images"):
        storage.begin(plan_of(others, tmp_path / "other"), place, "out")


def test_a_plan_is_read_as_it_was_told(squares: Path, tmp_path: Path) -> None:
    plan = plan_of(squares, tmp_path)
    again = Plan.read(plan.message())
    assert again.identity() == plan.identity()
    assert again.sets == plan.sets
    (first,) = plan.sets
    tables = again.settings({"train.lr_g": 1e-3}, first)
    assert tables == plan.settings({"train.lr_g": 1e-3}, first)
    assert tables["train"]["lr_g"] == 1e-3


def test_images_are_split_once_and_a_change_of_them_is_refused(squares: Path, tmp_path: Path) -> None:
    ((wanted, _),) = sets.wanted([squares], [], resolution=None, largest=64, seed=0)
    folder = tmp_path / "out" / "data"
    first = sets.prepared(wanted, folder, lambda text: None)
    assert (first.count, first.held_count, first.side) == (48, 16, 16)
    before = first.train.stat().st_mtime_ns
    squares.touch()  # the same images
    assert sets.prepared(wanted, folder, lambda text: None) == first
    assert first.train.stat().st_mtime_ns == before
    images(squares, seed=5)
    with pytest.raises(FastganError, match="has changed since the study in"):
        sets.prepared(wanted, folder, lambda text: None)
    assert first.train.stat().st_mtime_ns == before


def test_what_fits_into_a_budget_is_said(squares: Path, tmp_path: Path) -> None:
    plan = plan_of(squares, tmp_path)
    assert search.fits(plan, 10, None, 1, 480.0) == (None, None)
    assert search.fits(plan, 4, 1200.0, 1, 480.0) == (720.0, None)
    left, said = search.fits(plan, 20, 1200.0, 1, 480.0)
    assert left == 720.0
    assert said is not None
    assert said.startswith("12 of 20 trials fit")
    with pytest.raises(FastganError, match="holds 0 trials of 60 s beside the confirmation"):
        search.fits(plan, 20, 300.0, 1, 480.0)


def test_trials_get_what_a_budget_leaves(squares: Path, tmp_path: Path) -> None:
    asked = {"seconds": 7200.0, "trials": None, "trial_budget": None, "confirm": 3, "confirm_seeds": 2}
    shared: dict[str, Any] = {
        **dict.fromkeys(("sources", "held", "presets"), ()),
        **dict.fromkeys(("space", "resolution", "storage", "study")),
        **{"settings": {}, "folder": tmp_path, "metric": "kid", "extractor": "", "eval_images": 32},
        **{"seeds": 1, "seed": 0, "pruner": "auto", "jobs": 2, "device": "cpu", "command": ""},
    }
    each, trials = begin._each(begin.Asked(**asked, **shared), 1, None)
    assert trials is None
    assert each.seconds is not None
    assert 600 < each.seconds < 720  # 20 trials, 14 of them whole, and 8 confirmations on two workers
    assert begin._each(begin.Asked(**asked, **shared), 1, "3m")[0] == Duration(seconds=180.0)
