"""SIGTERM before the first step of training: heard at once, and nothing half made is left."""

import os
import subprocess
import sys

import pytest
import torch

from fastgan.data import packed
from fastgan.data.dataset import Dataset

CODE = """
import os, signal, sys
from fastgan import __main__ as main
from fastgan.training import precision, {module}
precision.has_fast_bf16 = lambda device: True
precision.measurable = lambda *_: 4
def stop(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)
    raise SystemExit("deaf")
{module}.{function} = stop
sys.exit(main.run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("module", "function"), [("precision", "_step"), ("rehearsal", "_one"), ("run", "_data")]
)
def test_a_signal_while_a_run_is_prepared_leaves_nothing(module, function, tmp_path):
    images = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    packed.write(tmp_path / "set.fgd", Dataset(images=images, content_hash="x"))
    code = CODE.format(module=module, function=function)
    sets = ["--set", "model.width=2", "--set", "train.batch=4", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "set.fgd", "--out", "mine", *sets],
        cwd=tmp_path,
        env=os.environ | {"FASTGAN_VERIFY": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 143, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["set.fgd"]
