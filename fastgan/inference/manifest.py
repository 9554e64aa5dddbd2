"""The manifest of a set: one line of JSON an image, in one file a process.

    {"seed": 7, "file": "seed00000007.png", "sha256": "...", "class": "truck", "attributes": {"smiling": 1.0}}
    {"seed": 7, "file": "images-00000-of-00063.tar", "key": "seed00000007", "sha256": "...", "file_sha256": "...", ...}

"sha256" is that of the encoded image, or of its pixels in an .npz; "file_sha256" that of the file with many images.
A process that makes one shard of many writes manifest-00003-of-00016.jsonl; readers take the union of all.

A line is written before its image takes its name, so that no image on disk is unknown, and what a kill leaves is
lines without images: they are dropped when the run goes on. Against power loss, images are put on the platter at
least every SYNC lines; the newest SYNC lines of a manifest are therefore held against their images' bytes.
"""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from fastgan.documents import parse_json
from fastgan.errors import DocumentError
from fastgan.files import open_append, open_new, open_regular, sync_folder
from fastgan.inference.shards import Shard
from fastgan.seeds import MAX_SEED

NAME = "manifest"
_OURS = re.compile(rf"{NAME}(-\d{{5,}}-of-\d{{5,}})?\.jsonl", re.ASCII)
SYNC = 4096
Entry = dict[str, Any]


class _Line(TypedDict):
    seed: Any  # beyond what other documents hold: up to 2**64 - 1
    file: str
    sha256: str
    file_sha256: NotRequired[str]


def manifest_name(shard: Shard) -> str:
    """The file in which this shard's process writes its lines."""
    return f"{NAME}{shard.name}.jsonl"


def manifests(folder: Path) -> list[Path]:
    """Those of all processes that ever wrote into a folder."""
    return sorted(path for path in folder.iterdir() if _OURS.fullmatch(path.name) and path.is_file())


def read_entries(path: Path) -> Iterator[Entry]:
    """The whole lines of a manifest; what a kill cut off and what is no line of ours is left out."""
    with open_regular(path) as file:
        for line in file:
            entry = parse(line)
            if entry is not None:
                yield entry


def newest(path: Path) -> list[Entry]:
    """The last SYNC lines: those whose images may not have reached the platter."""
    return list(deque(read_entries(path), maxlen=SYNC))


def parse(line: bytes) -> Entry | None:
    """One line; None if it is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry: Entry = dict(parse_json(line, _Line, NAME))
    except DocumentError:
        return None
    seed = entry["seed"]
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        return None
    return entry if os.path.basename(entry["file"]) == entry["file"] else None  # nothing outside the folder


def rewrite(path: Path, keep: Callable[[Entry], bool]) -> None:
    """Drop the lines that are broken or not to `keep`; a manifest with nothing to drop is left alone."""
    if not path.exists() or all((e := parse(line)) is not None and keep(e) for line in _lines(path)):
        return
    temporary = path.with_name(f".{path.name}.part")
    with open_new(temporary) as file:
        for line in _lines(path):
            entry = parse(line)
            if entry is not None and keep(entry):
                file.write(line)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def _lines(path: Path) -> Iterator[bytes]:
    with open_regular(path) as file:
        yield from file


class Journal:
    """A manifest that is appended to."""

    def __init__(self, path: Path) -> None:
        self._file = open_append(path)

    def add(self, entries: Iterable[Entry]) -> None:
        """Hand lines to the operating system, which keeps them if this process is killed."""
        self._file.write("".join(json.dumps(entry) + "\n" for entry in entries))
        self._file.flush()

    def sync(self) -> None:
        """Wait until they are on the platter."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines."""
        self._file.close()
