"""`fastgan generate --runtime fastest`: measured once, then the folder's settings decide."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastgan.__main__ import run
from fastgan.fastest import search
from fastgan.fastest.choice import Choice, Trial
from fastgan.inference import open_generator
from fastgan.inference.precisions import PRECISIONS
from fastgan.inference.verify import verify
from tests.tiny import tiny_run

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("fastest") / "0001", "dcgan")


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The search finds ONNX Runtime in batches of 3; what it was asked for."""
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    asked: list[Any] = []

    def found(self: Any, precisions: Any, batch: Any, patience: float) -> Choice:
        asked.append((tuple(precisions), batch))
        trial = Trial(runtime="onnx", precision="fp32", batch=batch or 3, images_per_second=99.0)
        return Choice(chosen=trial, tried=(trial,))

    monkeypatch.setattr(search._Search, "run", found)
    return asked


def generate(model: Path, out: Path, *more: str) -> int:
    return run(["generate", str(model), "--runtime", "fastest", "--device", "cpu", "-o", str(out), *more])


def test_a_folder_goes_on_as_it_was_begun(
    model: Path, tmp_path: Path, measured: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert generate(model, out, "-n", "4") == 0
    assert "fastest: onnx fp32, batch 3: 99 images/s" in capsys.readouterr().err
    settings = json.loads((out / "fastgan.json").read_text())
    assert (settings["runtime"], settings["precision"], settings["set"]["batch"]) == ("onnx", "fp32", 3)
    assert settings["fingerprint"] == open_generator(model, device="cpu").facts.fingerprint
    measured.clear()
    for file in (tmp_path / "cache" / "fastest").iterdir():
        file.unlink()  # it goes by the folder, not by memory
    assert generate(model, out, "-n", "10", "--precision", "any") == 0
    assert measured == []
    verify(out).check()
    assert len(list(out.glob("*.png"))) == 10


@pytest.mark.parametrize(
    ("precision", "allowed"),
    [((), ("fp32",)), (("--precision", "bf16"), ("bf16",)), (("--precision", "any"), PRECISIONS)],
)
def test_what_may_be_chosen_from(
    precision: tuple[str, ...], allowed: tuple[str, ...], model: Path, tmp_path: Path, measured: list[Any]
) -> None:
    assert generate(model, tmp_path / "out", "-n", "1", "--batch", "5", *precision) == 0
    assert measured == [(allowed, 5)]


def test_shards_go_by_a_folder_that_was_begun(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert generate(model, out, "-n", "12", "--shard", "1/2") == 2
    assert "begin the folder with one image" in capsys.readouterr().err
    assert not out.exists()
    assert generate(model, out, "-n", "1") == 0
    for shard in ("0/2", "1/2"):
        assert generate(model, out, "-n", "12", "--shard", shard) == 0
    assert len(list(out.glob("*.png"))) == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "fp64"], "choose one of any, fp32"),
        (["--interpolate"], "is for sets of images"),
        (["--style-mix"], "is for sets of images"),
        (["--runtime", "torch", "--precision", "any"], "leaves the choice to --runtime fastest"),
        (["--batch", "0"], "give a number from 1 to 10000000"),
    ],
)
def test_nonsense(
    arguments: list[str], words: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(model, tmp_path / "out", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
