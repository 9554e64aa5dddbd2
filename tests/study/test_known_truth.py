"""Verdicts where the truth is known: something else stands in a GAN's place.

The rates over many studies are those of tools/study_false_positives.py, in docs/augmentation.md.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from fastgan.study import report
from fastgan.study.labelled import Labelled
from fastgan.study.study import Study
from tests.study.images import bars

TOOL = Path(__file__).parents[2] / "tools" / "study_false_positives.py"


def secretly_real(targets: Tensor, seed: int) -> Tensor:
    """Bars that are in no split, of the classes that were asked for."""
    more = others(seed)
    where = [(more.targets == k).nonzero()[:, 0] for k in range(3)]
    used = [0, 0, 0]
    rows = []
    for k in targets.tolist():
        rows.append(int(where[k][used[k] % 200]))
        used[k] += 1
    return more.images[rows]


@cache
def others(seed: int) -> Labelled:
    return bars(200, seed=seed + 99)


def noise(targets: Tensor, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (len(targets), 16, 16, 1), dtype=torch.uint8, generator=random)


@pytest.mark.parametrize(
    ("stand_in", "outcomes"), [(secretly_real, {"help"}), (noise, {"hurt", "no evidence"})]
)
def test_a_cnns_verdict(small: Callable[..., Study], stand_in: Callable, outcomes: set[str]) -> None:
    study = small(per_class=(3,), seeds=4, steps=25, ratios=(8.0,), only=("real", "synthetic x8"))
    study.stand_in = lambda scenario, seed: lambda train: (stand_in, None)
    study.run()
    found = report.make(study, 0.0)["scenarios"][0]
    assert found["verdict"]["outcome"] in outcomes, found["verdict"]["sentence"]


@pytest.mark.parametrize(
    ("kind", "outcomes"),
    [
        ("real", {"help"}),
        ("copies", {"hurt", "no evidence"}),
        ("noise", {"hurt"}),
        ("exchanged", {"no evidence"}),
    ],
)
def test_a_linear_heads_verdict(kind: str, outcomes: set[str]) -> None:
    spec = importlib.util.spec_from_file_location("study_false_positives", TOOL)
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    assert tool.study(kind, x, y, 0) in outcomes
