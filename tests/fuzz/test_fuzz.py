"""A short run of the harness, and that it would notice: a reader that does everything wrong is told so."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz import damage, mutate, sandbox
from tests.fuzz.oracles import readable, sentence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, control groups of limits and /proc")
ROOT = Path(__file__).parents[2]


def test_a_hundred_mutated_inputs_give_no_fault(tmp_path: Path) -> None:

    line = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--quick",
        "--seed",
        "4",
        "--count",
        "100",
        "--json",
        str(tmp_path / "faults.json"),
    ]
    done = subprocess.run(
        line, check=False, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert json.loads((tmp_path / "faults.json").read_text()) == []
    assert "| all | 100 |" in done.stdout
    assert "note: " not in done.stdout  # a command that fails with nothing changed tests nothing


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "box" / "out").mkdir(parents=True)
    return tmp_path / "box"


def ended(box: Path, setup) -> sandbox.Ended:
    return sandbox.run(["--version"], box, cwd=box / "out", seconds=5, setup=setup)


def test_a_command_that_ends_well_is_told_so(box: Path) -> None:
    found = ended(box, lambda: None)
    assert (found.code, found.signal, found.hung, found.escapes) == (0, None, False, ())
    assert found.out.startswith("fastgan")


def test_hangs_crashes_tracebacks_and_escapes_are_seen(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "BLOCKED", 0.5)
    assert ended(box, lambda: time.sleep(60)).hung
    assert ended(box, lambda: os.kill(os.getpid(), 9)).signal == 9
    failed = ended(box, lambda: {}["absent"])
    assert failed.code == sandbox.TRACEBACK
    assert "KeyError: 'absent'" in failed.err
    outside = tmp_path / "outside"
    assert ended(box, lambda: outside.write_text("x")).escapes == (f"wrote {outside}",)
    assert ended(box, lambda: subprocess.run(["true"], check=False)).escapes == ("started true",)
    assert ended(box, lambda: Path("mine").write_text("x")).escapes == ()


def test_what_native_code_writes_is_seen(box: Path) -> None:
    before = sandbox.snapshot(box)
    (box / "more").write_bytes(b"x")
    assert sandbox.snapshot(box).keys() - before.keys() == {"more"}


def test_sentences_and_what_is_printed_raw() -> None:
    assert sentence("note: x\nfastgan: error: photos holds no images: give others") is None
    assert "0 lines" in (sentence("oh") or "")
    assert "NoneType" in (sentence("fastgan: error: 'NoneType' object has no attribute 'x'") or "")
    assert "x1b" in (readable("a\x1b[31m") or "")
    assert readable("caf\u00e9\n") is None


def test_the_same_seed_makes_the_same_mutation(tmp_path: Path) -> None:
    from random import Random

    made = []
    for turn in range(2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for name in ("a.json", "b.csv", "c.bin"):
            (folder / name).write_bytes(b'{"a": [1, 2], "b": {"c": null}}' * 3)
        files = sorted(folder.iterdir())
        told = [mutate.apply(Random(seed), folder, files) for seed in range(8)]
        made.append((told, [damage.CONTENT and path.name for path in sorted(folder.iterdir())]))
    assert made[0] == made[1]
