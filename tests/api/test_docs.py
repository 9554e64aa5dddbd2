"""The code of docs/api.md and the notebook run as they stand, in small."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from fastgan import Run

ROOT = Path(__file__).parents[2]
# What the page prints, and what makes it a matter of seconds.
SMALL = {
    'preset="small"': 'preset="dcgan"',
    "resolution=64": "resolution=16",
    '"5m"': '"32img"',
    '"10m"': '"64img"',
}
TINY = {"model.width": 4, "train.grid_images": 4, "train.batch": 8}


def blocks() -> list[str]:
    return re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL | re.MULTILINE
    )


def photos(folder: Path, count: int = 40, size: int = 16) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def in_small(code: str, **more: str) -> str:
    for printed, small in {**SMALL, **more}.items():
        code = code.replace(printed, small)
    return code


def run(code: str, folder: Path, **environment: str) -> None:
    """In a process of its own, as a user's script."""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=env | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_first_page_of_the_api(tmp_path: Path) -> None:
    first = next(code for code in blocks() if "evaluate" in code)
    photos(tmp_path / "photos")
    settings = f"settings={TINY}"
    small = in_small(
        first, **{'settings={"train.batch": 16}': settings, '"prdc"]': '"prdc"], n=40', "n=1000": "n=10"}
    )
    assert settings in small
    assert small.count("n=40") == 1
    run(small.replace("[64, 64, 64, 3]", "") + "assert images.shape == (64, 16, 16, 3)\n", tmp_path)
    assert Run(tmp_path / "runs" / "a").cur_nimg == 64
    assert (tmp_path / "model.onnx").is_file()
    assert len(list((tmp_path / "set").glob("*.tar"))) == 1


def logger(name: str) -> str:
    code = next(code for code in blocks() if f"import {name}" in code)
    small = in_small(code, **{"callback=": f'preset="dcgan", resolution=16, settings={TINY}, callback='})
    assert "32img" in small
    assert "dcgan" in small
    return small


@pytest.mark.skipif(not find_spec("wandb"), reason="needs wandb")
def test_weights_and_biases_hears_of_a_run(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    run(logger("wandb"), tmp_path, WANDB_MODE="offline", WANDB_SILENT="true")
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    grids = sorted((written / "files" / "media" / "images").glob("samples_*.png"))
    assert len(grids) == len(list((tmp_path / "runs" / "b" / "grids").glob("*.png")))
    record = next(written.glob("*.wandb")).read_bytes()
    assert b"loss_d" in record
    assert b"lr_g" in record  # of the settings


@pytest.mark.skipif(not find_spec("mlflow"), reason="needs mlflow-skinny")
def test_mlflow_hears_of_a_run(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    store = tmp_path / "mlruns"
    run(logger("mlflow"), tmp_path, MLFLOW_TRACKING_URI=store.as_uri(), MLFLOW_ALLOW_FILE_STORE="true")
    (written,) = (path.parent for path in store.glob("0/*/metrics"))
    lines = Run(tmp_path / "runs" / "c").history
    found = [line.split() for line in (written / "metrics" / "loss_d").read_text().splitlines()]
    assert [(float(value), int(step)) for _, value, step in found] == [
        (line["loss_d"], line["cur_nimg"]) for line in lines
    ]
    assert (written / "params" / "train.batch").read_text() == "8"
    assert "status: 3" in (written / "meta.yaml").read_text()  # FINISHED
    assert list((written / "artifacts" / "images").glob("samples*.png"))


def test_the_notebook_goes_from_a_folder_to_an_exported_model(tmp_path: Path) -> None:
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    photos(tmp_path / "photos", count=60)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    names = re.findall(r"^(\w+) =", parameters.source, re.MULTILINE)
    small = {"SOURCE": "photos", "RESOLUTION": 16, "BUDGET": "64img", "PRESET": "dcgan", "IMAGES": 20}
    assert list(small) == names
    parameters.source = "\n".join(f"{name} = {value!r}" for name, value in small.items())
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert (tmp_path / "model.onnx").is_file()
    assert (tmp_path / "model.safetensors").is_file()
    assert json.loads((tmp_path / "runs" / "quickstart" / "eval.json").read_text())["scores"]
    shown = [
        out
        for cell in notebook.cells
        for out in cell.get("outputs", [])
        if "image/png" in out.get("data", {})
    ]
    assert len(shown) == 2  # the run's grid, and the generator's
