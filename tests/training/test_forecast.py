"""What is said before training: what is coming, and where that is hopeless, what is not."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fastgan import api
from fastgan.commands.train import command
from fastgan.config import Duration
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.training import forecast, gauge, outlook, plan, run, speed
from fastgan.training.choices.layered import Layered
from fastgan.training.choices.opened import opened
from fastgan.training.pace import Pace
from fastgan.training.rehearsal import Cost
from fastgan.training.speed import Speeds
from tests.training.test_run import settings

CPU = torch.device("cpu")


@pytest.fixture
def slow(monkeypatch):
    """slow(factor): a machine on which images take time by their pixels and the model's width."""

    def make(factor=1.0):
        monkeypatch.setattr(plan, "Gauge", lambda *args: _Fake(*args, factor=factor))

    return make


class _Fake(gauge.Gauge):
    """Speeds by a formula: about those of one core. Everything fits."""

    def __init__(self, *args, factor):
        super().__init__(*args)
        self.factor = factor

    def cost(self, config):
        return Cost(lasting=2**20, passing=2**20, flops=10**15)

    def speeds(self, config):
        model = config.model
        width = {"dcgan": 32, "sle": 8, "swift": 16}.get(model.name, 0.125)
        own = getattr(model, "width", None) or model.channel_multiplier
        base = {"dcgan": 190, "stylegan": 53, "r3gan": 20, "sle": 40, "swift": 190}[model.name]
        rate = self.factor * base * (width / own) ** 1.5
        return Speeds(by_resolution={size: rate * (64 / size) ** 2 for size in (8, 16, 32, 64)})


def images(path: Path, side: int, count: int = 30) -> Path:
    pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8)
    packed.write(path, Dataset(images=pixels, content_hash=content_hash(pixels)))
    return path


