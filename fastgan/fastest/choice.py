"""What a search for the fastest way found, and the file that remembers it."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypedDict

from fastgan import machine
from fastgan.documents import checked, read_json
from fastgan.errors import OutputError
from fastgan.files import cache_folder, write_json
from fastgan.inference.precisions import Precision
from fastgan.inference.runtime import Runtime
from fastgan.seal import check_seal, sealed
from fastgan.version import __version__

SCHEMA = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One batch size of one way, and what it gave."""

    runtime: str
    precision: str
    batch: int
    images_per_second: float

    def __str__(self) -> str:
        rate = self.images_per_second
        words = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        return f"{self.runtime} {self.precision}, batch {self.batch}: {words} images/s"


class _StoredTrial(TypedDict):
    runtime: Literal["torch", "onnx"]
    precision: Precision
    batch: int
    images_per_second: float


class _Stored(TypedDict):
    """A choice in the cache."""

    schema: int
    chosen: _StoredTrial
    tried: list[_StoredTrial]
    left_out: list[str]


def _trial(stored: _StoredTrial) -> Trial:
    if stored["batch"] < 1 or not 0 <= stored["images_per_second"] < math.inf:
        raise ValueError("not a trial")
    return Trial(
        runtime=stored["runtime"],
        precision=stored["precision"],
        batch=stored["batch"],
        images_per_second=stored["images_per_second"],
    )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to generate with, all that was tried, and why other ways were not."""

    chosen: Trial
    tried: tuple[Trial, ...]
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain types, for the cache."""
        return sealed({"schema": SCHEMA, **asdict(self)})

    @classmethod
    def from_json(cls, content: Any) -> "Choice":
        """The inverse of `to_json`; ValueError for anything else."""
        found = checked(content, _Stored, "the choice")
        if found["schema"] != SCHEMA:
            raise ValueError("of another version")
        check_seal(content, "the choice", needed=True)
        chosen, *tried = (_trial(trial) for trial in [found["chosen"], *found["tried"]])
        return cls(chosen=chosen, tried=tuple(tried), left_out=tuple(found["left_out"]))

    def __str__(self) -> str:
        """A line: the choice, the best batch of each other way, and what was left out."""
        best: dict[tuple[str, str], Trial] = {}
        for trial in sorted(self.tried, key=lambda trial: (trial.images_per_second, -trial.batch)):
            best[trial.runtime, trial.precision] = trial
        best.pop((self.chosen.runtime, self.chosen.precision), None)
        others = sorted(best.values(), key=lambda trial: -trial.images_per_second)
        rest = "; ".join([*map(str, others), *self.left_out])
        return f"{self.chosen}" + (f" ({rest})" if rest else "")


def place(first: Runtime, precisions: Sequence[str], batch: int | None) -> Path:
    """The file of a choice, named by everything that it depends on.

    first: the model, opened as it is where nothing is searched; an exported file has one precision, whatever is asked.
    """
    allowed = sorted(precisions) if first.name == "torch" else [first.precision]
    told = json.dumps([first.facts.fingerprint, first.name, allowed, batch, *_here(first)])
    return cache_folder() / "fastest" / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"


def _here(first: Runtime) -> list[Any]:
    """Processor, cores, threads asked for in the environment, device, versions."""
    processor = machine.processor()
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    found = {"fastgan": __version__}
    for package in ("torch", "onnxruntime", "onnxruntime-gpu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return [processor.name, processor.cores, sorted(threads.items()), first.device, _gpu(first), found]


def _gpu(first: Runtime) -> str | None:
    if first.device == "cpu":
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def remembered(path: Path) -> Choice | None:
    """The choice that is kept at `path`; None where there is none, or what is there is not whole."""
    try:
        return Choice.from_json(read_json(path, dict[str, Any]))
    except (OSError, ValueError):
        return None


def remember(path: Path, choice: Choice) -> None:
    """Keep a choice where the cache folder can be written to; elsewhere it is measured again."""
    try:
        write_json(path, choice.to_json())
    except (OSError, OutputError):
        return
