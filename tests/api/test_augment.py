"""`fastgan.augment`: a study from Python."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import fastgan
from fastgan.callbacks import Callback, Job
from fastgan.commands.augment import command
from fastgan.config import overrides, pairs
from fastgan.errors import ConfigError, DataError, FastganError, OutputError
from fastgan.study import desk, recipes
from tests.study.conftest import TINY_GAN
from tests.study.images import bars_set

TINY: dict[str, Any] = {
    **{"transfer": False, "seeds": 2, "steps": 8, "gan_budget": "64img", "ratios": [1], "progress": False},
    **{"arms": ["real", "synthetic x1"], "gan_settings": overrides(TINY_GAN), "device": "cpu"},
}


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    monkeypatch.setitem(desk.TRIALS, "cnn", desk.TRIALS["cnn"][:1])
    monkeypatch.setattr(recipes, "RECIPES", recipes.RECIPES[:1])
    bars_set(Path("bars.fgd"), 20)


class Listener(Callback):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def begin(self, job: Job) -> None:
        self.heard.append(job.work)

    def event(self, step: int, kind: str, text: str) -> None:
        self.heard.append((kind, text))

    def end(self, results: Any) -> None:
        self.heard.append(results["status"])


def test_a_study_ends_in_a_verdict_and_the_command_goes_on_in_it() -> None:
    listener = Listener()
    done = fastgan.augment("bars.fgd", **TINY, write="more", callback=listener)
    assert done.complete
    assert done.folder == Path("bars-augment")
    assert done.written == Path("more")
    assert {path.name for path in Path("more").iterdir()} == {"manifest.json", "lying", "square", "standing"}
    assert json.loads((done.folder / "report.json").read_text())["scenarios"][0]["name"] in done.verdicts
    (verdict,) = done.verdicts.values()
    assert listener.heard == ["augment", ("verdict", f"as given: {verdict}"), "finished"]
    assert verdict in repr(done)
    assert "<table>" in done._repr_html_()
    assert done.recommended == json.loads(Path("more/manifest.json").read_text())["recommended"]
    words = ["--no-transfer", "--seeds", "2", "--steps", "8", "--gan-budget", "64img", "--ratios", "1"]
    words += ["--arms", "real,synthetic x1", *(x for setting in TINY_GAN for x in ("--gan-set", setting))]
    again = CliRunner().invoke(command, ["bars.fgd", *words, "--device", "cpu"], catch_exceptions=False)
    assert "everything is there already" in again.stderr  # the same GAN, by its hash
    assert verdict in again.stdout


def test_a_dry_run_leaves_nothing() -> None:
    planned = fastgan.augment("bars.fgd", **TINY, per_class=[8, 4], dry_run=True)
    assert planned.plan.startswith("2 scenarios, 2 seeds: 8 classifiers and 4 GANs of 64img to train")
    assert not planned.complete
    assert planned.verdicts == {}
    assert planned.plan in repr(planned)
    assert [path.name for path in Path().iterdir()] == ["bars.fgd"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"data": "nowhere"}, DataError, "nowhere"),
        ({"seeds": 1}, ConfigError, "`seeds` 1 is out of range: an interval needs 2 at least"),
        ({"seeds": "many"}, ConfigError, "seeds='many' is no whole number"),
        ({"ratios": [0]}, ConfigError, "`ratios` 0 must be numbers above 0"),
        ({"per_class": [50]}, DataError, "`per_class` 50 needs as many training images"),
        ({"near": 0.1}, ConfigError, "near=0.1 is out of range"),
        ({"measure": "luck"}, ConfigError, "measure='luck' is unknown: choose one of accuracy, macro_f1"),
        ({"budget": "5kimg"}, ConfigError, "`budget` 5kimg must be a time"),
        ({"gan_budget": "soon"}, ConfigError, "`gan_budget` = 'soon' is not a length"),
        ({"gan_settings": {"train.batches": 3}}, ConfigError, "unknown setting train.batches"),
        (
            {"gan_settings": {"train.init_from": "x"}},
            ConfigError,
            "`gan_settings` train.init_from is `gan_init_from`",
        ),
        ({"write": "."}, OutputError, "is there already: name a new folder"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    arguments: dict[str, Any], error: type[FastganError], words: str
) -> None:
    with pytest.raises(error) as raised:
        fastgan.augment(**{"data": "bars.fgd", **TINY, **arguments})
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [path.name for path in Path().iterdir()] == ["bars.fgd"]


def test_the_command_has_an_option_for_each_argument() -> None:
    arguments = {*inspect.signature(fastgan.augment).parameters} - {"callback", "progress", "transfer"}
    assert {p.name for p in command.params} - {"as_json", "no_transfer"} == arguments


def test_pairs_are_the_inverse_of_overrides() -> None:
    tables = {
        "train": {"budget": "10m", "batch": 4, "ema_kimg": [10.0, 1.0]},
        "data": {"mirror": True, "split": "a b"},
    }
    assert overrides(pairs(tables)) == tables
