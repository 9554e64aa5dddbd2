"""The watch: collapse, overfitting, held-out images, and that none of it changes a bit of training."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from fastgan.data import Feed, open_dataset
from fastgan.data.feed import split
from fastgan.errors import ConfigError, DataError
from fastgan.training import checkpoint, overfit, run
from fastgan.training.diversity import Diversity
from fastgan.training.source import Source
from fastgan.training.watch import PATIENCE, Watch
from tests.training.conftest import small
from tests.training.test_run import fit, lines, settings
from tests.training.test_trainer import assert_same_bits

GOOD = {"diversity": 0.8, "duplicates": 0.0}
ALIKE = {"diversity": 0.1, "duplicates": 0.9}


def test_diversity_is_one_for_the_data_and_zero_for_one_image_over_and_over(dataset):
    yardstick = Diversity(dataset, 16)
    real = dataset.images.permute(0, 3, 1, 2) / 127.5 - 1
    assert yardstick.measure(real)["diversity"] == pytest.approx(1, rel=0.05)
    assert yardstick.measure(real)["duplicates"] == 0
    one = real[:1].expand(8, -1, -1, -1) + 0.001 * torch.randn(8, 3, 16, 16)
    assert yardstick.measure(one)["diversity"] < 0.01
    assert yardstick.measure(one)["duplicates"] == 1
    pairs = torch.cat([real[:4], real[:4], real[4:8]])  # 8 of 12 have a copy, and are as diverse as ever
    assert yardstick.measure(pairs)["duplicates"] == pytest.approx(8 / 12)
    assert yardstick.measure(pairs)["diversity"] > 0.8


def test_duplicates_that_the_data_has_are_no_fault_of_the_generator(dataset):
    twice = replace(dataset, images=dataset.images[:6].repeat_interleave(2, 0))
    real = twice.images.permute(0, 3, 1, 2) / 127.5 - 1
    assert Diversity(twice, 12).measure(real) == {"diversity": pytest.approx(1), "duplicates": 0}


def said(watch, readings, cur_nimg=1000):
    return [kind for values in readings for kind, _ in watch.read(values, cur_nimg)]


def test_collapse_is_said_once_when_it_lasts_and_again_when_it_ends():
    watch = Watch(images=10**6, adaptive=False)
    assert said(watch, [ALIKE] * 9) == []  # a young generator has not found its variety yet
    assert said(watch, [GOOD, ALIKE, GOOD]) == []  # once is chance
    assert said(watch, [ALIKE] * 5) == ["collapse"]
    assert watch.active == ("collapse",)
    assert said(watch, [GOOD, GOOD]) == ["collapse"]
    assert watch.active == ()
    assert said(Watch(images=10**6, adaptive=False), [ALIKE] * PATIENCE, 60_000) == ["collapse"]


def test_overfitting_needs_images_shown_often_and_no_ada():
    sure = GOOD | {"r_t": 0.97}
    assert said(Watch(images=200, adaptive=False), [sure] * 4) == []
    assert said(Watch(images=100, adaptive=True), [sure] * 4) == []
    watch = Watch(images=100, adaptive=False)
    assert said(watch, [sure] * 4) == ["overfit"]
    ((_, text),) = Watch(images=100, adaptive=False, state={"bad": {"overfit": PATIENCE - 1}}).read(
        GOOD | {"r_v": 0.9}, 1000
    )
    assert "held-out images for fakes" in text
    assert "--augment ada" in text
    assert said(watch, [GOOD | {"r_t": 0.5}]) == ["overfit"]


def test_the_watch_goes_on_where_it_was():
    readings = [GOOD, ALIKE, ALIKE, GOOD, GOOD | {"skipped": 3.0}, ALIKE, ALIKE, GOOD]
    whole = Watch(images=100, adaptive=False)
    expected = [whole.read(values, 1000) for values in readings]
    state, got = None, []
    for values in readings:
        watch = Watch(images=100, adaptive=False, state=state)
        got.append(watch.read(values, 1000))
        state = json.loads(json.dumps(watch.state()))
    assert got == expected
    assert sum(map(len, expected)) == 4 + 1


def test_a_split_is_given_by_the_seed_and_none_changes_nothing(dataset):
    train, held = split(3, 100, 0.2)
    assert len(held) == 20
    assert sorted([*train, *held]) == list(range(100))
    assert np.array_equal(split(3, 100, 0.2)[1], held)
    assert not np.array_equal(split(4, 100, 0.2)[1], held)
    assert len(split(0, 23, 0.001)[1]) == 1
    assert [len(part) for part in split(0, 23, 0.0)] == [23, 0]
    plain, none = Feed(dataset, device="cpu", seed=5), Feed(dataset, device="cpu", seed=5, holdout=0.0)
    assert plain.indices(0, 100).equal(none.indices(0, 100))


def test_what_is_held_out_is_never_shown_and_everything_else_once_an_epoch(dataset):
    feed = Feed(dataset, device="cpu", seed=5, holdout=0.3)
    held = set(feed.held.tolist())
    assert len(held) == 7
    epoch = feed.indices(0, 16).tolist()
    assert set(epoch) | held == set(range(23))
    assert len(set(epoch)) == 16
    assert not held & set(feed.indices(0, 500).tolist())
    with pytest.raises(DataError, match=r"data.holdout = 0.95 leaves 1 of 23 images .*hold out fewer"):
        Feed(dataset, device="cpu", holdout=0.95)
    with pytest.raises(ConfigError, match=r"data.holdout = 1.5 must lie in \[0, 1\), as in 0.05"):
        small("dcgan", data={"holdout": 1.5})


@pytest.mark.parametrize("name", ["dcgan", "spectral, penalised", "ada"])
def test_asking_about_held_out_images_changes_no_bit(make, name, dataset, device):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    asked, other = (make(name) for _ in range(2))
    for trainer in (asked, other):
        trainer.feed = Feed(dataset, device=device, holdout=0.3)
    for _ in range(3):
        asked.step()
        assert "val" in overfit.gap(asked)
        other.step()
    assert_same_bits(asked, other)


def test_r_v_is_near_one_for_a_discriminator_that_knows_its_images_by_heart(make, dataset, device):
    trainer = make("stylegan")
    trainer.feed = Feed(dataset, device=device, holdout=0.3)
    shown = {image.numpy().tobytes() for image in trainer.feed.look(trainer.feed.indices(0, 16)).images.cpu()}

    class ByHeart(torch.nn.Module):
        def forward(self, images, c):
            known = [image.contiguous().numpy().tobytes() in shown for image in images.cpu()]
            return torch.tensor(known, dtype=torch.float32, device=images.device)

    trainer.discriminator = ByHeart()
    assert overfit.gap(trainer) == {"val": 0.0, "r_v": 1.0}

    class Even(torch.nn.Module):
        def forward(self, images, c):
            return images.flatten(1).std(1) * 0 + torch.randn(len(images), device=images.device)

    trainer.discriminator = Even()
    assert "r_v" not in overfit.gap(trainer)  # nothing told apart, nothing to compare


def test_a_run_under_watch_logs_it_and_stays_exact(packed, tmp_path, device):
    """Held-out images, ADA, metrics, the best checkpoint: N + M steps are N, save, load, M, bit for bit."""

    def config(budget):
        made = settings(
            packed, "ada", budget=budget, eval_every="8img", grid_every="4img", checkpoint_every="12img"
        )
        return replace(made, data=replace(made.data, holdout=0.2))

    def go(out, budget, resume=False):
        shared = {"device": str(device), "note": lambda text: None}
        shared["evaluator"] = lambda dataset, train, device: (
            lambda sample: {"kid[x]": sample(0, 3).float().mean()}
        )
        where = (
            run.resumed(out, config(budget), **shared)
            if resume
            else run.new(config(budget), out=out, **shared)
        )
        with where as session:
            session.fit(lambda report: None)

    go(tmp_path / "whole", "32img")
    go(tmp_path / "parts", "20img")
    go(tmp_path / "parts", "32img", resume=True)
    assert {"diversity", "duplicates", "val"} <= lines(tmp_path / "whole")[0].keys()
    names = {"kid[x]", "diversity", "duplicates", "val", "r_t", "loss_d"}
    strip = [
        [{k: v for k, v in line.items() if k in names} for line in lines(tmp_path / p)]
        for p in ("whole", "parts")
    ]
    if device.type == "cpu":
        assert strip[0] == strip[1]
        for name in ("model.safetensors", "optimizer.safetensors"):
            one, other = (tmp_path / p / "checkpoints" / "000000032" / name for p in ("whole", "parts"))
            assert one.read_bytes() == other.read_bytes()
        assert (tmp_path / "whole" / "best").read_text() == (tmp_path / "parts" / "best").read_text()


def test_a_data_set_that_goes_away_is_said_once(packed, tmp_path, device):
    dataset = open_dataset(packed)
    source = Source(packed, dataset)
    assert source.check() is None
    whole = dataset.images[:].clone()
    content = packed.read_bytes()
    packed.rename(tmp_path / "elsewhere.fgd")
    assert "is gone: training goes on with the one that is open, but `resume` will need it" in source.check()
    assert source.check() is None
    source = Source(packed, dataset)
    packed.write_bytes(content + b"more")  # another file of that name
    assert "was replaced by another file: training goes on" in source.check()
    assert source.check() is None
    assert torch.equal(dataset.images[:], whole)
    packed.write_bytes(content)
    notes = []
    with run.new(settings(packed), out=tmp_path / "run", device=str(device), note=notes.append) as session:
        session.fit(lambda report: packed.unlink(missing_ok=True))
    assert sum("is gone" in note for note in notes) == 1


@pytest.mark.parametrize("harm", ["cut", "emptied", "longer", "written over"])
def test_a_data_set_that_is_written_over_ends_training_with_a_whole_checkpoint(
    packed, tmp_path, device, harm
):
    content = packed.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    ended: list[int] = []

    def spoil(report):
        if report.cur_nimg < 8:
            return
        ended.append(report.cur_nimg)
        if harm == "written over":
            packed.write_bytes(content[:start] + bytes(len(content) - start))
            os.utime(packed, (1, 1))
        elif harm == "longer":
            packed.write_bytes(content + b"more")
        else:
            os.truncate(packed, 0 if harm == "emptied" else start + 50)

    config = settings(packed, budget="64img", checkpoint_every="1h")
    with (
        run.new(config, out=tmp_path / "run", device=str(device), note=print) as session,
        pytest.raises(
            DataError, match=r"was written over or cut while it was read \(.*remains: go on .*resume="
        ),
    ):
        session.fit(spoil)
    assert len(ended) == 1
    assert checkpoint.load(tmp_path / "run").state["cur_nimg"] == ended[0]
    packed.write_bytes(content)
    assert fit(config, tmp_path / "run", device, resume=True)[0].cur_nimg == 64


def test_a_touch_ends_nothing(packed, tmp_path, device):
    with run.new(settings(packed), out=tmp_path / "run", device=str(device), note=print) as session:
        assert session.fit(lambda report: os.utime(packed, (5, 5))).cur_nimg == 24


def test_a_clock_that_jumps_moves_nothing(packed, tmp_path, device, monkeypatch):
    import time

    jumps = iter([0.0, 1e9, -1e9] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    outcome, _ = fit(settings(packed, budget="16img", log_every="1h"), tmp_path / "run", device)
    assert 0 < outcome.seconds < 300
    assert all(line["seconds"] >= 0 and line["img_per_s"] > 0 for line in lines(tmp_path / "run"))
