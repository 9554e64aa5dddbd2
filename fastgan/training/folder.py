"""The run folder: who owns it, what lies where.

config.toml   the settings, complete      log.jsonl    one JSON a line; events.jsonl: warnings, rollbacks
grids/        samples from fixed z        tensorboard/ the same curves
checkpoints/  latest (see checkpoint.py)  data.fgd     the images, packed, unless SOURCE was packed already
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastgan import ownership
from fastgan.config import build, read_toml, to_mapping, to_toml, with_units
from fastgan.errors import CheckpointError, OutputError
from fastgan.files import atomic_write, open_append
from fastgan.naming import named, resuming
from fastgan.training.settings import RunConfig

try:
    import fcntl
except ImportError:  # Windows has no flock: there two processes are not kept apart
    fcntl = None  # type: ignore[assignment]


def create(out: str | Path | None) -> Path:
    """Make a new run folder: `out`, or the next free number under runs/ (safe when several start at once).

    Raises OutputError when `out` is in use or cannot be made.
    """
    if out is None:
        return _next_number(Path("runs"))
    run = Path(out)
    if (run / "config.toml").exists():
        raise OutputError(
            f"{run} already holds a training run: go on with {resuming(run)}, or choose "
            f"another {named('out')}"
        )
    try:
        run.mkdir(parents=True, exist_ok=True)
        used = any(not path.name.startswith(".") for path in run.iterdir())
    except OSError as error:
        raise OutputError(f"cannot make the run folder {run}: {error.strerror}") from error
    if used:
        raise OutputError(f"the folder {run} is not empty: choose another {named('out')}")
    return run


def _next_number(parent: Path) -> Path:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name) for path in parent.iterdir() if path.name.isdecimal()), default=0)
        while True:
            number += 1
            try:
                run = parent / f"{number:04d}"
                run.mkdir()
                return run
            except FileExistsError:  # another process was faster
                continue
    except OSError as error:
        raise OutputError(
            f"cannot make a run folder under {parent}: {error.strerror}; use {named('out')}"
        ) from error


def existing(path: str | Path) -> Path:
    """The run folder that `path` (a run, its `best`, one of its checkpoints) belongs to; CheckpointError if none."""
    path = Path(path)
    for run in (path, path.parent, path.parent.parent):
        if (run / "config.toml").is_file():
            return run
    raise CheckpointError(f"{path} is no training run: it holds no config.toml")


def newest(parent: Path = Path("runs")) -> Path:
    """The run under `parent` with the highest number."""
    runs = [path.parent for path in parent.glob("*/config.toml") if path.parent.name.isdecimal()]
    if not runs:
        raise CheckpointError(
            f"there is no run under {parent}/ to resume: name one, as in --resume path/to/run"
        )
    return max(runs, key=lambda run: int(run.name))


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run for this process; OutputError when another one trains in it. The lock dies with the process."""
    with open_append(run / ".lock") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(f"another process is training in {run}: wait for it or stop it") from error
        for leftover in ownership.leftovers(run):  # of a process that was killed while it saved
            _delete(leftover)
        yield


def clear(run: Path, kept: Collection[str] = ()) -> None:
    """Delete what lies in `run`, but the entries of it that are to be `kept`."""
    for path in run.iterdir():
        if path.name not in kept:
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def read_config(run: Path) -> RunConfig:
    """The settings of a run; ConfigError for what is none."""
    return build(RunConfig, with_units(RunConfig, read_toml(run / "config.toml")))


def training_images(run: Path) -> Path | None:
    """The packed set that a run was trained on, or that it was packed from; None where neither is there any more."""
    places = (run / "data.fgd", Path(read_config(run).data.source))
    return next((place for place in places if place.suffix == ".fgd" and place.is_file()), None)


def write_config(run: Path, config: RunConfig) -> None:
    """Write config.toml, whole or not at all."""
    with atomic_write(run / "config.toml") as temporary:
        temporary.write_text(to_toml(to_mapping(config)), encoding="utf-8")
