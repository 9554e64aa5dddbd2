"""What `fastgan.load` gives: sheets, releases, texts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastgan
from fastgan.errors import CheckpointError, ConfigError, OutputError
from fastgan.training import checkpoint
from tests.inference.fakes import FakeRuntime
from tests.tiny import tiny_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tiny_run(tmp_path / "run", "stylegan", classes=3)


@pytest.mark.parametrize(
    ("keywords", "size"),
    [({"n": 6}, (3, 2)), ({"n": 6, "columns": 6}, (6, 1)), ({}, (8, 8)), ({"classes": "all"}, (8, 3))],
)
def test_the_grid_is_that_of_generate(
    keywords: dict[str, object], size: tuple[int, int], run: Path, tmp_path: Path
) -> None:
    model = fastgan.load(run)
    sheet = model.grid(seed=2, **keywords)  # type: ignore[arg-type]
    assert (sheet.mode, sheet.size) == ("RGB", (size[0] * 16, size[1] * 16))
    if "columns" not in keywords:
        done = fastgan.generate(run, seed=2, grid=True, out=tmp_path / "o", progress=False, **keywords)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.asarray(Image.open(done.figures[0])), np.asarray(sheet))


def test_grids_of_other_channels_and_wrong_ones() -> None:
    assert FakeRuntime(img_channels=1).grid(4).mode == "L"
    assert FakeRuntime(img_channels=4).grid(4).mode == "RGBA"
    with pytest.raises(ConfigError, match="columns=5 is out of range: give a number from 1 to 4"):
        FakeRuntime().grid(4, columns=5)
    with pytest.raises(ConfigError, match="px long"):
        FakeRuntime().grid(3000, columns=1)


def test_a_saved_generator_is_the_release_of_its_run(run: Path, tmp_path: Path) -> None:
    model = fastgan.load(run)
    path = model.save(tmp_path / "model.safetensors")
    checkpoint.save_release(tmp_path / "release.safetensors", checkpoint.load(run))
    assert path.read_bytes() == (tmp_path / "release.safetensors").read_bytes()
    assert b"/secret/photos" not in path.read_bytes()
    opened = fastgan.load(path)
    assert opened.facts.fingerprint == model.facts.fingerprint
    np.testing.assert_array_equal(opened.sample(3), model.sample(3))
    assert opened.save(tmp_path / "copy.safetensors").read_bytes() == path.read_bytes()
    with pytest.raises(OutputError, match="which is being read"):
        opened.save(path, overwrite=True)
    with pytest.raises(OutputError, match="there already: choose another name, or give `overwrite`"):
        opened.save(tmp_path / "copy.safetensors")
    with pytest.raises(ConfigError, match=r"let it end in \.safetensors"):
        model.save(tmp_path / "model.bin")


def test_a_run_that_went_on_is_not_saved_for_what_was_opened(run: Path, tmp_path: Path) -> None:
    model = fastgan.load(run)
    tiny_run(run, "stylegan", classes=3, seed=1)
    with pytest.raises(CheckpointError, match="holds other weights than when it was opened"):
        model.save(tmp_path / "model.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_an_exported_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="copy the exported file itself"):
        FakeRuntime().save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_it_says_of_itself(run: Path) -> None:
    said = repr(fastgan.load(run, device="cpu"))
    assert said == f"<{run}: stylegan, 16 px, 3 channels, 1.5 kimg, 3 classes; torch on cpu, fp32, batch 16>"
