"""`fastgan.train`: what the command does, from Python."""

import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import fastgan
from fastgan.callbacks import Callback
from fastgan.commands.train import LAST, command
from fastgan.config import ConfigError, Duration
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import CheckpointError, DataError, FastganError
from fastgan.training import checkpoint, layers, settings
from fastgan.training.options import FREE, OPTIONS, Asked, tables

SMALL = {
    "model.width": 2,
    "train.batch": 4,
    "train.grid_images": 4,
    "train.precision": "fp32",
    "train.augment": "none",
}
QUIET: dict[str, Any] = {"settings": SMALL, "device": "cpu", "progress": False}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pixels = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    packed.write(tmp_path / "set.fgd", Dataset(images=pixels, content_hash=content_hash(pixels)))
    return tmp_path / "set.fgd"


def weights(run: Path) -> dict[str, torch.Tensor]:
    loaded = checkpoint.load(run)
    return loaded.model | loaded.optimizer


def test_a_call_and_a_command_with_the_same_settings_make_the_same_run(images: Path, tmp_path: Path) -> None:
    sets = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    asked = [images, "--budget", "16img", "--seed", 3, "--max-bad", "2%", "--device", "cpu", *sets]
    done = CliRunner().invoke(command, [*map(str, asked), "--out", str(tmp_path / "a")])
    assert done.exit_code == 0, done.output
    run = fastgan.train(images, budget="16img", seed=3, max_bad="2%", out=tmp_path / "b", **QUIET)
    assert run.path == tmp_path / "b"
    assert (run.path / "config.toml").read_bytes() == (tmp_path / "a" / "config.toml").read_bytes()
    ours, theirs = weights(run.path), weights(tmp_path / "a")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_run_that_is_resumed_goes_on_exactly(images: Path, tmp_path: Path) -> None:
    planned = {
        **QUIET,
        "settings": {**QUIET["settings"], "train.planned_kimg": 0.008},
    }  # as the parts are, by the first
    whole = fastgan.train(images, budget="24img", out=tmp_path / "whole", **planned)
    first = fastgan.train(images, budget="8img", out=tmp_path / "parts", **QUIET)
    for resume, budget in ((first, "16img"), (str(first.path), "20img"), ("auto", "24img")):
        more: dict[str, Any] = {"source": images, "out": first.path, **QUIET} if resume == "auto" else {}
        run = fastgan.train(resume=resume, budget=budget, **(more or {"device": "cpu", "progress": False}))
        assert run.cur_nimg == Duration.parse(budget).images
    ours, theirs = weights(run.path), weights(whole.path)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert fastgan.train(images, resume="auto", out=run, budget="24img", **QUIET).cur_nimg == 24


