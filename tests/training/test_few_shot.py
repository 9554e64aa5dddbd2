"""The preset few-shot on the command line: it chooses, says so, and follows what is asked for."""

import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from fastgan.commands.train import command
from fastgan.config import preset
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from tests.training.test_run import fit, settings


def dry_run(path: Path, *options: str) -> str:
    args = [str(path), "--preset", "few-shot", "--dry-run", "--device", "cpu", *options]
    result = CliRunner().invoke(command, args)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    images = torch.randint(0, 256, (100, 16, 16, 3), dtype=torch.uint8)
    labels = torch.arange(100) % 2
    digest = content_hash(images, labels)
    dataset = Dataset(images=images, labels=labels, class_names=("a", "b"), content_hash=digest)
    packed.write(tmp_path / "set.fgd", dataset)
    return tmp_path / "set.fgd"


def test_a_dry_run_says_what_was_chosen_and_why(hundred: Path) -> None:
    shown = dry_run(hundred, "--budget", "1kimg")
    notes = [line for line in shown.splitlines() if line.startswith("# ")]
    assert "# model.name = swift: learns fastest in minutes of all models here" in notes
    small = preset("small")["train"]
    assert sum(line.endswith(": as in the preset small") for line in notes) == 1
    assert f"# train.batch = {small['batch']}, train.lr_g = {small['lr_g']}, " in shown
    assert (
        "# model.resolution = 16: as large as the images allow, and a budget in images leaves time out"
        in notes
    )
    assert len(notes) == 5 + 3  # of the images, the precision, what is coming
    found = tomllib.loads(shown)
    assert (found["model"]["name"], found["model"]["resolution"]) == ("swift", 16)
    assert found["train"]["batch"] == small["batch"]
    assert found["train"]["reuse_fakes"] is True
    assert found["loss"]["reconstruction"] == preset("small")["loss"]["reconstruction"]
    assert "choose" not in found


def test_a_dcgan_is_trained_by_the_number_and_the_size_of_the_images(hundred: Path) -> None:
    shown = dry_run(hundred, "--budget", "1kimg", "--set", "model.name=dcgan")
    assert "# train.batch = 32: images of 16 px: each step sees more of them" in shown.splitlines()
    assert "reconstruct" not in "".join(line for line in shown.splitlines() if line[0:1] == "#")


def test_a_run_on_classes_is_augmented_as_far_as_it_overfits(hundred: Path) -> None:
    shown = [dry_run(hundred, "--budget", "1kimg", *more) for more in ((), ("--conditional", "labels"))]
    augments = [tomllib.loads(text)["train"]["augment"] for text in shown]
    assert augments == ["color,translation,cutout", "ada"]


def test_what_was_asked_for_is_not_chosen(hundred: Path) -> None:
    shown = dry_run(hundred, "--budget", "1kimg", "--augment", "none", "--set", "train.batch=8")
    found = tomllib.loads(shown)["train"]
    assert (found["augment"], found["batch"]) == ("none", 8)
    said = [line for line in shown.splitlines() if line[0:1] == "#"]
    assert not any(f"train.{key}" in line for line in said for key in ("batch", "augment"))


def test_the_rest_suits_a_resolution_that_was_asked_for(tmp_path: Path) -> None:
    for k in range(100):
        Image.new("RGB", (16, 16), (k, 0, 0)).save(tmp_path / f"{k}.png")
    found = tomllib.loads(dry_run(tmp_path, "--resolution", "256", "--budget", "1kimg"))
    assert (found["model"]["name"], found["train"]["lr_d"]) == ("sle", 2e-4)


def test_a_model_that_was_asked_for_is_followed(hundred: Path) -> None:
    shown = dry_run(hundred, "--budget", "1kimg", "--set", "model.name=stylegan")
    assert "# train.lr_g = 0.002: that of --preset stylegan" in shown.splitlines()
    assert "norm" not in tomllib.loads(shown)["model"]


def test_the_model_to_start_from_is_followed(hundred: Path, tmp_path: Path, device: torch.device) -> None:
    fit(settings(hundred, "stylegan", budget="8img"), tmp_path / "there", device)
    start = ["--init-from", str(tmp_path / "there"), "--freeze-d", "1", "--budget", "8img"]
    shown = dry_run(hundred, *start)
    config = tomllib.loads(shown)
    assert (config["model"]["name"], config["model"]["w_dim"]) == ("stylegan", 16)
    assert "# model.channel_multiplier = 0.03: that of the model to start from" in shown.splitlines()
    options = ["--preset", "few-shot", *start, "--out", tmp_path / "here", "--device", device]
    options += ["--set", "train.precision=fp32"]
    result = CliRunner().invoke(command, [str(hundred), *map(str, options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "discriminator takes" in result.output
    assert "as initialised stay" not in result.output
