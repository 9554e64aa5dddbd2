"""A user's script is checked by mypy against fastgan's own annotations (py.typed)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
from collections.abc import Mapping
from typing import assert_type

import fastgan
import numpy as np
from fastgan.inference import Runtime
from numpy.typing import NDArray
from PIL.Image import Image
from torch import nn


class Losses(fastgan.Callback):
    def log(self, step: int, values: Mapping[str, float]) -> None:
        print(step, values["loss_d"])


run = fastgan.train("photos/", budget="5m", settings={"train.batch": 16}, callback=Losses())
assert_type(run, fastgan.Run)
assert_type(run.history, list[dict[str, float]])
assert_type(run.generator, Runtime)
card = fastgan.evaluate(run, data="photos/")
assert_type(card, fastgan.Card)
assert_type(card["kid"], float)
g = fastgan.load(run)
assert_type(g, Runtime)
assert_type(g.sample(4, seed=0), NDArray[np.uint8])
assert_type(g.grid(4), Image)
assert_type(fastgan.create_model("stylegan", resolution=64), nn.Module)
assert_type(fastgan.list_models(), list[str])
assert_type(fastgan.export(g, "model.onnx"), fastgan.Exported)
fastgan.generate(g, n=4, out="set/")
"""
WRONG = {
    'fastgan.train("photos/", budgte="5m")\n': "budgte",
    'fastgan.load("runs/a").sample("four")\n': "sample",
    "fastgan.evaluate(3, data='x')\n": "evaluate",
    "fastgan.nothing()\n": "nothing",
}


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "good.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text("import fastgan\n\n" + "".join(WRONG))
    # silent: as for an installed package, whose own code is not judged by a user's strictness
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--config-file",
        "pyproject.toml",
    ]
    files = [tmp_path / "good.py", tmp_path / "wrong.py"]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    assert all("wrong.py" in line for line in lines), done.stdout
    assert len(lines) == len(WRONG), done.stdout
    assert all(word in line for word, line in zip(WRONG.values(), lines, strict=True)), done.stdout
