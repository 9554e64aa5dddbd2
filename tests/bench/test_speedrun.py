"""The speedrun: whose time counts, what is sampled when, which runs there are, and that each contender trains."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

from benchmarks.speedrun import __main__ as speedrun
from benchmarks.speedrun import (
    contenders,
    datasets,
    dcgan,
    lightweight,
    ours,
    places,
    recorder,
    score,
    worker,
)
from benchmarks.speedrun.__main__ import wanted
from benchmarks.speedrun.contenders import CONTENDERS, Cell, Contender, best, cells
from benchmarks.speedrun.recorder import CpuClock, Recorder
from fastgan.config import build, merge, read_toml, to_toml
from fastgan.data import packed
from fastgan.errors import ConfigError, FastganError
from fastgan.training.settings import RunConfig
from tests.metrics.sets import dataset, shapes


def flat(start: int, n: int) -> np.ndarray:
    return np.full((n, 4, 4, 3), start % 256, np.uint8)


class Counting:
    """A clock of which every look takes a second."""

    def __init__(self) -> None:
        self.ticks = count()

    def __call__(self) -> float:
        return float(next(self.ticks))


def test_the_clock_counts_cpu_time_and_stands_still_while_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5.0
    monkeypatch.setattr(recorder.time, "process_time", lambda: now)
    clock = CpuClock()
    with clock.paused():
        now = 25.0
    now = 26.0
    assert clock.seconds() == 6.0


def test_samples_are_taken_once_when_a_point_has_passed(tmp_path: Path) -> None:
    now = 0.0
    taken = Recorder(tmp_path, (2.0, 4.0, 6.0), samples=130)
    taken.clock.seconds = lambda: now  # type: ignore[method-assign]
    now = 10.0
    taken.begin()
    for now, images in ((11.0, 1), (12.5, 2), (13.0, 3), (16.5, 4)):  # noqa: B007
        taken.take(images, flat)
    assert taken.over
    assert taken.setup_seconds == 10.0
    expected = [(2.5, 2), (6.5, 4), (6.5, 4)]  # the step was longer than from one point to the next
    assert [(point["seconds"], point["images"]) for point in taken.points] == expected
    made = np.load(taken.path(0))
    assert made.shape == (130, 4, 4, 3)
    assert made[99].max() == 0
    assert made[100].min() == 100


def test_a_recorder_knows_after_an_interruption_what_was_taken_and_how_long_it_was(tmp_path: Path) -> None:
    first = Recorder(tmp_path, (2.0, 4.0), samples=3)
    first.clock.seconds = lambda: 3.0  # type: ignore[method-assign]
    first.take(7, flat)
    again = Recorder(tmp_path, (2.0, 4.0), samples=3)
    assert again.points == first.points
    again.clock.seconds = lambda: 1.0  # type: ignore[method-assign]
    again.begin(before=3.5)
    assert again.seconds == 3.5
    again.take(9, flat)
    assert len(again.points) == 1
    again.take(9, flat, at_last=True)
    assert [point["images"] for point in again.points] == [7, 9]


def test_each_run_has_a_key_that_names_it_and_is_sampled_four_times_at_least() -> None:
    planned = list(cells())
    assert len({cell.key for cell in planned}) == len(planned)
    for cell in planned:
        assert Cell.parse(cell.key) == cell
        assert len(cell.due) >= 4
        assert cell.due[-1] == 60 * cell.minutes
        assert list(cell.due) == sorted(cell.due)
    # What does not look at its budget gives the shorter ones on its way.
    short = {cell.contender for cell in planned if cell.minutes == min(contenders.MINUTES)}
    assert short == {name for name, each in CONTENDERS.items() if each.follows_budget}
    assert set(contenders.MINUTES) <= set(contenders.POINTS[max(contenders.MINUTES)])


def outcome(name: str, kid: float, random: float, periodic: float, seed: int = 0) -> dict[str, Any]:
    scores = {"kid[effnet-lite0]": kid, "kid[random-conv]": random, "periodic[pixels]": periodic}
    points = [{"seconds": 1.0, "images": 1, "scores": dict.fromkeys(scores, 0.0)}, {"scores": scores}]
    return {"dataset": "avatars", "minutes": 11.0, "contender": name, "seed": seed, "points": points}


def test_the_long_runs_are_those_of_the_best_once_all_are_known() -> None:
    results = [outcome(name, 5.0 + k, 5.0 + k, 100.0 + k) for k, name in enumerate(CONTENDERS)]
    assert best(results[:-1]) == []
    by_name = {result["contender"]: result for result in results}
    by_name["old-sle"] = outcome("old-sle", 0.1, 0.1, 0.2)
    by_name["old-projected"] = outcome(
        "old-projected", 0.0, 90.0, 999.0
    )  # only in the features it trained on
    by_name["old-small"] |= {"points": []}  # failed
    chosen = best(by_name.values())
    assert chosen[0] == "old-sle"
    assert len(chosen) == contenders.LONG_BEST
    assert not {"old-projected", "old-small"} & set(chosen)
    long = [cell for cell in cells(by_name.values()) if cell.minutes == contenders.LONG]
    assert {cell.contender for cell in long} == set(chosen)


@pytest.mark.parametrize("name", [n for n, each in CONTENDERS.items() if each.kind == "config"])
def test_the_old_presets_are_whole_settings_whatever_defaults_become(name: str) -> None:
    tables = read_toml(CONTENDERS[name].config)
    build(RunConfig, merge(tables, {"model": {"resolution": 64}}))
    assert {"batch", "lr_g", "lr_d", "beta1", "beta2", "ema_kimg", "augment", "precision"} <= set(
        tables["train"]
    )
    assert {"name", "penalty", "penalty_weight", "penalty_interval"} <= set(tables["loss"])
    assert not {"resolution", "img_channels"} & set(tables["model"])
    assert CONTENDERS[name].pretrained == (tables["discriminator"]["name"] == "projected")


def test_runs_are_named_by_how_their_keys_begin(tmp_path: Path) -> None:
    assert {cell.contender for cell in wanted(tmp_path, ("avatars/4/small",))} == {"small"}
    assert [cell.key for cell in wanted(tmp_path, ("solar/0.1/old-demo/3",))] == ["solar/0.1/old-demo/3"]
    assert len(wanted(tmp_path, ("avatars/4",))) > 1
    for wrong in ("avatar", "avatars/4/nobody/0"):
        with pytest.raises(click.UsageError, match="no run begins like this"):
            wanted(tmp_path, (wrong,))


CHILD = """
import signal, sys, time
from pathlib import Path
def stop(*_):
    Path(sys.argv[1]).with_suffix(".stopped").touch()
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
Path(sys.argv[1]).with_suffix(".started").touch()
time.sleep(0 if sys.argv[2] == "ends" else 60)
sys.exit(sys.argv[3] == "fails")
"""


def child(folder: Path, cell: Cell, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder / f"{cell.seed}.x"), *words])


def test_runs_that_fail_are_counted_and_stop_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = [Cell("solar", 4, "small", seed) for seed in range(3)]
    monkeypatch.setattr(
        speedrun,
        "start",
        lambda out, cell, _: child(out, cell, "ends", "fails" if cell.seed == 1 else "works"),
    )
    monkeypatch.setattr(speedrun.time, "sleep", lambda _: None)
    assert speedrun.run_all(tmp_path, todo, jobs=2, samples=1) == 1
    assert len(list(tmp_path.glob("*.started"))) == 3


def test_an_interruption_is_passed_on_to_every_run_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = [Cell("solar", 4, "small", seed) for seed in range(3)]
    monkeypatch.setattr(speedrun, "start", lambda out, cell, _: child(out, cell, "waits", "works"))

    def interrupt(_: float) -> None:
        if len(list(tmp_path.glob("*.started"))) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(speedrun.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        speedrun.run_all(tmp_path, todo, jobs=2, samples=1)
    assert sorted(path.name for path in tmp_path.glob("*.stopped")) == ["0.stopped", "1.stopped"]


def test_a_mistake_in_settings_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in datasets.paths(tmp_path, "solar"):
        path.parent.mkdir(exist_ok=True)
        packed.write(path, dataset(4))
    cell = Cell("solar", 0.1, "small", 1)

    def wrong(*_: object) -> dict[str, Any]:
        raise ConfigError("no such setting")

    monkeypatch.setattr(worker, "_train", wrong)
    with pytest.raises(ConfigError, match="no such setting"):
        worker.run(tmp_path, cell, samples=4)
    assert not places.result(tmp_path, cell).exists()

    def diverged(*_: object) -> dict[str, Any]:
        raise FastganError("losses beyond all numbers")

    monkeypatch.setattr(worker, "_train", diverged)
    worker.run(tmp_path, cell, samples=4)
    made = json.loads(places.result(tmp_path, cell).read_text())
    assert (made["failed"], made["points"], made["audit"]) == ("losses beyond all numbers", [], None)


def test_sets_are_split_the_same_way_everywhere() -> None:
    images = np.arange(10).reshape(10, 1, 1, 1)
    trained, held = datasets.split(images, 7, shuffled=True)
    assert trained.ravel().tolist() == [0, 2, 9, 1, 8, 5, 4]
    assert sorted([*trained.ravel(), *held.ravel()]) == list(range(10))
    assert datasets.split(images, 7, shuffled=False)[0].ravel().tolist() == list(range(7))


def test_the_tutorials_networks_have_the_tutorials_size() -> None:
    sizes = [sum(p.numel() for p in net().parameters()) for net in (dcgan.generator, dcgan.discriminator)]
    assert sizes == [3_576_704, 2_765_568]


def test_the_tutorial_trains_until_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcgan, "BATCH", 4)
    monkeypatch.setattr(dcgan, "WIDTH", 8)
    taken = Recorder(tmp_path, (3.0, 6.0), samples=5)
    taken.clock.seconds = Counting()  # type: ignore[method-assign]
    shown = dcgan.train(shapes(10, size=64), 0, taken)
    assert shown > 0
    assert len(taken.points) == 2
    images = np.load(taken.path(1))
    assert images.shape == (5, 64, 64, 3)
    assert images.std() > 0


def test_a_fastgan_run_ends_by_the_recorders_clock_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "x.fgd"
    packed.write(data, dataset(40))
    tiny = {"model": {"name": "dcgan", "width": 4}, "train": {"batch": 8, "precision": "fp32"}}
    (tmp_path / "tiny.toml").write_text(to_toml(tiny))
    monkeypatch.setattr(contenders, "PRESETS", tmp_path)
    monkeypatch.setattr(ours, "SIZE", 16)
    monkeypatch.setattr(ours.session, "time", ours.session.time)  # put back afterwards
    contender, cell = Contender(name="tiny", kind="config", what=""), Cell("avatars", 0.5, "old-small", 3)

    def ran(due: tuple[float, ...]) -> tuple[Recorder, dict[str, Any]]:
        taken = Recorder(tmp_path, cell.due, samples=6)
        taken.clock.seconds = Counting()  # type: ignore[method-assign]
        return taken, ours.train(contender, cell, data, tmp_path, taken)

    taken, facts = ran(cell.due)
    assert len(taken.points) == len(cell.due) == 4
    shown = [point["images"] for point in taken.points]
    assert shown == sorted(shown)
    assert shown[0] > 0
    assert shown[-1] == facts["images"] <= 30 * 8  # one step a look at the clock at most
    assert facts["settings"]["train"]["seed"] == 3
    assert np.load(taken.path(3)).shape == (6, 16, 16, 3)
    again = Recorder(tmp_path, cell.due, samples=6)
    assert ours.train(contender, cell, data, tmp_path, again)["images"] == facts["images"]


def test_a_result_says_what_was_trained_on_what_and_how_it_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(score, "ASKED", {"random-conv": ("kid", "periodic")})
    monkeypatch.setattr(score, "audit", lambda *_: {"copies": 0})
    for path, images in zip(
        datasets.paths(tmp_path, "solar"), (dataset(40), dataset(30, seed=1)), strict=True
    ):
        path.parent.mkdir(exist_ok=True)
        packed.write(path, images)
    cell = Cell("solar", 0.1, "dcgan-tutorial", 1)

    def trained(out: Path, cell: Cell, folder: Path, taken: Recorder, data: object) -> dict[str, Any]:
        taken.take(80, lambda start, n: shapes(n, seed=2).numpy(), at_last=True)
        return {"images": 80, "seconds": 6.0, "setup_seconds": 1.0, "settings": {}}

    monkeypatch.setattr(worker, "_train", trained)
    worker.run(tmp_path, cell, samples=64)
    made = json.loads(places.result(tmp_path, cell).read_text())
    assert made["format"] == "fastgan.speedrun"
    assert [len(point["scores"]) for point in made["points"]] == [3] * 4
    assert made["points"][-1]["images"] == 80
    assert made["data"]["held_out"]["images"] == 30
    assert made["audit"] == {"copies": 0}
    assert all(places.grid(tmp_path, cell, seconds / 60).stat().st_size for seconds in cell.due)
    assert not places.work(tmp_path, cell).exists()
    assert list(places.results(places.result(tmp_path, cell).parent)) == [made]


def test_images_of_which_all_are_alike_have_the_scores_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(score, "ASKED", {"random-conv": ("kid",)})
    assert score.scores(flat(0, 64), dataset(40, size=4)) == {}
    assert (
        score.sheet(np.arange(64)[:, None, None, None] * np.ones((1, 2, 2, 3)))[2:4, 4].tolist()
        == [[10] * 3] * 2
    )


def test_the_peers_loader_gives_whole_batches_of_all_images() -> None:
    images = shapes(40, size=8).numpy()
    found = lightweight.batches(images)
    first = torch.cat([next(found) for _ in range(2)])
    assert first.shape == (32, 3, 8, 8)
    assert 0 <= first.min() < first.max() <= 1
    assert len({row.numpy().tobytes() for row in first}) > 25
