"""What a run folder has to tell, read without touching it: safe while the run goes on."""

import base64
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgan import ownership
from fastgan.config import read_toml
from fastgan.errors import CheckpointError
from fastgan.report.cards import read_cards

try:
    import fcntl
except ImportError:  # Windows: whether the run goes on stays unknown there
    fcntl = None  # type: ignore[assignment]

_SIDE = 1024  # pixels: larger grids are made smaller


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, as its files tell."""

    path: Path
    config: dict[str, Any]
    """config.toml."""
    lines: list[dict[str, float]]
    """log.jsonl: each with `cur_nimg`; values that are no finite numbers are left out."""
    events: list[dict[str, Any]]
    """events.jsonl: `cur_nimg`, `seconds`, `kind`, `text`."""
    grids: list[Path]
    """Sample grids, oldest first."""
    state: dict[str, Any]
    """state.json of the newest checkpoint; empty before the first."""
    cards: dict[str, dict[str, Any]]
    """What fastgan eval left in it: file name -> card."""
    active: bool
    """Whether a process trains in it now."""


def read(path: str | Path) -> Run:
    """The run `path`; CheckpointError when it is none or has nothing to show, ConfigError on a broken config.toml."""
    run = Path(path)
    if not (run / "config.toml").is_file():
        raise CheckpointError(f"{run} is no training run: it holds no config.toml")
    lines = [_numbers(line) for line in _json_lines(run / "log.jsonl")]
    grids = ownership.grids(run)
    if not lines and not grids:
        raise CheckpointError(
            f"the run {run} has nothing to show yet: neither a line in log.jsonl nor a picture in grids/"
        )
    return Run(
        path=run,
        config=read_toml(run / "config.toml"),
        lines=lines,
        events=list(_json_lines(run / "events.jsonl")),
        grids=grids,
        state=_state(run),
        cards=read_cards(run),
        active=_is_locked(run / ".lock"),
    )


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file that may be growing, or may have been cut; what is no line of ours is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and isinstance(content.get("cur_nimg"), int):
            yield content


def _numbers(line: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in line.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def _state(run: Path) -> dict[str, Any]:
    try:
        folder = run / (run / "latest").read_text(encoding="utf-8").strip()
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or being replaced at this moment
        return {}
    return state if isinstance(state, dict) else {}


def _is_locked(path: Path) -> bool:
    if fcntl is None or not path.is_file():
        return False
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def pick(grids: list[Path], count: int) -> list[Path]:
    """At most `count` of the grids: the first, the last, and evenly between."""
    if len(grids) <= count:
        return grids
    return [grids[round(i * (len(grids) - 1) / (count - 1))] for i in range(count)]


def embed(path: Path) -> str | None:
    """An image as a data: address, made smaller where it is larger than a screen; None where it cannot be read."""
    from PIL import Image, features

    kind = "webp" if features.check("webp") else "png"
    try:
        with Image.open(path) as image:
            image.thumbnail((_SIDE, _SIDE))
            buffer = io.BytesIO()
            image.save(buffer, kind, **({"quality": 90, "method": 4} if kind == "webp" else {}))
    except OSError:  # cut short, or gone since it was listed
        return None
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
