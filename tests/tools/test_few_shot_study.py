"""What tools/few_shot_study.py makes of its records."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


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
