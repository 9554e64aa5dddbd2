"""What a command left in its box, in a form that can be compared."""

import hashlib
import json
from pathlib import Path
from typing import Any

from PIL import Image

KEYS = ("rows", "pictures", "files", "weights", "scores")
_RECORDS = (".jsonl", ".toml", "fastgan.json", "state.json", "card.json", ".html")


def gather(box: Path) -> dict[str, Any]:
    """Rows of a packed set, pixels of images, bytes of files, weights of a run, scores of a card."""
    from tests.fuzz.packed_oracle import rows

    out = box / "out"
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and not path.is_symlink()]
    run = next(
        (place for place in (out / "run", box / "in" / "run") if (place / "generator.safetensors").is_file()),
        None,
    )
    return {
        "rows": rows(out / "set.fgd"),
        "pictures": {
            path.relative_to(out).as_posix(): _pixels(path) for path in files if path.suffix == ".png"
        },
        "files": {
            path.relative_to(out).as_posix(): _digest(path)
            for path in files
            if not path.name.endswith((*_RECORDS, ".lock"))
        },
        "weights": _weights(run / "generator.safetensors") if run else None,
        "scores": _scores(out / "card.json"),
    }


def _pixels(path: Path) -> str:
    with Image.open(path) as image:
        return hashlib.sha256(f"{image.size} {image.mode}".encode() + image.tobytes()).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _weights(path: Path) -> str:
    """Of the tensors alone: the metadata has times."""
    if path.stat().st_size > 1 << 28:
        return f"{path.stat().st_size} bytes"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return hashlib.sha256(content[8 + length :]).hexdigest()


def _scores(path: Path) -> dict[str, float] | None:
    if not path.is_file():
        return None
    found = json.loads(path.read_text("utf-8"))
    return dict(found["scores"])
