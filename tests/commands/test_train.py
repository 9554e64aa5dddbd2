"""`fastgan train` as its user meets it: real processes on 64 small images."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import fastgan
from fastgan.commands.train import command
from fastgan.config import Duration, build, preset_names, read_toml
from fastgan.data import open_dataset
from fastgan.errors import CheckpointError, FastganError
from fastgan.training import checkpoint, folder
from fastgan.training.settings import RunConfig

KILLS = int(os.environ.get("FASTGAN_KILLS", "20"))
"""How often a run is killed; 200 is the long test."""
TINY = {
    "dcgan": ["model.width=4"],
    "wgan-gp": ["model.width=4", "train.d_steps=2"],
    "r3gan": ["model.channel_multiplier=0.01"],
    "stylegan": ["model.channel_multiplier=0.03", "model.w_dim=16", "model.z_dim=16"],
}
USUAL = {"dcgan": "60kimg", "wgan-gp": "400kimg", "r3gan": "500kimg", "stylegan": "40kimg"}
"""What pictures usually need, where a preset says so: the budget that is advised after less."""
QUICK = ["train.batch=8", "train.grid_images=4", "train.precision=fp32"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 18, 20, 3), dtype=np.uint8)
    for i, image in enumerate(pixels):
        (folder / f"class{i % 2}").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"class{i % 2}" / f"{i:02d}.png")
    return folder


def arguments(*parts, sets=()):
    return [*map(str, parts), *(part for pair in [*QUICK, *sets] for part in ("--set", pair))]


def start(*args, cwd):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", "fastgan", "train", *args],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def here(*args):
    """The same command in this process, which saves the seconds of a start."""
    result = CliRunner().invoke(command, [*map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_until(happened, process):
    while not happened() and process.poll() is None:
        time.sleep(0.01)


def newest(run):
    return int((run / "latest").read_text().strip()[-9:]) if (run / "latest").exists() else 0


@pytest.mark.parametrize("preset", TINY)
def test_each_preset_trains_from_a_folder(preset, images, tmp_path, device):
    length = ["--preset", preset, "--resolution", "16", "--budget", "200img", "--device", device]
    code, out, err = finish(start(*arguments(images, *length, sets=TINY[preset]), cwd=tmp_path))
    assert code == 0, err
    run = tmp_path / "runs" / "0001"
    assert "trained 0.2" in out
    for line in (
        "fastgan generate runs/0001",
        "fastgan export runs/0001",
        f"fastgan train --resume runs/0001 --budget {USUAL.get(preset, '400img')}",
    ):
        assert line in out
    assert (run / "data.fgd").is_file()
    state = checkpoint.load(run).state
    assert state["cur_nimg"] == 200 if preset != "wgan-gp" else 208
    assert state["data"]["class_names"] == ["class0", "class1"]
    assert len(list((run / "grids").iterdir())) == 2
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1])["cur_nimg"] == state["cur_nimg"]


@pytest.mark.usefixtures("hangups_heard")
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_says_how_to_go_on(signum, code, images, tmp_path, device):
    args = arguments(
        images, "--out", "mine", "--resolution", 16, "--budget", "1h", "--device", device, sets=TINY["dcgan"]
    )
    process = start(*args, cwd=tmp_path)
    wait_until((tmp_path / "mine" / "grids").exists, process)
    time.sleep(0.3)
    process.send_signal(signum)
    returned, out, err = finish(process)
    assert returned == code, err
    assert "fastgan train --resume mine" in out
    assert "saving after this step" in err
    assert "Traceback" not in err
    nimg = checkpoint.load(tmp_path / "mine").state["cur_nimg"]
    here("--resume", tmp_path / "mine", "--budget", f"{nimg + 16}img", "--device", device)
    assert checkpoint.load(tmp_path / "mine").state["cur_nimg"] == nimg + 16


@pytest.mark.slow
@pytest.mark.timeout(300 + 20 * KILLS)
def test_kill_9_at_any_moment_loses_nothing_that_was_saved(images, tmp_path, device):
    sets = [*TINY["dcgan"], "train.checkpoint_every=8img", "train.log_every=8img", "train.grid_every=16img"]
    new = arguments(
        images, "--out", "mine", "--resolution", 16, "--budget", "1h", "--device", device, sets=sets
    )
    mine, draw, reached = tmp_path / "mine", random.Random(0), 0
    for attempt in range(KILLS):
        args = new if attempt == 0 else ["--resume", "mine", "--device", str(device)]
        process = start(*args, cwd=tmp_path)
        wait_until(lambda before=reached: newest(mine) > before, process)
        time.sleep(draw.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
        state = checkpoint.load(mine).state
        assert state["cur_nimg"] > reached
        reached = state["cur_nimg"]
    end = f"{reached + 24}img"
    here("--resume", mine, "--budget", end, "--device", device)
    assert not list((mine / "checkpoints").glob(".*"))
    assert [json.loads(line)["cur_nimg"] for line in (mine / "log.jsonl").read_text().splitlines()] == [
        *range(8, reached + 32, 8)
    ]
    if device.type != "cpu":
        return
    sets += [f"train.planned_kimg={folder.read_config(mine).train.planned_kimg}"]  # schedules are as long
    here(*arguments(mine / "data.fgd", "--out", tmp_path / "whole", "--budget", end, sets=sets))
    one, other = (tmp_path / name / "checkpoints" / f"{reached + 24:09d}" for name in ("mine", "whole"))
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.fixture
def trained(images, tmp_path, device):
    args = arguments(
        images,
        "--out",
        tmp_path / "mine",
        "--resolution",
        16,
        "--budget",
        "16img",
        "--device",
        device,
        sets=TINY["dcgan"],
    )
    here(*args)
    return tmp_path / "mine"


def test_a_run_with_spectral_normalisation_goes_on_and_generates(images, tmp_path, device):
    run, length = tmp_path / "mine", ["--device", device, "--budget"]
    sets = [*TINY["dcgan"], "loss.name=hinge"]
    here(*arguments(images, "--out", run, "--resolution", 16, "--spectral-norm", *length, "16img", sets=sets))
    assert any("parametrizations" in name for name in checkpoint.load(run).model)
    here("--resume", run, *length, "24img")
    for model in (run, run / "generator.safetensors"):
        assert fastgan.load(model).sample(2, seed=0).shape == (2, 16, 16, 3)


def test_a_run_starts_from_another_resolution_and_says_what_it_took(images, tmp_path, device):
    length = ["--device", device, "--budget", "8img"]
    sets = TINY["stylegan"]
    shared = ["--preset", "stylegan", *length]
    here(*arguments(images, "--out", tmp_path / "small", "--resolution", 8, *shared, sets=sets))
    options = ["--resolution", 16, "--init-from", tmp_path / "small", *shared]
    result = CliRunner().invoke(
        command, arguments(images, "--out", tmp_path / "large", *options, sets=sets), catch_exceptions=False
    )
    assert result.exit_code == 0
    assert re.search(
        r"generator takes \d+ of its \d+ tensors from .*small; as initialised stay .* more", result.output
    )
    assert re.search(r"discriminator takes \d+ of its \d+ tensors", result.output)
    frozen = arguments(images, "--out", tmp_path / "third", *options, "--freeze-d", 1, sets=sets)
    assert re.search(
        r"train.freeze_d would freeze \S+\.2\.\S+ \(absent there\).* leave out train.freeze_d",
        refuse(*frozen),
    )
    sentence = refuse(images, "--out", tmp_path / "third", "--init-from", tmp_path / "absent")
    assert "absent is neither a training run nor a checkpoint" in sentence
    assert not (tmp_path / "third").exists()


def refuse(*args, expect=FastganError):
    result = CliRunner().invoke(command, [*map(str, args)])
    assert isinstance(result.exception, expect), result.output
    return str(result.exception)


def test_half_a_checkpoint_is_refused_and_the_one_before_serves(trained, device):
    resume = ["--budget", "24img", "--device", device]
    here("--resume", trained, *resume)
    path = trained / "checkpoints" / "000000024" / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is cut short or damaged" in refuse(
        "--resume", trained, "--budget", "32img", "--device", device, expect=CheckpointError
    )
    earlier = [
        "--resume",
        str(trained / "checkpoints" / "000000016"),
        "--budget",
        "32img",
        "--device",
        str(device),
    ]
    assert CliRunner().invoke(command, earlier, catch_exceptions=False).exit_code == 0
    assert checkpoint.load(trained).state["cur_nimg"] == 32


def test_resuming_as_another_model_is_refused(trained, device):
    sentence = refuse("--resume", trained, "--budget", "32img", "--set", "model.width=8", "--device", device)
    assert re.search(
        r"another architecture: project\.\S+ is \[.*\] there and \[.*\] here, and \d+ more differ", sentence
    )
    assert build(RunConfig, read_toml(trained / "config.toml")).model.width == 4


def test_the_images_that_are_chosen_are_trained_on_and_kept(images, tmp_path, device):
    """As wide as 20 of 18 by 20 pixels: padded images are black above and below."""
    shutil.copytree(images, tmp_path / "set" / "train")
    shutil.copytree(images / "class0", tmp_path / "set" / "test" / "class0")
    run, shared = tmp_path / "mine", ["--device", device, "--resolution", 16, "--kind", "folder"]
    sets = [*TINY["dcgan"], "data.rotate=20", "data.scale=0.2", "data.flip_vertical=true"]
    options = ["--fit", "pad", "--split", "test", *shared, "--budget"]
    here(*arguments(tmp_path / "set", "--out", run, *options, "16img", sets=sets))
    packed = open_dataset(run / "data.fgd")
    assert len(packed) == 32
    assert not packed.images[:, [0, -1]].any()
    here("--resume", run, "--budget", "24img", "--device", device)
    kept = build(RunConfig, read_toml(run / "config.toml")).data
    assert (kept.fit, kept.split, kept.kind) == ("pad", "test", "folder")
    assert (kept.rotate, kept.scale, kept.flip_vertical) == (20.0, 0.2, True)
    for change in ("fit=crop", "split=all", "kind=none"):
        result = CliRunner().invoke(command, ["--resume", str(run), "--set", f"data.{change}"])
        assert result.exit_code == 2
        assert f"data.{change.partition('=')[0]} belongs to a new run" in result.output
    rest = ["--out", tmp_path / "other", "--device", device]
    assert "is packed and square already" in refuse(run / "data.fgd", "--fit", "pad", *rest)
    assert "has no splits any more" in refuse(run / "data.fgd", "--split", "test", *rest)
    assert "not of kind folder" in refuse(run / "data.fgd", "--kind", "folder", *rest)
    assert "has no official splits" in refuse(images, "--split", "val", *rest)
    assert not (tmp_path / "other").exists()


def test_resume_without_a_name_takes_the_last_run(trained, tmp_path, monkeypatch, device):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.move(trained, tmp_path / "runs" / "0004")
    here("--resume", "--budget", "24img", "--device", device)
    assert checkpoint.load("runs/0004").state["cur_nimg"] == 24


def test_the_images_of_a_run_cannot_be_swapped(trained, images):
    result = CliRunner().invoke(command, [str(images), "--resume", str(trained)])
    assert result.exit_code == 2
    assert "holds its own copy of the images" in result.output


@pytest.mark.parametrize(
    "option",
    [
        ["--preset", "dcgan"],
        ["--seed", "3"],
        ["--resolution", "32"],
        ["--config", "x.toml"],
        ["--freeze-d", "0"],
        ["--fit", "pad"],
        ["--split", "test"],
        ["--kind", "folder"],
    ],
)
def test_resume_takes_no_options_of_a_new_run(trained, option):
    result = CliRunner().invoke(command, ["--resume", str(trained), *option])
    assert result.exit_code == 2
    assert f"{option[0]} belongs to a new run" in result.output


@pytest.mark.parametrize("change", ["freeze_d=1", "tune_g=mapping", "init_from=elsewhere"])
def test_what_is_frozen_is_settled_when_a_run_begins(trained, change):
    result = CliRunner().invoke(
        command, ["--resume", str(trained), "--budget", "32img", "--set", f"train.{change}"]
    )
    assert result.exit_code == 2
    key, _, value = change.partition("=")
    shown = value if value.isdecimal() else repr(value)
    assert f"train.{key} = {shown} belongs to a new run" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--freeze-d", "2"], "train.freeze_d = 2 freezes what a network has learnt"),
        (["--tune-g", "norms"], "train.tune_g = 'norms' freezes"),
        (["--freeze-d", "2", "--dry-run"], "start from one (--init-from;"),
        (["--preset", "biggan"], "unknown preset 'biggan'; there are dcgan"),
        (["--set", "train.bacth=3"], "unknown setting train.bacth (did you mean train.batch)"),
        (["--set", "train.batch=-3"], "train.batch = -3 must be 1 or more"),
        (["--set", "loss.name=hunge"], "'hunge' is unknown"),
        (["--augment", "ada,blur"], "augmentation 'blur' in 'ada,blur' is unknown: choose from none"),
        (["--freeze-d", "-1"], "train.freeze_d = -1 must not be negative"),
        (["--stop-when", "fid<20"], "fid is no value of the log"),
        (["--eval-every", "often"], "train.eval_every = 'often' is not a length of training"),
        (["--set", "data.holdout=2"], "data.holdout = 2.0 must lie in [0, 1)"),
        (["--budget", "soon"], "train.budget = 'soon' is not a length of training"),
        (["--seed", "-1"], "train.seed = -1 must lie in"),
        (["--resolution", "48"], "48"),
        (["--config", "absent.toml"], "cannot read the settings absent.toml"),
        (["--device", "quantum"], "--device quantum is unknown: choose auto, cpu"),
    ],
)
def test_mistakes_are_named_and_leave_no_folder(args, sentence, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in refuse(images, *args)
    assert list(tmp_path.iterdir()) == []


def settings_in(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_layers_of_settings(images, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text("[model]\nwidth = 16\n[train]\nbatch = 16\nlr_g = 1e-3\nseed = 3\n")
    args = [
        images,
        "--preset",
        "wgan-gp",
        "--config",
        mine,
        "--set",
        "train.batch=8",
        "--set",
        "train.seed=4",
        "--seed",
        5,
    ]
    result = CliRunner().invoke(command, [*map(str, args), "--dry-run"], catch_exceptions=False)
    printed = tmp_path / "printed.toml"
    printed.write_text(result.output)
    config = build(RunConfig, read_toml(printed))
    assert (config.model.width, config.model.norm, config.loss.name) == (16, "none", "wasserstein")
    assert (config.train.batch, config.train.lr_g, config.train.lr_d, config.train.seed) == (8, 1e-3, 1e-4, 5)
    again = CliRunner().invoke(command, ["--config", str(printed), "--dry-run"], catch_exceptions=False)
    assert settings_in(again.output) == settings_in(result.output)  # everything is said, the source included


def test_metrics_decide_what_is_best_and_when_to_stop(images, tmp_path, monkeypatch, device):
    """The evaluator is fastgan.metrics'; here one that gives 30, 20, 10, ..."""
    asked = {}

    def evaluator(dataset, *, metrics, n, device):
        asked.update(images=len(dataset), metrics=metrics, n=n)
        values = iter(range(30, 0, -10))
        return lambda sample: {"fid[stand-in]": next(values)}

    monkeypatch.setitem(sys.modules, "fastgan.metrics", types.SimpleNamespace(evaluator=evaluator))
    options = ["--eval-every", "8img", "--stop-when", "fid<25", "--budget", "80img", "--resolution", 16]
    args = arguments(images, "--out", tmp_path / "mine", *options, "--device", device, sets=TINY["dcgan"])
    result = CliRunner().invoke(command, args, catch_exceptions=False)
    assert result.exit_code == 0
    assert asked == {"images": 64, "metrics": ["kid"], "n": 2000}
    assert "when fid<25 was met; best fid[stand-in] 20 at 0.016 kimg" in result.output
    assert "fid<25 is met: training ends here" in result.output
    assert checkpoint.load(tmp_path / "mine" / "best").state["cur_nimg"] == 16
    sentence = refuse("--resume", tmp_path / "mine", "--budget", "90img", "--device", device)
    assert "stopped at 16 images because fid<25 was met" in sentence


def test_help_names_every_preset():
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert f"--preset NAME {', '.join(preset_names())}. [default: small]" in text


@pytest.mark.parametrize(
    ("budget", "used", "advised"),
    [("40s", 115.2, "230s"), ("40s", 40.4, "80s"), ("1m", 50.0, "2m"), ("8kimg", 900.0, "16kimg")],
)
def test_the_budget_that_is_advised_is_more_than_was_used(budget: str, used: float, advised: str) -> None:
    from fastgan.training.outlook import longer

    assert str(longer(Duration.parse(budget), None, cur_nimg=1, seconds=used)) == advised
