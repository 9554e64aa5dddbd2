"""Whether a budget reaches what pictures need."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from fastgan.commands.train import command
from fastgan.config import Duration
from fastgan.training import outlook, run
from tests.training.test_run import settings

USUALLY = "pictures of 64 px usually need 79 kimg with these settings"


@pytest.mark.parametrize(
    ("budget", "usual", "speed", "sentence"),
    [
        ("40s", 79, 120, f"40s comes to about 4.8 kimg at 120 images/s, and {USUALLY}: 11 minutes"),
        ("79kimg", 79, 230, f"79 kimg take about 6 minutes more at 230 images/s; {USUALLY}"),
        ("10kimg", 79, 230, f"10 kimg take about 43 s more at 230 images/s, and {USUALLY}: 6 minutes"),
        ("1h", 79, 230, f"1h comes to about 828 kimg at 230 images/s; {USUALLY}"),
        (
            "1h",
            None,
            0.5,
            "1h comes to about 1.92 kimg at 0.5 images/s, 60 steps, too few to learn from: smaller",
        ),
        ("400h", None, 0.5, "400h comes to about 720 kimg at 0.5 images/s"),
        ("5000kimg", None, 100, "5,000 kimg take about 14 hours more at 100 images/s"),
    ],
)
def test_the_budget_is_put_into_words(budget, usual, speed, sentence):
    length = Duration.parse(budget)
    left = 0.0 if length.seconds is None else length.seconds - 1
    said = outlook.foreseen(length, usual, cur_nimg=120, left=left, img_per_s=speed, batch=32, resolution=64)
    assert said.startswith(sentence)


def test_falling_short():
    assert outlook.fell_short(79, 3008) == "3.01 of the usual 79 kimg"
    assert outlook.fell_short(79, 79_008) is None
    assert outlook.fell_short(None, 1) is None
    assert str(outlook.enough(79)) == "79kimg"


def test_it_is_said_once_when_the_speed_is_known(packed, tmp_path, device):
    notes = []
    config = settings(packed, budget="80img", usual_kimg=1.0)
    with run.new(config, out=tmp_path / "run", device=str(device), note=notes.append) as session:
        session.fit(lambda report: None)
    said = [text for text in notes if "pictures of 16 px usually need 1 kimg" in text]
    assert len(said) == 1  # a budget of 20 steps is not measured before
    assert said[0].startswith("80 images take about ")
    assert notes.index(said[0]) == len(notes) - 1
    config = replace(config, train=replace(config.train, budget=Duration(images=8)))
    with run.new(config, out=tmp_path / "short", device=str(device), note=notes.append) as session:
        session.fit(lambda report: None)
    assert len([text for text in notes if "usually need" in text]) == 1  # a first step is no measure


def test_the_end_says_what_is_missing_and_how_to_go_on(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTGAN_VERIFY", "0")
    tiny = [
        "model.width=2",
        "train.batch=4",
        "train.grid_images=4",
        "train.precision=fp32",
        "train.augment=none",
    ]
    sets = [part for setting in tiny for part in ("--set", setting)]
    args = [str(packed), "--preset", "demo", *sets, "--device", "cpu", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(command, [*args, "--budget", "40img", "--json"], catch_exceptions=False)
    assert "0.04 of the usual 40 kimg after which pictures can be told: train on as below" in result.output
    assert f"fastgan train --resume {tmp_path / 'run'} --budget 40kimg" in result.output
    assert json.loads(result.stdout)["cur_nimg"] == 40