def dry(*args):
    result = CliRunner().invoke(command, [*map(str, args), "--dry-run", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    said = [line.removeprefix("# ") for line in result.output.splitlines() if line.startswith("# ")]
    return said, result.output


def test_the_first_line_of_the_readme_comes_to_pictures_on_a_laptop(tmp_path, slow):
    slow(1.7)  # two cores
    said, text = dry(images(tmp_path / "a.fgd", 64, 3000), "--preset", "stylegan", "--budget", "30m")
    assert "model.resolution = 64: as large as the images allow, and 30m is enough for it" in said
    assert any(line.startswith("model.channel_multiplier = 0.125, model.z_dim = 128") for line in said)
    assert said[-1].startswith(
        "30m comes to about 162 kimg at 90 images/s; pictures of 64 px usually need 120 kimg with these settings; "
        "memory: a training step takes about "
    )
    assert "decay_kimg = 150.0\n" in text
    assert "ema_kimg = 3.75\n" in text
    assert "planned_kimg = 150.0\n" in text


@pytest.mark.parametrize(
    ("args", "commands"),
    [
        (
            ["--preset", "stylegan", "--resolution", "64", "--budget", "20m"],
            ["--resolution 32", "--budget 45m"],
        ),
        (["--preset", "r3gan", "--budget", "30m"], ["--preset small", "--budget 45m"]),
        (["--preset", "dcgan", "--budget", "10m"], ["--resolution 32", "--budget 35m"]),
        (["--budget", "30s"], ["--budget 1m"]),
        (["--budget", "20kimg"], [f"--budget {opened('small').usual(64):g}kimg"]),
        (["--preset", "r3gan", "--set", "model.blocks=1", "--budget", "30m"], ["--budget 45m"]),
    ],
)
def test_where_it_is_hopeless_there_are_commands_that_are_not(args, commands, tmp_path, slow):
    slow()
    source = images(tmp_path / "a.fgd", 64, 3000)
    said, _ = dry(source, *args)
    advised = said[-1].partition("these come to some: ")[2].partition("; memory: ")[0]
    assert [line.endswith(c) for line, c in zip(advised.split("; "), commands, strict=True)] == [True] * len(
        commands
    )
    for line in advised.split("; "):
        words = [word for word in shlex.split(line)[2:] if word != "--dry-run"]
        again, _ = dry(*words)
        assert "these come to some" not in again[-1], "what is advised is enough"


def test_a_growing_run_is_planned_over_its_sizes(tmp_path, slow):
    slow()
    args = [images(tmp_path / "a.fgd", 64), "--preset", "stylegan", "--budget", "30m", "--resolution", "64"]
    _, whole = dry(*args)
    _, text = dry(*args, "--set", "train.grow_from=8")
    assert "planned_kimg = 86.0\n" in whole
    assert "channel_multiplier = 0.125\n" in text
    values = dict(line.split(" = ") for line in text.splitlines() if " = " in line and line[0] != "#")
    planned = float(values["planned_kimg"])
    assert 120 < planned < 160, "small sizes are fast"
    assert float(values["grow_kimg"]) == pytest.approx(0.11 * planned, rel=1e-3)
    assert float(values["fade_kimg"]) == pytest.approx(0.06 * planned, rel=1e-3)


def test_python_is_told_the_same_and_how_to_call(tmp_path, slow, capsys):
    slow()
    source = images(tmp_path / "a.fgd", 64)
    start = api.train.Start(
        asked=api.train.Asked(options={"source": source, "preset": "dcgan", "budget": "10m"}), device="cpu"
    )
    config, said = api.train.planned(start, again=api.train._again)
    assert config.train.planned_kimg == pytest.approx(0.9 * 600 * 190 / 2**1.5 / 1000, rel=0.05)
    assert "fastgan.train(..., resolution=32)" in said[-1]


def test_a_run_says_what_is_coming_before_it_begins(tmp_path, slow):
    slow(1000.0)
    source, notes = images(tmp_path / "a.fgd", 16), []
    given = {"data": {"source": str(source)}, "model": {"width": 2}, "train": {"budget": "2s", "batch": 4}}
    layered = Layered(preset="small", given=given)
    config = settings(source, budget="2s")
    with run.new(config, out=tmp_path / "run", device="cpu", note=notes.append, layered=layered) as session:
        assert session.config.model.width == 2
        assert session.config.train.augment == "color,translation,cutout"
        assert session.expected == pytest.approx(190_000 * 16 * 8**1.5)
    coming = [text for text in notes if text.startswith("2s comes to about ")]
    assert len(coming) == 1
    assert "images/s" in coming[0]
    assert "memory: a training step takes about" in coming[0]
    reason = next(
        text for text in notes if text.startswith("train.augment = color,translation,cutout: 30 images: ")
    )
    assert notes.index(reason) < notes.index(coming[0])


@pytest.mark.parametrize(("speed", "news"), [(100, False), (80, False), (50, True), (200, True)])
def test_what_was_said_is_said_again_only_where_it_turns_out_otherwise(packed, speed, news):
    notes = []
    config = settings(packed, budget="1h")
    pace = Pace(replace(config, model=replace(config.model, resolution=16)), 0, notes.append, 100.0)
    pace.measure(speed, 1.0, 4)
    pace.measure(2 * speed, 2.0, 4)
    assert bool(notes) == news
    assert all(f"at {speed} images/s" in text for text in notes)


@pytest.mark.parametrize(
    ("usual", "img_per_s", "budget"),
    [
        (79, 190, "8m"),
        (120, 53, "45m"),
        (120, 10, "4h"),
        (0.1, 50, "10s"),
        (1500, 20, "23h"),
        (40, 500, "90s"),
    ],
)
def test_a_budget_that_is_enough_is_round(usual, img_per_s, budget):
    assert str(outlook.enough_time(usual, img_per_s)) == budget


def test_few_steps_are_not_measured(packed, monkeypatch):
    monkeypatch.setattr(speed, "measure", None)
    ready = plan.make(settings(packed, budget="80img"), CPU)
    assert ready.outlook is None
    assert ready.img_per_s is None
    assert ready.config.train.planned_kimg == 0.08
    assert ready.coming().startswith("memory: ")


def test_a_forecast_of_images_says_how_long_they_take(packed):
    ready = settings(packed, budget="10kimg")
    config = replace(ready, model=replace(ready.model, resolution=16))
    ahead = forecast.make(config, Speeds(by_resolution={16: 50.0}))
    assert (ahead.img_per_s, ahead.nimg) == (50.0, 10_000.0)
    assert ahead.said(config) == "10 kimg take about 3 minutes at 50 images/s"
    timed = replace(config, train=replace(config.train, budget=Duration(seconds=900.0)))
    most = forecast.make(timed, Speeds(by_resolution={16: 50.0}, measured=False))
    assert most.said(timed) == "15m comes to at the very most 45 kimg at 50 images/s"
