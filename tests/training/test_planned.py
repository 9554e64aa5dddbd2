"""Schedules as portions of the planned images: read, settled once, saved, and kept by a run that goes on."""

import re
import tomllib

import pytest
from click.testing import CliRunner

from fastgan.commands.train import command
from fastgan.config import Duration, build, overrides, to_mapping, to_toml
from fastgan.errors import ArgumentError, ConfigError
from fastgan.training import assemble, folder, layers, planned, schedule
from fastgan.training.options import Asked
from fastgan.training.portion import Portion
from fastgan.training.settings import RunConfig, TrainConfig
from tests.training.test_run import fit, lines, settings


def test_a_portion_reads_what_it_writes():
    for text, share in (("2.5%", 0.025), ("100%", 1.0), ("0%", 0.0), ("12 %", 0.12), ("1000%", 10.0)):
        portion = Portion.parse(text, "train.ema_kimg")
        assert portion == pytest.approx(share)
        assert Portion.parse(str(portion), "train.ema_kimg") == portion


@pytest.mark.parametrize("value", ["fast", "-1%", "1001%", "2.5", "%", "1e9%", True, [1, "x"]])
@pytest.mark.parametrize("key", ["decay_kimg", "grow_kimg", "ada_kimg"])
def test_what_is_no_length_is_refused(key, value):
    with pytest.raises(ConfigError, match=rf"train\.{key} = .* must be thousands of images, or a portion"):
        build(TrainConfig, {key: value}, "train")


def test_settings_hold_portions_until_they_are_settled():
    tables = overrides(["train.ema_kimg=2.5%", "train.decay_kimg=100%", "train.planned_kimg=92"])["train"]
    train = build(TrainConfig, tables)
    assert (str(train.ema_kimg), str(train.decay_kimg)) == ("2.5%", "100%")
    assert build(TrainConfig, tomllib.loads(to_toml(to_mapping(train)))) == train
    assert planned.portions(train) == ["train.decay_kimg", "train.ema_kimg"]
    settled = planned.settle(train)
    assert (settled.ema_kimg, settled.decay_kimg, settled.grow_kimg) == (2.3, 92.0, 600.0)
    assert planned.portions(settled) == []
    assert planned.settle(settled) is settled


def test_several_averages_may_be_portions():
    train = planned.settle(build(TrainConfig, {"ema_kimg": ["2.5%", 10, "50%"], "planned_kimg": 100}))
    assert train.half_lives == (2.5, 10.0, 50.0)
    with pytest.raises(ConfigError, match="names a half-life twice"):
        build(TrainConfig, {"ema_kimg": ["2.5%", "2.5%"]})


def test_what_portions_are_of():
    def kimg(**train):
        return planned.kimg(build(TrainConfig, train))

    assert kimg(planned_kimg=50, budget="79kimg", usual_kimg=40) == 50
    assert kimg(budget="79kimg", usual_kimg=40) == 79
    assert kimg(budget="2h", usual_kimg=40) == 40
    assert kimg(budget="2h") == 1000
    assert planned.of_budget(Duration.parse("79kimg"), 1e9) == 79
    assert planned.of_budget(Duration.parse("2h"), 123_456) == 110, "a little less than measured, and round"
    assert planned.of_budget(Duration.parse("1s"), 0) > 0


def test_learning_rates_end_with_the_budget(packed, tmp_path, device):
    scheduled = {"lr_decay": "cosine", "lr_floor": 0.1, "decay_kimg": "100%", "ema_kimg": "25%"}
    out = tmp_path / "run"
    fit(settings(packed, budget="40img", log_every="4img", **scheduled), out, device)
    train = folder.read_config(out).train
    assert (train.planned_kimg, train.decay_kimg, train.ema_kimg) == (0.04, 0.04, 0.01)
    assert schedule.learning_rate(train, 40) == pytest.approx(0.1)
    assert lines(out)[-1]["lr_g"] == pytest.approx(0.1 * train.lr_g)


def test_a_run_goes_on_with_the_values_that_it_began_with(packed, tmp_path, device):
    """As another that was planned for as long: exactly."""
    scheduled = {"lr_decay": "cosine", "decay_kimg": "100%", "lr_floor": 0.5, "ema_kimg": "25%"}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(settings(packed, budget="24img", planned_kimg=0.012, **scheduled), whole, device)
    fit(settings(packed, budget="12img", **scheduled), parts, device)
    longer = layers.resumed(parts, Asked(options={"budget": "24img"}))
    assert (longer.train.decay_kimg, longer.train.ema_kimg, longer.train.planned_kimg) == (
        0.012,
        0.003,
        0.012,
    )
    fit(longer, parts, device, resume=True)
    assert lines(parts)[-1]["lr_g"] == pytest.approx(0.5 * longer.train.lr_g)
    if device.type == "cpu":
        one, other = (path / "checkpoints" / "000000024" / "model.safetensors" for path in (whole, parts))
        assert one.read_bytes() == other.read_bytes()


def test_portions_that_are_given_to_a_run_are_of_what_it_was_planned_for(packed, tmp_path, device):
    out = tmp_path / "run"
    fit(settings(packed, budget="12img"), out, device)
    asked = Asked(options={"budget": "1kimg"}, settings={"train": {"ema_kimg": "50%"}})
    assert assemble.resolve(layers.resumed(out, asked)).train.ema_kimg == 0.006
    text = (out / "config.toml").read_text()
    (out / "config.toml").write_text(re.sub("planned_kimg.*\n", "", text))  # of a version before
    with pytest.raises(ArgumentError, match=r"train\.ema_kimg is a portion .* does not say how many"):
        layers.resumed(out, asked)
    assert layers.resumed(out, Asked(options={"budget": "1kimg"})).train.ema_kimg == 10.0


def test_the_same_call_goes_on_with_a_run_of_a_preset_in_portions(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTGAN_VERIFY", "0")
    tiny = ["model.width=2", "train.grid_images=4", "train.precision=fp32", "train.augment=none"]
    sets = [part for setting in [*tiny, "train.batch=4"] for part in ("--set", setting)]
    args = [str(packed), *sets, "--device", "cpu", "--out", str(tmp_path / "run"), "--resume", "auto"]
    for budget, said in (("8img", "trained 0.008"), ("16img", "trained 0.016"), ("16img", "nothing to do")):
        result = CliRunner().invoke(command, [*args, "--budget", budget], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert said in result.output
    assert folder.read_config(tmp_path / "run").train.decay_kimg == 0.008
    result = CliRunner().invoke(command, [*args, "--budget", "24img", "--set", "train.ema_kimg=3%"])
    assert result.exit_code == 2
    assert "train.ema_kimg = 0.00024 contradicts the run" in result.output


def test_growing_takes_portions():
    tables = {
        "model": {"name": "stylegan"},
        "train": {"grow_from": 8, "grow_kimg": "15%", "planned_kimg": 200},
    }
    train = assemble.resolve(build(RunConfig, tables)).train
    assert (train.grow_kimg, train.fade_kimg) == (30.0, 600.0)
