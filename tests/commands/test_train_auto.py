"""`fastgan train ... --resume auto`: one command that a script may run again and again."""

import json

import pytest
import torch
from click.testing import CliRunner

from fastgan.commands.train import command
from fastgan.data.dataset import Dataset
from fastgan.data.packed import write
from fastgan.training import checkpoint, folder

TINY = [
    *("--set", "model.width=2", "--set", "train.batch=4", "--set", "train.grid_images=4"),
    *("--set", "train.precision=fp32", "--set", "train.augment=none", "--device", "cpu"),
]


@pytest.fixture
def packed(tmp_path):
    images = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    write(tmp_path / "set.fgd", Dataset(images=images, content_hash="x"))
    return tmp_path / "set.fgd"


@pytest.fixture(autouse=True)
def _as_packed(monkeypatch):
    monkeypatch.setenv("FASTGAN_VERIFY", "0")  # the content hash is made up


def train(*args):
    return CliRunner().invoke(command, [*map(str, args)])


def command_line(packed, out, *more):
    return [packed, "-o", out, "--resume", "auto", *TINY, *more]


def test_it_starts_goes_on_and_is_done(packed, tmp_path):
    run = tmp_path / "nightly"
    for budget, nimg in (("8img", 8), ("16img", 16), ("16img", 16), ("12img", 16)):
        result = train(*command_line(packed, run, "--budget", budget))
        assert result.exit_code == 0, result.output
        assert checkpoint.load(run).state["cur_nimg"] == nimg
    assert "nothing to do: " in result.output
    assert "has used up its budget of 12img" in result.output
    done = train(*command_line(packed, run, "--budget", "16img", "--json"))
    assert "has used up its budget" in json.loads(done.stdout)["done"]


def test_what_was_killed_before_its_first_checkpoint_starts(packed, tmp_path):
    run = tmp_path / "nightly"
    assert train(packed, "-o", run, *TINY, "--budget", "8img").exit_code == 0
    (run / "latest").unlink()
    assert train(*command_line(packed, run, "--budget", "8img")).exit_code == 0
    assert checkpoint.load(run).state["cur_nimg"] == 8


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--set", "train.batch=8"], "train.batch = 8 contradicts the run"),
        (["--resolution", "8"], "model.resolution = 8 contradicts the run"),
        (["--seed", "3"], "train.seed = 3 contradicts the run"),
        (["--preset", "r3gan"], "model.name = 'r3gan' contradicts the run"),
        (["--preset", "dcgan"], "contradicts the run"),
        (["--spectral-norm"], "loss.spectral_norm = True contradicts the run"),
        (["--set", "train.bacth=8"], "unknown setting train.bacth"),
    ],
)
def test_what_contradicts_the_run_is_refused(more, sentence, packed, tmp_path):
    run = tmp_path / "nightly"
    assert train(packed, "-o", run, *TINY, "--budget", "8img").exit_code == 0
    before = (run / "config.toml").read_bytes()
    result = train(*command_line(packed, run, "--budget", "16img", *more))
    assert result.exit_code != 0
    assert sentence in " ".join(f"{result.output} {result.exception}".split())
    assert (run / "config.toml").read_bytes() == before
    assert checkpoint.load(run).state["cur_nimg"] == 8


def test_other_images_are_refused(packed, tmp_path):
    run = tmp_path / "nightly"
    assert train(packed, "-o", run, *TINY, "--budget", "8img").exit_code == 0
    other = packed.with_name("other.fgd")
    other.write_bytes(packed.read_bytes())
    result = train(*command_line(other, run, "--budget", "16img"))
    assert result.exit_code == 2
    assert "data.source = " in result.output


def test_the_preset_of_the_run_is_no_contradiction_and_its_budget_no_order(packed, tmp_path):
    run, shared = tmp_path / "nightly", ["--preset", "demo", *TINY]
    assert train(packed, "-o", run, *shared, "--budget", "8img").exit_code == 0
    assert train("--resume", run, "--budget", "12img", "--device", "cpu").exit_code == 0
    result = train(packed, "-o", run, *shared, "--resume", "auto")
    assert "has used up its budget of 12img" in result.output
    assert str(folder.read_config(run).train.budget) == "12img"


def test_it_needs_a_place(packed):
    result = train(packed, "--resume", "auto", *TINY)
    assert result.exit_code == 2
    assert "--resume auto needs --out: the run to start" in result.output
