"""The same scores for every contender, from the images that it made."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fastgan.data import Dataset
from fastgan.errors import MetricError
from fastgan.evaluation import findings
from fastgan.files import atomic_write
from fastgan.metrics import evaluator, open_extractor
from fastgan.metrics.evaluate import Sample

ASKED = {"effnet-lite0": ("kid", "fid", "prdc", "periodic"), "random-conv": ("kid", "fid", "prdc")}
"""Extractor -> metrics"""
GRID = 8


def sampler(images: np.ndarray) -> Sample:
    """uint8 [N, H, W, 3] as a sampler."""
    tensor = torch.from_numpy(images)
    return lambda start, n: tensor[start : start + n]


def scores(images: np.ndarray, held_out: Dataset) -> dict[str, float]:
    """Scores of uint8 [N, H, W, 3] against images that were never trained on, by name.

    Without those of a feature space in which all images are the same.
    """
    found: dict[str, float] = {}
    for extractor, metrics in ASKED.items():
        try:
            found |= evaluator(held_out, metrics, len(images), extractor)(sampler(images))
        except MetricError:
            continue
    return {name: float(f"{value:.6g}") for name, value in found.items()}


def audit(images: np.ndarray, trained_on: Dataset, held_out: Dataset) -> dict[str, Any]:
    """Whether images are copies of those trained on, judged by those held out."""
    network = open_extractor("effnet-lite0")
    own = findings.Features(network, trained_on, sampler(images), len(images), lambda *_: lambda _: None)
    found = findings.audit(own, held_out, None, lambda number: f"image {number}")
    return {name: found[name] for name in ("p_value", "audited", "expected_by_chance")} | {
        "copies": len(found["copies"])
    }


def write_grid(path: Path, images: np.ndarray) -> None:
    """The first GRID x GRID images as one PNG."""
    with atomic_write(path) as temporary:
        Image.fromarray(sheet(images)).save(temporary, "png")


def sheet(images: np.ndarray) -> np.ndarray:
    """uint8 [N >= GRID^2, H, W, 3] -> [GRID * H, GRID * W, 3]."""
    height, width = images.shape[1:3]
    cells = images[: GRID * GRID].reshape(GRID, GRID, height, width, 3)
    return cells.transpose(0, 2, 1, 3, 4).reshape(GRID * height, GRID * width, 3)
