"""`fastgan bench`: arguments in, a table and whole JSON out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastgan.__main__ import run
from fastgan.benchmark import questions, suite
from fastgan.benchmark.request import Request
from fastgan.benchmark.timing import Settings


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "ACTIVATIONS", ((2, 8, 6, 6), (1, 4, 5, 7)))
    timing = suite.timing

    def short(request: Request, device: str, *, section: str) -> Settings:
        usual = timing(request, device, section=section)
        return Settings(clock=usual.clock, device=device, block_s=0.0, min_rounds=2, max_rounds=2)

    monkeypatch.setattr(suite, "timing", short)


def test_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], device: torch.device) -> None:
    path = tmp_path / "ops.json"
    arguments = [
        "bench",
        "ops",
        "--device",
        device.type,
        "--op",
        "adain",
        "--op",
        "bias_act",
        "--dtype",
        "fp32",
    ]
    assert run([*arguments, "--layout", "nchw", "-o", str(path)]) == 0
    document = json.loads(path.read_text())
    rows = document["sections"]["ops"]["rows"]
    assert [(r["op"], r["shape"], r["pass"]) for r in rows] == [
        (op, shape, pass_)
        for op in ("adain", "bias_act")
        for shape in ([2, 8, 6, 6], [1, 4, 5, 7])
        for pass_ in ("forward", "both")
    ]
    assert document["versions"]["torch"] == torch.__version__
    assert document["processor"]["name"]
    assert document["threads"] == 1
    assert document["backend"] in ("native", "reference")
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows)
    assert table[2].split("|")[1].strip() == "adain"


def test_quick_takes_one_shape(tmp_path: Path, device: torch.device) -> None:
    path = tmp_path / "ops.json"
    arguments = ["bench", "ops", "--quick", "--device", device.type, "--op", "adain", "--dtype", "bf16"]
    assert run([*arguments, "--layout", "nhwc", "-o", str(path)]) == 0
    section = json.loads(path.read_text())["sections"]["ops"]
    assert section["quick"] is True
    assert {tuple(row["shape"]) for row in section["rows"]} == {(2, 8, 6, 6)}


def test_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "ops.json"
    arguments = [
        "--device",
        "cpu",
        "--op",
        "upsample2x",
        "--shape",
        "1,4,8,8",
        "--pass",
        "forward",
        "--quick",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "fastgan", "bench", "ops", *arguments, "--layout", "nhwc", "-o", str(path)],
        capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    document = json.loads(path.read_text())
    rows = document["sections"]["ops"]["rows"]
    assert [(row["shape"], row["pass"], row["dtype"]) for row in rows] == [
        ([1, 4, 8, 8], "forward", dtype) for dtype in ("fp32", "bf16")
    ]
    assert document["allocator"] in ("tuned", "default")
    assert "time / floor" in done.stdout


@pytest.mark.parametrize("shape", ["4,8,8", "1,4,8,x", "1,0,8,8", ""])
def test_no_shape(shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "ops", "--device", "cpu", "--shape", shape]) == 2
    assert "16,256,64,64" in capsys.readouterr().err


def test_json_that_cannot_be_written_is_known_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "run", lambda *a, **k: pytest.fail("measured first"))
    (tmp_path / "file").touch()
    assert run(["bench", "ops", "-o", str(tmp_path / "file" / "x.json")]) == 2
    assert "file" in capsys.readouterr().err


def test_unknown_op(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "ops", "--device", "cpu", "--op", "adian"]) == 2
    assert "adain" in capsys.readouterr().err
