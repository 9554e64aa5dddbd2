"""`fastgan.export`: the file of `fastgan export` and the facts of its verification, from Python."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastgan
from fastgan.__main__ import run as command
from fastgan.callbacks import Callback
from fastgan.commands._document import plain
from fastgan.data import packed
from fastgan.errors import CheckpointError, ConfigError, OutputError
from fastgan.evaluation import check_fid
from fastgan.metrics import open_extractor
from fastgan.training import checkpoint
from tests.metrics.sets import dataset
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_fid, "_network", lambda shown: open_extractor("random-conv"))
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


class Listener(Callback):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, values["snr_db"]))

    def event(self, step: int, kind: str, text: str) -> None:
        self.told.append(kind)

    def end(self, results: Mapping[str, Any]) -> None:
        self.told.append(results["status"])


def test_file_and_facts_are_those_of_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard = Listener()
    done = fastgan.export(run, "model.onnx", callback=heard)
    assert capsys.readouterr() == ("", "")
    assert done.paths == (Path("model.onnx"),)
    assert done.bytes == Path("model.onnx").stat().st_size
    assert done.max_difference is not None
    assert done.max_difference < 1e-4
    assert [check.batch for check in done.checks] == [1, 3, 64]
    numbers = [told for check in zip((1, 2, 3), done.checks, strict=True) for told in ("check", check)]
    assert heard.told[0] == "export"
    assert heard.told[1:-1] == [told if told == "check" else (told[0], told[1].snr_db) for told in numbers]
    assert heard.told[-1] == "finished"

    by_call = Path("model.onnx").read_bytes()
    assert command(["export", str(run), "--onnx", "model.onnx", "--overwrite", "--json"]) == 0
    assert Path("model.onnx").read_bytes() == by_call
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(plain(done.facts())))
    assert command(["export", str(run), "--onnx", "model.onnx", "--overwrite"]) == 0
    said = capsys.readouterr().out
    assert said.endswith(f"{done!r}\ntry it: fastgan generate model.onnx --grid\n")
    shown = done._repr_html_()
    assert shown.startswith("<table>")
    assert all(line in shown for line in done.lines())


def test_an_opened_generator_is_exported_from_where_it_lies(run: Path, tmp_path: Path) -> None:
    own = tiny_run(tmp_path / "run", "dcgan")
    generator = fastgan.load(own)
    fastgan.export(generator, "of.onnx")
    fastgan.export(own, "by.onnx")
    assert Path("of.onnx").read_bytes() == Path("by.onnx").read_bytes()
    theirs = fastgan.load("of.onnx").sample(3).astype(int)
    assert np.abs(theirs - generator.sample(3)).max() <= 1

    other = checkpoint.load(tiny_run(tmp_path / "other", "dcgan", seed=1))
    checkpoint.save_release(tmp_path / "g.safetensors", checkpoint.load(own))
    generator = fastgan.load("g.safetensors")
    Path("g.safetensors").unlink()
    checkpoint.save_release(tmp_path / "g.safetensors", other)
    with pytest.raises(CheckpointError, match=r"g\.safetensors holds another generator than was opened"):
        fastgan.export(generator, "late.onnx")
    assert not Path("late.onnx").exists()


def test_scores_of_the_file_are_among_the_facts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = dataset(80)
    packed.write(Path("x.fgd"), real)
    done = fastgan.export(run, "m.onnx", check_fid=True, data=real, n=60, progress=False)
    assert capsys.readouterr() == ("", "")
    assert done.fid is not None
    assert done.fid.images == 60
    assert done.fid.worse_by <= done.fid.allowed
    line = ["export", str(run), "--onnx", "m.onnx", "--check-fid", "--data", "x.fgd", "-n", "60"]
    assert command([*line, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["check_fid"] == done.facts()["check_fid"]

    class Refuse(Callback):
        def event(self, step: int, kind: str, text: str) -> None:
            if kind == "fid":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # the file is written, and has no name yet
        fastgan.export(run, "late.onnx", check_fid=True, n=60, progress=False, callback=Refuse())
    assert sorted(path.name for path in Path().iterdir()) == ["cache", "m.onnx", "x.fgd"]


def test_triton(run: Path) -> None:
    alone = fastgan.export(run, triton="models")
    assert alone.triton == Path("models") / "0007"
    assert (alone.paths, alone.bytes) == ((), 0)
    assert alone.snr_db is not None
    fastgan.export(run, "m.onnx")
    again = fastgan.export("m.onnx", triton="again")
    assert again.snr_db is None
    assert repr(again).startswith("again/m; serve it: tritonserver --model-repository=/")
    assert json.loads(json.dumps(plain(again.facts()))) == {
        "source": "m.onnx", "files": [], "triton": "again/m",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "line", "words"),
    [
        ({}, [], "there is nothing to write: give {target} FILE, {triton} DIR, or both."),
        (
            {"target": "m.onnx", "fp16": True, "int8": True},
            ["--onnx", "m.onnx", "--fp16", "--int8"],
            "{fp16} and {int8} are two precisions of one file: give one, or export twice.",
        ),
        (
            {"triton": "t", "split": True},
            ["--triton", "t", "--split"],
            "{triton} serves a whole model: leave {split} away, or export twice.",
        ),
        (
            {"target": "m.onnx", "n": 60},
            ["--onnx", "m.onnx", "-n", "60"],
            "{data}, {n} and {fid_limit} are for {check_fid}: give that too, or leave them away.",
        ),
    ],
)
def test_errors_carry_the_sentence_of_the_command(
    options: dict[str, Any], line: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("target", "triton", "fp16", "int8", "split", "data", "n", "fid_limit", "check_fid")
    with pytest.raises(ConfigError) as raised:
        fastgan.export(run, **options)
    assert str(raised.value) == words.format(**{name: f"`{name}`" for name in names})
    assert command(["export", str(run), *line]) == 2
    as_options = {name: f"--{name.replace('_', '-')}" for name in names} | {"target": "--onnx", "n": "-n"}
    assert capsys.readouterr().err == f"fastgan: error: {words.format(**as_options)}\n"
    assert not list(Path().iterdir())


def test_wrong_arguments(run: Path) -> None:
    with pytest.raises(ConfigError, match="n=3 is out of range: give a number from 50"):
        fastgan.export(run, "m.onnx", check_fid=True, n=3)
    with pytest.raises(ConfigError, match="fid_limit=-1 is out of range"):
        fastgan.export(run, "m.onnx", check_fid=True, fid_limit=-1)
    with pytest.raises(ConfigError, match="opset=3 is out of range"):
        fastgan.export(run, "m.onnx", opset=3)
    with pytest.raises(ConfigError, match=r"source=tensor.*is no path"):
        fastgan.export(torch.zeros(2), "m.onnx")  # type: ignore[arg-type]
    Path("taken.onnx").write_text("precious")
    with pytest.raises(OutputError, match="give `overwrite` to replace it"):
        fastgan.export(run, "taken.onnx")
    assert Path("taken.onnx").read_text() == "precious"
