"""`fastgan export` as a user meets it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgan
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan")


def call(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "fastgan", *map(str, arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True, cwd=cwd, env=environment)


def test_export_then_generate(run: Path, tmp_path: Path) -> None:
    done = call("export", run, "--onnx", "new/model.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for batch in (1, 3, 64):
        assert f"batch {batch:2d}, defaults: max difference " in done.stdout
    assert done.stderr == f"exporting {run} ...\n"  # none of the exporter's own remarks
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["model.onnx"]

    done = call("generate", "new/model.onnx", "-n", 3, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "onnx on cpu" in done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    theirs = fastgan.load(tmp_path / "new" / "model.onnx").sample(3).astype(int)
    assert np.abs(theirs - fastgan.load(run).sample(3)).max() <= 1

    done = call("export", run, "--onnx", "new/model.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("fastgan: error: new/model.onnx is there already")
    assert "Traceback" not in done.stderr


def test_triton(run: Path, tmp_path: Path) -> None:
    """Alone it leaves nothing but the repository; of a file that was exported before it gives the same."""
    done = call("export", run, "--triton", "models", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "serve it: tritonserver --model-repository=" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["0007"]

    done = call("export", run, "--onnx", "m.onnx", "--triton", "models", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = call("export", "m.onnx", "--triton", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / folder / "m" / "1" / "model.onnx" for folder in ("models", "again")]
    assert files[0].read_bytes() == files[1].read_bytes()

    done = call("export", "m.onnx", "--triton", "again", cwd=tmp_path)
    assert done.returncode == 2
    assert "again/m is there already" in done.stderr
    done = call("export", "m.onnx", "--onnx", "n.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "m.onnx is exported already" in done.stderr
