"""What the preset few-shot chooses, and that it says so."""

import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fastgan.commands.train import command
from fastgan.config import Duration, build, merge, preset
from fastgan.data.dataset import Dataset
from fastgan.training import assemble, few_shot
from fastgan.training.settings import RunConfig


def chosen(images=300, side=64, budget="30m", gpu=False):
    choices = few_shot.choose(images, side, Duration.parse(budget), gpu=gpu)
    return {choice.key: choice.value for choice in choices}


@pytest.mark.parametrize(
    ("side", "budget", "gpu", "resolution"),
    [
        (64, "30m", False, 64),
        (64, "2m", False, 32),
        (64, "2m", True, 64),
        (256, "30m", False, 64),
        (256, "2h", False, 128),
        (256, "1h", True, 256),
        (16, "2m", False, 16),
        (512, "20kimg", False, 256),
    ],
)
def test_a_budget_buys_a_resolution(side, budget, gpu, resolution):
    assert chosen(side=side, budget=budget, gpu=gpu)["model.resolution"] == resolution


def test_fewer_images_take_more_steps():
    assert [chosen(images=n)["train.batch"] for n in (100, 499, 500, 2000)] == [16, 16, 32, 32]


def test_small_networks_take_larger_steps():
    rates = [
        (c["train.lr_g"], c["train.lr_d"]) for c in (chosen(side=s, budget="9kimg") for s in (32, 64, 256))
    ]
    assert rates == [(8e-4, 8e-4), (2e-4, 4e-4), (2e-4, 2e-4)]


def test_at_32_px_it_is_the_preset_small():
    choices = few_shot.choose(300, 32, Duration.parse("100kimg"), gpu=False)
    made = merge(preset("few-shot"), few_shot.tables(choices))
    assert build(RunConfig, made) == build(RunConfig, merge(preset("small"), {"model": {"resolution": 32}}))


@pytest.mark.parametrize("images", [100, 2000])
@pytest.mark.parametrize("side", [16, 64, 128, 256])
def test_every_choice_is_a_setting_that_can_be_trained_with(images, side):
    choices = few_shot.choose(images, side, Duration.parse("100kimg"), gpu=False)
    tables = merge(preset("few-shot"), few_shot.tables(choices))
    config = assemble.resolve(build(RunConfig, tables))
    assert config.model["resolution"] == side
    assert all(choice.why for choice in choices)


def dry_run(path: Path, *options: str) -> str:
    result = CliRunner().invoke(
        command, [str(path), "--preset", "few-shot", "--dry-run", "--device", "cpu", *options]
    )
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    images = torch.randint(0, 256, (100, 16, 16, 3), dtype=torch.uint8)
    Dataset(images=images, content_hash="of the tests").save(tmp_path / "set.fgd")
    return tmp_path / "set.fgd"


def test_a_dry_run_says_what_was_chosen_and_why(hundred: Path):
    shown = dry_run(hundred, "--budget", "10m")
    notes = [line for line in shown.splitlines() if line.startswith("# ")]
    assert "# train.batch = 32: images of 16 px: each step sees more of them" in notes
    assert len(notes) == 8
    settings = tomllib.loads(shown)
    assert settings["train"]["batch"] == 32
    assert settings["model"]["resolution"] == 16


def test_what_was_asked_for_is_not_chosen(hundred: Path):
    shown = dry_run(hundred, "--augment", "none", "--set", "train.batch=8")
    assert tomllib.loads(shown)["train"]["augment"] == "none"
    assert tomllib.loads(shown)["train"]["batch"] == 8
    assert not any(
        key in line for line in shown.splitlines() if line[0:1] == "#" for key in ("batch", "augment")
    )


def test_the_rest_suits_a_resolution_that_was_asked_for(hundred: Path):
    settings = tomllib.loads(dry_run(hundred, "--resolution", "256", "--budget", "1m"))
    assert (settings["model"]["name"], settings["train"]["lr_d"]) == ("sle", 2e-4)


def test_a_set_of_another_size_is_told_so():
    choices = few_shot.choose(5000, 64, Duration.parse("1h"), gpu=False)
    assert few_shot.notes(5000, choices, {})[0].endswith("there are 5,000: compare with --preset small")
