"""The names that fastgan itself gives: only what is called so is read as its own, replaced or deleted.

A checkpoint is `000012800`, a grid `000012800.png`: the images seen, in nine digits or more. What is being written is
`.NAME.fastgan-XXXXXXXX` with NAME's suffix at the end, and a checkpoint that is being deleted `.000012800.removed`. A
copy (`000012800.bak`, `000012800 (copy).png`) and a hidden folder of the user's are none of these.
"""

import re
from pathlib import Path

_STEP = re.compile(r"(\d{9,})(\.png)?", re.ASCII)
_TEMPORARY = re.compile(r"\.(.+)\.fastgan-(?:old-)?[a-z0-9_]{8}(\.[^.]+)?", re.ASCII | re.DOTALL)
_REMOVED = re.compile(r"\.\d{9,}\.removed", re.ASCII)


def step(path: Path) -> int:
    """How many images had been seen, of a path that `checkpoints` or `grids` gave."""
    return int(path.name.removesuffix(".png"))


def _steps(folder: Path, suffix: str) -> list[Path]:
    if not folder.is_dir():
        return []
    named = ((_STEP.fullmatch(path.name), path) for path in folder.iterdir())
    ours = [path for match, path in named if match and (match[2] or "") == suffix]
    return sorted((path for path in ours if path.name == f"{step(path):09d}{suffix}"), key=step)


def checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first; links to folders elsewhere among them."""
    return [path for path in _steps(run / "checkpoints", "") if path.is_dir()]


def grids(run: Path) -> list[Path]:
    """The sample grids of a run, oldest first."""
    return [path for path in _steps(run / "grids", ".png") if path.is_file()]


def temporary_prefix(name: str) -> str:
    """What the name of a file or folder starts with that will be called `name` once it is whole."""
    return f".{name}.fastgan-"


def written_as(name: str) -> str | None:
    """What a temporary file or folder of that name would have become; None for any other name."""
    match = _TEMPORARY.fullmatch(name)
    return match[1] + (match[2] or "") if match else None


def leftovers(run: Path) -> list[Path]:
    """What a process that was killed while it wrote has left in a run: nothing that somebody else put there."""
    found = [path for path in _entries(run / "checkpoints") if _REMOVED.fullmatch(path.name)]
    files = {"latest", "best", "config.toml", "generator.safetensors", "log.jsonl", "events.jsonl"}
    found += [path for path in _entries(run) if written_as(path.name) in files]
    for folder in ("checkpoints", "grids"):
        inside = ((written_as(path.name) or "", path) for path in _entries(run / folder))
        found += [path for name, path in inside if _STEP.fullmatch(name)]
    return found


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
