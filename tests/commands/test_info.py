"""`fastgan info` on everything that fastgan writes, and on what it does not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from fastgan import __version__
from fastgan.__main__ import run as fastgan
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import CheckpointError
from fastgan.exporters import export_onnx
from fastgan.inference.onnx_header import read_header
from fastgan.training import checkpoint
from tests.tiny import DATA_HASH, tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(
        tmp_path_factory.mktemp("runs") / "0007", "stylegan", resolution=8, classes=2, attributes=1
    )


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    export_onnx(run, run.parent / "model.onnx", uint8=True)
    return run.parent / "model.onnx"


def described(capsys: pytest.CaptureFixture[str], *paths: Path) -> list[dict[str, Any]]:
    assert fastgan(["info", *map(str, paths), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def rows(capsys: pytest.CaptureFixture[str], path: Path) -> dict[str, str]:
    """Title -> text of the printed table."""
    assert fastgan(["info", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[:11].strip(): line[12:] for line in lines if line[0] != " "}


def refused(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    assert fastgan(["info", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    return said.err


def test_exported(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [facts] = described(capsys, exported)
    assert facts["kind"] == "exported model"
    assert (facts["model"], facts["part"], facts["precision"], facts["opset"]) == (
        "stylegan",
        "whole",
        "fp32",
        20,
    )
    assert (facts["class_names"], facts["attribute_names"]) == (["class0", "class1"], ["attribute0"])
    assert (facts["data_hash"], facts["cur_nimg"]) == (DATA_HASH, 1500)
    assert facts["config"]["model"]["mapping_layers"] == 2
    assert facts["versions"] == {"fastgan": __version__}
    inputs = {each["name"]: (each["type"], each["shape"], each["default"]) for each in facts["inputs"]}
    assert inputs["z"] == ("float32", ["batch", 16], False)
    assert inputs["label"] == ("int64", ["batch"], False)
    assert inputs["truncation_psi"] == ("float32", [], True)
    assert facts["outputs"] == [{"name": "images", "type": "uint8", "shape": ["batch", 8, 8, 3]}]
    whole = onnx.load(exported).graph.initializer
    assert sum(facts["weights"].values()) == sum(int(np.prod(tensor.dims)) for tensor in whole)

    table = rows(capsys, exported)
    assert table["kind"] == "exported model, fp32, opset 20"
    assert table["classes"] == "2: class0, class1"
    assert table["inputs"].startswith(
        "z float32 [batch, 16], label int64 [batch], attributes float32 [batch, 1], (tr"
    )
    assert table["inputs"].endswith("(noise_0..3 float32)")
    assert table["pixels"] == "uint8 0..255, NHWC"


def test_what_exports_will_say(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parts, precisions and weights in a file of their own, by the metadata that they have."""
    model = onnx.load(exported)
    said = {prop.key: prop.value for prop in model.metadata_props}
    said |= {"fastgan.part": "synthesis", "fastgan.precision": "int8", "fastgan.snr_db": "27.31"}
    onnx.helper.set_model_props(model, said)
    path = tmp_path / "m.synthesis.onnx"
    onnx.save_model(
        model, path, save_as_external_data=True, location="m.synthesis.onnx.data", size_threshold=0
    )
    table = rows(capsys, path)
    assert table["kind"] == "exported model, the synthesis alone, int8, 27.3 dB from torch, opset 20"
    data = tmp_path / "m.synthesis.onnx.data"
    [facts] = described(capsys, path)
    assert facts["data_files"] == [{"file": str(data), "bytes": data.stat().st_size}]
    data.unlink()
    assert described(capsys, path)[0]["data_files"] == [{"file": str(data), "bytes": None}]
    assert fastgan(["info", str(path)]) == 0
    assert f"{data} is missing" in capsys.readouterr().out


def test_run_checkpoint_and_release(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = tmp_path / "generator.safetensors"
    checkpoint.save_release(release, checkpoint.load(run))
    folder = run / "checkpoints" / "000001500"
    whole, one, released = described(capsys, run, folder, release)
    assert [each["kind"] for each in (whole, one, released)] == ["checkpoint", "checkpoint", "release"]
    for facts in (whole, one, released):
        assert (facts["model"], facts["resolution"], facts["cur_nimg"]) == ("stylegan", 8, 1500)
        assert facts["class_names"] == ["class0", "class1"]
        assert facts["data_hash"] == DATA_HASH
    assert "source" not in released["config"]["data"]
    tensors = checkpoint.load_networks(release)
    assert released["weights"]["generator"] == sum(tensor.numel() for tensor in tensors.values())

    (run / "config.toml").touch()  # that is what makes it a run
    [facts] = described(capsys, run)
    assert (facts["kind"], facts["latest"], facts["best"]) == ("training run", "000001500", None)
    table = rows(capsys, run)
    assert table["trained"] == "1,500 images seen"
    assert table["model"] == "stylegan, 8 x 8 RGB, from 16 latents"
    assert table["[model]"].startswith("name=stylegan, resolution=8, img_channels=3, classes=2")


def test_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = torch.zeros(5, 8, 8, 1, dtype=torch.uint8), torch.tensor([0, 1, 1, 1, 0])
    dataset = Dataset(
        images=images, labels=labels, class_names=("no", "yes"), content_hash=content_hash(images, labels)
    )
    packed.write(tmp_path / "x.fgd", dataset)
    table = rows(capsys, tmp_path / "x.fgd")
    assert (table["images"], table["classes"]) == ("5 of 8 x 8 grey", "2: no 2, yes 3")
    [facts] = described(capsys, tmp_path / "x.fgd")
    assert facts["content_hash"] == dataset.content_hash


def test_an_onnx_file_needs_no_torch(exported: Path) -> None:
    code = (
        "import sys; from fastgan.__main__ import run; assert run(['info', sys.argv[1]]) == 0;"
        "assert 'torch' not in sys.modules and 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(exported)], check=True, capture_output=True)


def test_header_is_the_file_without_its_weights(exported: Path) -> None:
    whole, header = onnx.load(exported), read_header(exported)
    assert header.ByteSize() < exported.stat().st_size / 2
    for tensor in whole.graph.initializer:
        for field in ("raw_data", "float_data", "int32_data", "int64_data"):
            tensor.ClearField(field)
    assert header == whole


def test_a_cut_file_is_refused_wherever_it_is_cut(exported: Path, tmp_path: Path) -> None:
    content, path = exported.read_bytes(), tmp_path / "cut.onnx"
    for size in (0, 1, 7, 40, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match="not a whole ONNX model"):
            read_header(path)


def test_bad_input(run: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refused(capsys, tmp_path / "nothing.onnx")
    assert "neither a training run nor a checkpoint" in refused(capsys, tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert "nothing that fastgan writes" in refused(capsys, text)
    inside = run / "checkpoints" / "000001500" / "model.safetensors"
    assert f"give the folder, {inside.parent}" in refused(capsys, inside)

    foreign = onnx.load(exported)
    del foreign.metadata_props[:]
    onnx.save_model(foreign, tmp_path / "foreign.onnx")
    assert "not one that fastgan exported" in refused(capsys, tmp_path / "foreign.onnx")
    garbled = onnx.load(exported)
    next(prop for prop in garbled.metadata_props if prop.key == "fastgan.config").value = "{"
    onnx.save_model(garbled, tmp_path / "garbled.onnx")
    assert "export it again" in refused(capsys, tmp_path / "garbled.onnx")
