"""`make` by itself, `make demo` again and again, `make clean`: nothing that a user has trained is taken away."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").is_file(), reason="no make, or no checkout"
)
# Writes what the real one would, and what it was called with.
STAND_IN = """#!/bin/sh
echo "$*" >> calls
case "$1" in
data) mkdir -p demo; touch demo/avatars.fgd ;;
train) mkdir -p demo/run; [ ! -e fail ] || exit 1; touch demo/run/generator.safetensors ;;
export) touch "$4" ;;
generate) mkdir -p demo/grid demo/images; touch demo/grid/grid.png ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("setup.py", "pyproject.toml", "constraints.txt", "csrc/x.cpp", ".venv/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin/fastgan").write_text(STAND_IN)
    (tmp_path / ".venv/bin/fastgan").chmod(0o755)
    (tmp_path / ".venv/demo.installed").touch()
    return tmp_path


def make(checkout, *goals, code=0):
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }  # `make test`
    done = subprocess.run(
        ["make", *goals], cwd=checkout, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def calls(checkout):
    file = checkout / "calls"
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def test_make_alone_says_what_there_is(checkout):
    text = make(checkout)
    assert text.startswith("make ")
    goals = [word for line in text.splitlines() if line.startswith("make ") for word in line.split()[1:3]]
    assert {"demo", "test", "clean", "bench"} <= set(goals)
    assert calls(checkout) == []


def test_the_demo_never_takes_a_run_away(checkout):
    make(checkout, "demo")
    assert [call.split()[0] for call in calls(checkout)] == [
        "data",
        "train",
        "generate",
        "export",
        "generate",
    ]
    mine = checkout / "demo" / "run" / "mine"
    mine.touch()
    text = make(checkout, "demo")
    assert [call.split()[0] for call in calls(checkout)] == ["generate"]  # which goes on where it stopped
    assert mine.exists()
    assert "train --resume demo/run --budget" in text


def test_what_is_installed_for_tests_serves_the_demo_too(checkout):
    (checkout / ".venv/demo.installed").unlink()
    (checkout / ".venv/dev.installed").touch()
    assert "compiling" not in make(checkout, "demo")
    assert (checkout / "demo/avatars.onnx").exists()


def test_what_takes_minutes_is_said_before(checkout):
    (checkout / ".venv/demo.installed").unlink()
    (checkout / ".venv/bin/python").write_text('#!/bin/sh\necho "$*" >> calls\n')
    (checkout / ".venv/bin/python").chmod(0o755)
    text = make(checkout, "demo")
    assert text.index("compiling its kernels: a few minutes") < text.index("pip install")
    assert calls(checkout)[0] == "-m pip install -q -e .[demo]"
    assert (checkout / ".venv/demo.installed").exists()


def test_an_interrupted_demo_goes_on(checkout):
    (checkout / "fail").touch()
    make(checkout, "demo", code=2)
    (checkout / "fail").unlink()
    calls(checkout)
    make(checkout, "demo")
    first = calls(checkout)[0]
    assert first.startswith("train demo/avatars.fgd --preset demo --out demo/run --resume auto")


def test_clean_says_what_it_removes_and_leaves_runs(checkout):
    make(checkout, "demo")
    text = make(checkout, "clean")
    assert "rm -rf .venv build" in text
    assert "kept: demo with its run" in text
    assert (checkout / "demo" / "run").is_dir()
    assert not (checkout / ".venv").exists()
