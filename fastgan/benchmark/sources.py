"""The models that inference is measured on: random weights, which do not change the time, or a model of the user's."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from fastgan import models
from fastgan.benchmark import train
from fastgan.config import require
from fastgan.inference import open_generator
from fastgan.training import checkpoint

FULL = train.Case(name="stylegan-64 full width", preset="stylegan", batch=16, model={})


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something that `fastgan generate` takes."""

    name: str
    path: Path


def cases(device: str, names: Sequence[str], *, quick: bool) -> list[train.Case]:
    """What to measure on a device: the cases of training, and on a CPU the paper's full width (not for a look)."""
    found = train.cases(device, names)
    wide = not device.startswith("cuda") and not quick and (not names or FULL.preset in names)
    return [*found, FULL] if wide else found


def write_random(case: train.Case, folder: Path) -> Path:
    """A run folder with a generator as it is born."""
    model = case.config().model
    torch.manual_seed(0)
    generator = models.generator(model)
    tensors = {f"g_ema.{key}": value for key, value in generator.state_dict().items()}
    state = {"cur_nimg": 0, "config": {"model": models.table(model)}, "data": {}, "versions": {}}
    checkpoint.save(folder, model=tensors, optimizer={}, state=state, keep=1)
    return folder


def check(device: str, names: Sequence[str], given: Sequence[Path]) -> None:
    """Raise ConfigError or CheckpointError for what could not be measured, before anything is."""
    require(not (names and given), "--model names one of ours and --source is yours: give one of the two.")
    train.cases(device, names)
    for path in given:
        open_generator(path, device=device, batch=1)


@contextmanager
def sources(
    device: str, names: Sequence[str], given: Sequence[Path], *, quick: bool
) -> Iterator[Iterator[Source]]:
    """The models one after the other: those `given`, or the usual ones, narrowed to the presets `names`."""
    chosen = [] if given else cases(device, names, quick=quick)
    with tempfile.TemporaryDirectory(prefix="fastgan-bench-") as folder:
        yield (
            (
                Source(name=case.name, path=write_random(case, Path(folder) / f"{k}"))
                for k, case in enumerate(chosen)
            )
            if chosen
            else (Source(name=str(path), path=path) for path in given)
        )
