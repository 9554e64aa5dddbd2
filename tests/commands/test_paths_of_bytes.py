"""Paths that are no UTF-8 (a folder that was copied from an older system): everything can be read and written there."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastgan import config
from fastgan.__main__ import run
from fastgan.errors import OutputError
from fastgan.exporters import export_onnx, triton
from fastgan.files import plain_folder, plain_path
from fastgan.inference.opening import open_generator
from fastgan.inference.pipeline import ANYTHING
from fastgan.training import checkpoint, folder
from tests.tiny import tiny_run

CAFE = os.fsdecode(b"caf\xe9")
SMALL = ["--resolution", "16", "--preset", "dcgan", "--device", "cpu", "--budget", "8img"]
SMALL += [part for pair in ("model.width=4", "train.batch=8", "train.grid_images=4", "train.precision=fp32")
          for part in ("--set", pair)]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bytes") / CAFE
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    (folder / "images" / CAFE).mkdir(parents=True)
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)):
        Image.fromarray(image).save(folder / "images" / CAFE / f"{CAFE}{i}.png")
    return folder


def fastgan(*arguments: object) -> None:
    assert run([*map(str, arguments)]) == 0


@pytest.mark.parametrize(
    "path", [b"/data/caf\xe9", b"\xff\xfe", "/\U0010dce9/é".encode(), b"/a\n\"'\\\x7f\x80"]
)
def test_a_path_survives_config_toml(path: bytes, tmp_path: Path) -> None:
    text = config.to_toml({"data": {"source": os.fsdecode(path)}})
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    read = config.read_toml(tmp_path / "config.toml")
    assert os.fsencode(read["data"]["source"]) == path


def test_from_images_to_a_report(place: Path) -> None:
    packed, first, second = place / f"{CAFE}.fgd", place / f"{CAFE}-1", place / f"{CAFE}-2"
    fastgan("data", "pack", place / "images", "-o", packed)
    fastgan("data", "info", packed, "--verify")
    fastgan("train", place / "images", "--out", first, *SMALL)
    fastgan("train", "--resume", first, "--budget", "16img")
    assert folder.read_config(first).data.source == str(place / "images")
    fastgan("train", packed, "--out", second, "--init-from", first, *SMALL)
    fastgan("train", "--resume", second, "--budget", "16img")
    assert folder.read_config(second).train.init_from == str(first)
    assert checkpoint.describe(second)["config"]["data"]["source"] == str(packed)
    fastgan("report", second, "-o", place / f"{CAFE}.html")
    assert r"caf\xe9" in (place / f"{CAFE}.html").read_text(encoding="utf-8")
    fastgan("info", second)
    fastgan("info", second / "generator.safetensors")
    assert list((second / "tensorboard").glob("events.*"))


@pytest.fixture(scope="module")
def model(place: Path) -> Path:
    return tiny_run(place / f"model-{CAFE}", "stylegan")


@pytest.mark.parametrize("name", ["png", "jpg", "webp", "webdataset", "parquet", "npz"])
def test_sets_of_images(name: str, model: Path, place: Path) -> None:
    out = place / f"{CAFE}-{name}"
    fastgan("generate", model, "-n", 3, "--format", name, "--device", "cpu", "-o", out)
    fastgan("generate", "--verify", "-o", out)


@pytest.mark.parametrize("name", ["png", "gif", "mp4"])
def test_figures(name: str, model: Path, place: Path) -> None:
    out = place / f"{CAFE}-figures"
    common = ("generate", model, "--device", "cpu", "-o", out)
    if name == "mp4":
        pytest.importorskip("av")
    if name == "png":
        fastgan(*common, "-n", 2, "--grid")
        fastgan(*common, "--style-mix", "-n", 2)
    fastgan(*common, "-n", 2, "--interpolate", "--frames", 2, "--format", name)
    assert (out / f"interpolation.{name}").stat().st_size > 0


def test_exports(model: Path, place: Path) -> None:
    target = place / f"{CAFE}.onnx"
    export_onnx(model, target)
    assert open_generator(target, batch=2).images([0, 1], ANYTHING).shape == (2, 16, 16, 3)
    export_onnx(model, target, split=True)
    fastgan("info", target)
    with pytest.raises(OutputError, match=r"caf\\xe9 cannot be the name of a model for Triton"):
        triton.write_repository(target, place / f"models-{CAFE}")
    assert triton.write_repository(target, place / f"models-{CAFE}", name="model").is_dir()


def test_statistics_and_cards(model: Path, place: Path) -> None:
    fastgan("data", "pack", place / "images", "-o", place / "small.fgd", "--overwrite")
    common = ("--extractor", "random-conv", "--metrics", "fid", "-n", 4, "--device", "cpu")
    fastgan("generate", model, "-n", 4, "--device", "cpu", "-o", place / f"{CAFE}-scored")
    reference = place / f"{CAFE}.safetensors"
    card = place / f"{CAFE}.json"
    scored = place / f"{CAFE}-scored"
    fastgan("eval", scored, "--data", place / "small.fgd", *common, "-o", card, "--save-reference", reference)
    fastgan("eval", scored, "--data", reference, *common, "-o", place / f"2{CAFE}.json", "--compare", card)


def test_a_plain_name_shows_the_same_file_and_what_is_beside_it(place: Path) -> None:
    (place / "beside").write_text("b")
    (place / "plain").write_text("a")
    with plain_path(place / "plain") as name:
        name.encode()
        assert Path(name).read_text() == "a"
        assert Path(name).with_name("beside").read_text() == "b"
    assert not os.path.lexists(Path(name).parent)
    (place / f"{CAFE}.txt").write_text("c")
    with plain_path(place / f"{CAFE}.txt") as name:
        assert Path(name).read_text() == "c"
        assert name.endswith(".txt")
    with plain_folder("") as name:
        assert name == ""
    with pytest.raises(OSError, match="is a folder"), plain_path(place):
        pass


def test_a_command_line_in_the_c_locale(place: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "fastgan", "info", place / CAFE],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"fastgan: error: ")
    assert rb"caf\xe9" in done.stderr
