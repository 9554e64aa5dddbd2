"""What tools/few_shot_study.py makes of its records."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fastgan.data.dataset import Dataset, content_hash
from fastgan.data.packed import write


@pytest.fixture(scope="module")
def study() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "few_shot_study.py"
    spec = importlib.util.spec_from_file_location("few_shot_study", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["few_shot_study"] = module
    spec.loader.exec_module(module)
    return module


def packed(folder: Path, name: str, seed: int = 0) -> str:
    images = torch.randint(
        0, 256, (520, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    path = folder / f"{name}-{seed}.fgd"
    write(path, Dataset(images=images, content_hash=content_hash(images)))
    return f"{name}={path}"


def call(study: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[str]:
    """The runs that a call of the tool would make."""
    made: list[str] = []
    monkeypatch.setattr(study.Study, "run", lambda self, cell: made.append(cell.key))
    monkeypatch.setattr(sys, "argv", ["few_shot_study.py", *map(str, arguments)])
    study.main()
    return made


def test_arms_that_there_are_not_are_refused(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(study, monkeypatch, tmp_path / "out", "--arms", "plain,difaug")
    assert "'difaug' is none of plain, diffaug, ada, projected, transfer, few-shot" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        call(study, monkeypatch, tmp_path / "out", "--set", "faces.fgd")
    assert "'faces.fgd' must read NAME=SOURCE" in capsys.readouterr().err


def test_a_study_goes_on_as_it_was_begun(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faces, out = packed(tmp_path, "faces"), tmp_path / "out"
    begun = [out, "--set", faces, "--sizes", "10,20", "--arms", "plain,few-shot", "--seeds", 1]
    keys = ["faces-10-plain-0", "faces-10-few-shot-0", "faces-20-plain-0", "faces-20-few-shot-0"]
    assert call(study, monkeypatch, *begun) == keys
    assert call(study, monkeypatch, *begun, "--sizes", "10") == keys[:2]
    other = packed(tmp_path, "faces", seed=1)
    for change, sentence in (
        (("--budget", "80s"), "was begun with --budget 5m, not 80s: go on with that, or name another folder"),
        (("-n", 500), "was begun with -n 1000, not 500"),
        (("--points", 2), "was begun with --points 4, not 2"),
        (("--sizes", "10,15"), "was begun with --sizes 10,20, and 15 is none of them"),
        (("--set", other), "was begun with other images called faces than those of"),
        (
            ("--arms", "ada,transfer"),
            "transfer needs a second --set to come from: give one, or leave it out with --arms ada",
        ),
    ):
        with pytest.raises(SystemExit, match="2"):
            call(study, monkeypatch, *begun, *change)
        assert sentence in capsys.readouterr().err
    emoji = packed(tmp_path, "emoji", seed=2)
    assert call(study, monkeypatch, *begun, "--set", emoji)[0] == keys[0]


def record(study: ModuleType, arm: str, kids: list[float], seed: int = 0) -> dict[str, Any]:
    scores = [
        {"kimg": 10.0 * (k + 1), "seconds": 60.0 * k, study.KID: kid, study.OTHER: kid, study.COVERAGE: 0.5}
        for k, kid in enumerate(kids)
    ]
    audit = {"copies": 1, "of": 100, "p_value": 0.5}
    return {"data": "faces", "images": 100, "arm": arm, "seed": seed, "scores": scores, "audit": audit}


def test_what_transfer_saves(study: ModuleType) -> None:
    """Both seeds' means: from scratch KID 1.0 at 30 kimg; transfer is at 1.5 after 10 and at 0.5 after 20."""
    records = {
        "a": record(study, "diffaug", [3.0, 2.0, 0.9]),
        "b": record(study, "diffaug", [3.0, 2.0, 1.1], seed=1),
        "c": record(study, "transfer", [1.4, 0.6, 0.5]),
        "d": record(study, "transfer", [1.6, 0.4, 0.5], seed=1),
    }
    assert study.savings(records).splitlines()[2:] == ["| faces | 100 | 1.00 | 30 | 15 kimg | 50% |"]
    assert "| faces | 100 | diffaug | 2 | 30 |" in study.table(records)
    assert "3.00 · 2.00 · 1.00 ± 0.10" in study.table(records)


def test_what_is_never_reached_and_what_is_there_at_once(study: ModuleType) -> None:
    assert study.reached([(10, 3.0), (20, 2.0)], 1.0) is None
    assert study.reached([(10, 0.5), (20, 0.4)], 1.0) == 10
    records = {"a": record(study, "diffaug", [3.0, 1.0]), "b": record(study, "transfer", [3.0, 2.0])}
    assert "not within the budget" in study.savings(records)
