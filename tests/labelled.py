"""Runs of the test model `labelled`, and a command line that knows it.

The model is known to fastgan only where `known` is active, so that tests of all models do not meet it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastgan import models
from fastgan.training import checkpoint


@contextmanager
def known() -> Iterator[None]:
    """Let fastgan find the model."""
    folder = str(Path(__file__).with_name("extra_models"))
    models.__path__.append(folder)
    try:
        yield
    finally:
        models.__path__.remove(folder)


CLASSES = ("cat", "dog", "truck")
ATTRIBUTES = ("smiling", "age")
# Two thirds are trucks, which never smile; one cat's age is unknown; a dog is 0.9 old.
LABELS = [2, 2, 2, 2, 0, 1]
TABLE = [[0, 0.1], [0, 0.2], [0, 0.3], [0, 0.4], [1, float("nan")], [1, 0.9]]


def labelled_run(
    folder: Path, *, classes: bool = True, attributes: bool = True, sample: bool = True, **changes: Any
) -> Path:
    """A run folder of a model that takes classes, attributes, both or neither; `changes` are of its data's facts."""
    module = models.load("labelled")
    counts = {"classes": len(CLASSES) * classes, "attributes": len(ATTRIBUTES) * attributes}
    config = module.Config(**counts)
    tensors = {f"g_ema.{key}": value for key, value in module.Generator(config).state_dict().items()}
    if classes and sample:
        tensors["conditions.labels"] = torch.tensor(LABELS)
    if attributes and sample:
        tensors["conditions.attributes"] = torch.tensor(TABLE)
    data = {
        "content_hash": "ab" * 32,
        "class_names": CLASSES,  # known to the data even where the model takes none
        "attribute_names": ATTRIBUTES,
    }
    state = {
        "cur_nimg": 1500,
        "config": {"model": {"name": "labelled", **asdict(config)}, "data": {}},
        "data": data | changes,
        "versions": {},
    }
    checkpoint.save(folder, model=tensors, optimizer={}, state=state, keep=1)
    return folder


def read_condition(image: np.ndarray, length: int) -> list[float]:
    """The entries of c that an image shows, to half a percent."""
    return [round(x / 255, 2) for x in image.reshape(-1)[8 : 8 + length].tolist()]


def fastgan(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command line in `cwd`, in a process that knows the test model."""
    code = "from fastgan.__main__ import main; from tests.labelled import known\nwith known(): main()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True, cwd=cwd, env=environment)
