"""A model whose images are a function of z, and sets of its images."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from fastgan.inference import Facts, Inputs, Runtime, pipeline
from fastgan.inference.conditions import Conditions, Request
from fastgan.inference.folder import OutputFolder
from fastgan.inference.image_sets import Layout, open_set
from fastgan.inference.manifest import manifests
from fastgan.inference.runs import Fetch
from fastgan.inference.shards import Shard
from fastgan.seeds import latents

SETTINGS = {"model": "fake", "truncation": 1.0}


class FakeRuntime(Runtime):
    """Images that are a function of z, and a count of the batches that were run.

    classes: class0, class1, ... and the attributes age and smiling.
    """

    name, precision, device = "fake", "fp32", "cpu"

    def __init__(self, *, batch: int = 4, img_channels: int = 3, classes: int = 0) -> None:
        facts = Facts(
            source="fake", model="fake", resolution=8, img_channels=img_channels, z_dim=5, has_truncation=True,
            cur_nimg=None, data_hash=None, fingerprint="0" * 64,
            class_names=tuple(f"class{k}" for k in range(classes)),
            attribute_names=("age", "smiling") if classes else (),
        )  # fmt: skip
        rows = np.arange(20)
        table = np.stack([rows / 7, np.where(rows % 3, rows % 2, np.nan)], 1).astype(np.float32)
        sample = Conditions(labels=rows % classes, attributes=table) if classes else None
        super().__init__(facts, batch=batch, sample=sample)
        self.batches = 0

    def _begin(self, inputs: Inputs) -> Fetch:
        assert inputs.z.shape == (self.batch, 5)
        self.batches += 1
        pixels = np.outer(inputs.z[:, 0], np.linspace(1, 200, 8 * 8 * self.img_channels))
        pixels = pixels * inputs.truncation_psi
        return lambda: pixels.astype(np.int64).astype(np.uint8).reshape(-1, 8, 8, self.img_channels)


def write(
    folder: Path, seeds: Any, *, runtime: Runtime | None = None, shard: Shard | None = None, **layout: Any
) -> int:
    """Write a set, or a shard of it; how many images that made."""
    runtime, opened = runtime or FakeRuntime(), OutputFolder(folder, SETTINGS)
    with open_set(runtime, seeds, Request(), opened, Layout(**layout), shard or Shard()) as (plan, writer):
        return pipeline.write_set(runtime, plan, writer, workers=2).images


def expected(seed: int, img_channels: int = 3) -> np.ndarray:
    return FakeRuntime(batch=1, img_channels=img_channels).generate(latents([seed], 5))[0]


def lines(folder: Path) -> list[dict[str, Any]]:
    """Of all manifests, by seed."""
    found = [json.loads(line) for path in manifests(folder) for line in path.read_text().splitlines()]
    return sorted(found, key=lambda entry: entry["seed"])


def names(folder: Path) -> set[str]:
    """Of the files that a user sees; what a killed run left would be among them."""
    return {file.name for file in folder.iterdir() if not file.name.endswith(".lock")}


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of each image file."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.suffix in (".png", ".jpg", ".webp", ".tar", ".parquet", ".npz")
    }
