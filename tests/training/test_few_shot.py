"""What the preset few-shot chooses, and that it says so."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from fastgan.commands.train import command
from fastgan.config import Duration, build, merge, preset
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.training import assemble, few_shot
from fastgan.training.settings import RunConfig
from tests.training.test_run import fit, settings


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
        (48, "30m", False, 32),
        (28, "30m", False, 16),
        (300, "20kimg", False, 256),
        (100, "2m", False, 32),
        (5, "30m", False, 8),
    ],
)
def test_a_budget_buys_a_resolution(side, budget, gpu, resolution):
    assert chosen(side=side, budget=budget, gpu=gpu)["model.resolution"] == resolution


@pytest.mark.parametrize(
    ("side", "budget", "why"),
    [
        (64, "30m", "as large as the images allow, and 30m is enough for it"),
        (48, "30m", "the power of two that suits images of 48 px, and 30m is enough for it"),
        (28, "9kimg", "the power of two that suits images of 28 px, and a budget in images leaves time out"),
        (512, "5h", "the images have 512 px, and few-shot trains at 256 px at most"),
        (512, "9kimg", "the images have 512 px, and few-shot trains at 256 px at most"),
        (100, "2m", "the images have 100 px, and 2m is too short to learn more than 32 px"),
    ],
)
def test_the_reason_for_a_resolution_is_the_reason(side, budget, why):
    choices = few_shot.choose(300, side, Duration.parse(budget), gpu=False)
    assert choices[0].why == why


def test_a_dcgan_to_start_from_settles_the_resolution():
    start = {"name": "dcgan", "width": 8, "resolution": 16}
    choices = few_shot.choose(300, 64, Duration.parse("5h"), gpu=False, model=start)
    assert (choices[0].value, choices[0].why.split(",")[0]) == (16, "that of the dcgan to start from")
    other = few_shot.choose(300, 64, Duration.parse("5h"), gpu=False, model=start | {"name": "stylegan"})
    assert other[0].value == 64, "most of a StyleGAN fits at any"


MODELS = {
    "dcgan": {"width": 4},
    "sle": {"width": 1},
    "stylegan": {"channel_multiplier": 0.03, "w_dim": 16},
    "r3gan": {"channel_multiplier": 0.01, "blocks": 1},
}


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_rest_suits_a_model_that_was_asked_for(name, projected):
    given = {"model": {"name": name, "resolution": 16, **MODELS[name]}}
    if projected:
        given["discriminator"] = {"name": "projected", "features": "random", "size": 32}
    choices = few_shot.choose(
        300, 16, Duration.parse("9kimg"), gpu=False, model=given["model"], projected=projected
    )
    tables = merge(merge(preset("few-shot"), few_shot.tables(choices)), given)
    config = assemble.resolve(build(RunConfig, tables))
    assemble.networks(config, torch.device("cpu"))
    assert config.model.name == name
    own = build(RunConfig, preset("projected" if projected else name))
    if projected or name not in ("dcgan", "sle"):
        unused = {"penalty_weight": 10.0, "penalty_interval": 1} if projected else {}  # there is no penalty
        assert replace(config.loss, **unused) == own.loss
        assert (config.train.lr_g, config.train.lr_d) == (own.train.lr_g, own.train.lr_d)
        said = few_shot.notes(300, choices, given)
        assert not any("R1" in text or "gamma" in text or "fastest" in text for text in said)


def test_fewer_images_take_more_steps():
    assert [chosen(images=n)["train.batch"] for n in (100, 499, 500, 2000)] == [16, 16, 32, 32]


def test_small_networks_take_larger_steps():
    rates = [
        (c["train.lr_g"], c["train.lr_d"]) for c in (chosen(side=s, budget="9kimg") for s in (32, 64, 256))
    ]
    assert rates == [(8e-4, 8e-4), (2e-4, 4e-4), (2e-4, 2e-4)]


@pytest.mark.parametrize(
    ("images", "conditional", "augment"),
    [(500, False, "color,translation,cutout"), (501, False, "ada"), (100, True, "ada")],
)
def test_at_32_px_it_is_the_preset_small_but_for_the_augmentation_of_few(images, conditional, augment):
    choices = few_shot.choose(images, 32, Duration.parse("100kimg"), gpu=False, conditional=conditional)
    made = merge(preset("few-shot"), few_shot.tables(choices))
    own = {"augment": augment, "usual_kimg": preset("few-shot")["train"]["usual_kimg"]}
    small = merge(preset("small"), {"model": {"resolution": 32}, "train": own})
    assert build(RunConfig, made) == build(RunConfig, small)


def test_a_run_on_classes_is_augmented_as_far_as_it_overfits(tmp_path: Path):
    labels = torch.arange(100) % 2
    images = torch.randint(0, 256, (100, 16, 16, 3), dtype=torch.uint8)
    packed.write(
        tmp_path / "set.fgd",
        Dataset(
            images=images, labels=labels, class_names=("a", "b"), content_hash=content_hash(images, labels)
        ),
    )
    shown = [dry_run(tmp_path / "set.fgd", *more) for more in ((), ("--conditional", "labels"))]
    augments = [tomllib.loads(text)["train"]["augment"] for text in shown]
    assert augments == ["color,translation,cutout", "ada"]


@pytest.mark.parametrize("images", [100, 2000])
@pytest.mark.parametrize("side", [16, 64, 128, 256])
def test_every_choice_is_a_setting_that_can_be_trained_with(images, side):
    choices = few_shot.choose(images, side, Duration.parse("100kimg"), gpu=False)
    tables = merge(preset("few-shot"), few_shot.tables(choices))
    config = assemble.resolve(build(RunConfig, tables))
    assert config.model.resolution == side
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
    packed.write(tmp_path / "set.fgd", Dataset(images=images, content_hash=content_hash(images)))
    return tmp_path / "set.fgd"


def test_a_dry_run_says_what_was_chosen_and_why(hundred: Path):
    shown = dry_run(hundred, "--budget", "10m")
    notes = [line for line in shown.splitlines() if line.startswith("# ")]
    assert "# train.batch = 32: images of 16 px: each step sees more of them" in notes
    assert len(notes) == 9 + 3  # of the images, the precision, the memory
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


def test_the_rest_suits_a_resolution_that_was_asked_for(tmp_path: Path):
    for k in range(100):
        Image.new("RGB", (16, 16), (k, 0, 0)).save(tmp_path / f"{k}.png")
    settings = tomllib.loads(dry_run(tmp_path, "--resolution", "256", "--budget", "1m"))
    assert (settings["model"]["name"], settings["train"]["lr_d"]) == ("sle", 2e-4)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (5000, "few-shot is made for 100 to 2,000 images, and there are 5,000: compare with --preset small"),
        (
            55,
            "few-shot is made for 100 to 2,000 images, and there are 55: fewer than 100 were not measured",
        ),
        (1, "few-shot is made for 100 to 2,000 images, and there is 1: fewer than 100 were not measured"),
    ],
)
def test_a_set_of_another_size_is_told_so(images, sentence):
    choices = few_shot.choose(images, 64, Duration.parse("1h"), gpu=False)
    said = few_shot.notes(images, choices, {})
    assert said[0] == sentence
    assert not any("1 images" in text for text in said)


def test_a_model_that_was_asked_for_is_followed(hundred: Path):
    shown = dry_run(hundred, "--set", "model.name=stylegan")
    assert "# train.lr_g = 0.002: that of --preset stylegan" in shown.splitlines()
    assert "norm" not in tomllib.loads(shown)["model"]


def test_the_model_to_start_from_is_followed(hundred: Path, tmp_path: Path, device: torch.device):
    fit(settings(hundred, "stylegan", budget="8img"), tmp_path / "there", device)
    shown = dry_run(hundred, "--init-from", str(tmp_path / "there"), "--freeze-d", "1")
    config = tomllib.loads(shown)
    assert (config["model"]["name"], config["model"]["w_dim"]) == ("stylegan", 16)
    assert "# model.channel_multiplier = 0.03: that of the model to start from" in shown.splitlines()
    options = [
        "--preset",
        "few-shot",
        "--init-from",
        tmp_path / "there",
        "--freeze-d",
        "1",
        "--budget",
        "8img",
    ]
    options += ["--out", tmp_path / "here", "--device", device, "--set", "train.precision=fp32"]
    result = CliRunner().invoke(command, [str(hundred), *map(str, options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "discriminator takes" in result.output
    assert "as initialised stay" not in result.output