def test_settings_are_dotted_keys_tables_or_both_and_arguments_win(images: Path, tmp_path: Path) -> None:
    more = {"train": {"seed": np.int64(5), "budget": Duration(images=8)}, "model": {"width": 4}}
    run = fastgan.train(
        images, out=tmp_path / "run", seed=7, settings=SMALL | more, device="cpu", progress=False
    )
    config = run.config
    assert (config.train.seed, config.train.batch, config.model.asked("width")) == (7, 4, 4)
    assert tables({"a.b": 1, "a": {"c": {"d": 2}}}) == {"a": {"b": 1, "c": {"d": 2}}}
    written = tmp_path / "mine.toml"
    written.write_text('[train]\nlr_g = 1e-3\nseed = 1\nbudget = "4img"\n')
    run = fastgan.train(images, config=written, out=tmp_path / "other", **QUIET)
    assert (run.config.train.lr_g, run.config.train.seed, run.cur_nimg) == (1e-3, 1, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ConfigError, "Missing argument `source`: a folder of images"),
        ({"source": "nowhere"}, DataError, "nowhere"),
        ({"source": "set.fgd", "preset": "smal"}, ConfigError, "unknown preset 'smal' (did you mean small?)"),
        ({"source": "set.fgd", "preset": 3}, ConfigError, "unknown preset 3"),
        ({"source": "set.fgd", "budget": "soon"}, ConfigError, "train.budget = 'soon' is not a length"),
        ({"source": "set.fgd", "seed": "x"}, ConfigError, "train.seed = 'x' must be a whole number"),
        ({"source": "set.fgd", "settings": {"train.bacth": 3}}, ConfigError, "did you mean train.batch"),
        ({"source": "set.fgd", "settings": ["train.batch=3"]}, ConfigError, "must map names to values"),
        ({"source": "set.fgd", "settings": {"train.": 3}}, ConfigError, "'train.' is no name of a setting"),
        ({"source": "set.fgd", "device": "tpu"}, ConfigError, "device='tpu' is unknown"),
        ({"source": 3}, ConfigError, "source=3 is no path"),
        ({"source": "set.fgd", "config": "absent.toml"}, ConfigError, "cannot read the settings absent.toml"),
        ({"source": "set.fgd", "resume": "auto"}, ConfigError, "resume='auto' needs `out`: the run to start"),
        ({"resume": "nowhere"}, CheckpointError, "nowhere is no training run"),
        ({"resume": "run", "fit": "pad"}, ConfigError, "`fit` belongs to a new run: `resume` goes on with"),
        (
            {"resume": "run", "settings": {"train.freeze_d": 1}},
            ConfigError,
            "begin another with `init_from` run",
        ),
        ({"resume": "run", "budget": "4img"}, ConfigError, "run has used up its budget of 4img"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    arguments: dict[str, Any],
    error: type[FastganError],
    words: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments.get("resume") == "run":
        fastgan.train(images, budget="8img", out="run", **QUIET)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as raised:
        fastgan.train(**{"progress": False, "budget": "8img", **arguments})
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_callback_is_told_and_its_error_leaves_a_checkpoint(images: Path, tmp_path: Path) -> None:
    class Listener(Callback):
        def __init__(self, fails_at: int) -> None:
            self.heard: list[str] = []
            self.fails_at = fails_at

        def log(self, step: int, values: Any) -> None:
            self.heard.append("log")
            assert step < self.fails_at

        def checkpoint(self, step: int, path: Path) -> None:
            self.heard.append("checkpoint")

        def end(self, results: Any) -> None:
            self.heard.append(results["status"])

    calm, strict = Listener(100), Listener(12)
    often = {"settings": SMALL | {"train.log_every": "4img"}, "device": "cpu", "progress": False}
    fastgan.train(images, budget="16img", out=tmp_path / "a", callback=calm, **often)
    assert {"log", "checkpoint"} <= {*calm.heard}
    assert calm.heard[-1] == "finished"
    with pytest.raises(AssertionError):
        fastgan.train(images, budget="16img", out=tmp_path / "b", callback=[calm, strict], **often)
    assert strict.heard[-1] == "failed"
    assert fastgan.Run(tmp_path / "b").cur_nimg == 12


def test_it_trains_in_another_thread(images: Path, tmp_path: Path) -> None:
    runs: list[fastgan.Run] = []

    def work() -> None:
        runs.append(fastgan.train(images, budget="8img", out=tmp_path / "run", **QUIET))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert runs[0].cur_nimg == 8


def test_metrics_may_be_ones_own(images: Path, tmp_path: Path) -> None:
    def make(dataset: Dataset, train: settings.TrainConfig, device: torch.device) -> Any:
        return lambda sample: {"brightness[mean]": float(sample(0, 4).float().mean())}

    run = fastgan.train(
        images, budget="16img", eval_every="8img", evaluator=make, out=tmp_path / "run", **QUIET
    )
    assert 0 < run.metrics["brightness[mean]"] < 255
    assert run.best is not None
    assert run.best["metric"] == "brightness[mean]"


@pytest.mark.parametrize("shown", [True, False])
def test_progress_is_for_standard_error_alone(
    shown: bool, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fastgan.train(images, budget="8img", out=tmp_path / "run", **QUIET | {"progress": shown})
    said = capsys.readouterr()
    assert said.out == ""
    assert ("swift on 8 images of 16x16x3" in said.err) == shown


SCRIPT = """
import sys, fastgan
try:
    fastgan.train(sys.argv[1], out="mine", budget="1h", device="cpu", settings={settings!r})
except KeyboardInterrupt as stopped:
    print(type(stopped).__name__, stopped)
    sys.exit(7)
"""


def test_ctrl_c_saves_and_raises(images: Path, tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    script = [sys.executable, "-c", SCRIPT.format(settings=SMALL), str(images)]
    process = subprocess.Popen(
        script, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "mine" / "grids").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 7, err
    found = re.fullmatch(
        r"KeyboardInterrupt stopped at (.+) kimg in \S+; saved (.+): (.+) goes on exactly\n", out
    )
    assert found is not None, out
    assert found[3] == "fastgan.train(resume='mine')"
    run = fastgan.Run(tmp_path / "mine")
    assert run.cur_nimg == round(1000 * float(found[1]))
    assert run.facts["checkpoint"] == tmp_path / found[2]


def test_the_table_is_what_the_command_and_the_call_take() -> None:
    beside = {"settings", "out", "resume", "device"}
    parameters = inspect.signature(fastgan.train).parameters
    assert {*parameters} == {*OPTIONS, *beside, "evaluator", "callback", "progress"}
    assert {p.name for p in command.params} == {*OPTIONS, *beside, "as_json", "dry_run"}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name in OPTIONS:
            assert f"--{parameter.name.replace('_', '-')}" in parameter.opts
    assert LAST == layers.LAST


def test_the_table_names_settings_that_there_are() -> None:
    for setting in (*(o.setting for o in OPTIONS.values() if o.setting), *FREE):
        table, _, key = setting.partition(".")
        if table == "model":
            assert key in settings_of_dcgan()
        else:
            assert hasattr(getattr(settings.RunConfig(), table), key), setting


def settings_of_dcgan() -> dict[str, Any]:
    from fastgan import models

    return vars(models.load("dcgan").Config())


def test_what_is_not_given_is_not_asked_for() -> None:
    asked = Asked(options={"seed": None, "spectral_norm": False, "freeze_d": 0, "source": ""}, settings={})
    assert asked.tables == {"train": {"freeze_d": 0}}
    assert asked.file is None
