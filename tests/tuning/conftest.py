"""Searches that take seconds: 64 images of 16 px, networks of width 4, a few hundred images shown."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastgan
from fastgan.data.dataset import Dataset, content_hash
from fastgan.data.packed import write

if find_spec("optuna") is None:  # the extra is not installed
    collect_ignore_glob = ["test_*.py"]

TINY: dict[str, Any] = {
    "model.width": 4,
    "train.batch": 8,
    "train.grid_images": 4,
    "train.precision": "fp32",
    "train.augment": "none",
}
SPACE = {"train.lr_g": "1e-4..4e-3 log"}


def images(path: Path, count: int = 64, *, seed: int = 0, labels: bool = False) -> Path:
    """Squares of 16 px on another colour."""
    random = np.random.default_rng(seed)
    made = np.zeros((count, 16, 16, 3), np.uint8) + random.integers(0, 120, (count, 1, 1, 3), np.uint8)
    for image in made:
        x, y = random.integers(1, 9, 2)
        image[y : y + 6, x : x + 6] = random.integers(120, 255, 3)
    pixels = torch.from_numpy(made)
    classes = torch.arange(count) % 2 if labels else None
    write(
        path,
        Dataset(
            images=pixels,
            labels=classes,
            class_names=("even", "odd") if labels else (),
            content_hash=content_hash(pixels, classes),
        ),
    )
    return path


@pytest.fixture(autouse=True)
def _quiet() -> None:
    from fastgan.tuning import storage

    storage.quiet()


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """A packed set."""
    return images(tmp_path / "squares.fgd")


@pytest.fixture
def tune(squares: Path, tmp_path: Path) -> Callable[..., fastgan.Tuned]:
    """fastgan.tune in small, into tmp_path/out."""

    def call(**changes: Any) -> fastgan.Tuned:
        given: dict[str, Any] = {
            "source": squares,
            "space": SPACE,
            "settings": TINY,
            "out": tmp_path / "out",
            "trials": 2,
            "trial_budget": "400img",
            "eval_images": 32,
            "extractor": "random-conv",
            "confirm": 1,
            "confirm_seeds": 1,
            "progress": False,
            "device": "cpu",
        }
        given |= changes
        return fastgan.tune(given.pop("source"), **given)

    return call
