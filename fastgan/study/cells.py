"""What was found out, cell by cell, on disk: an interrupted study goes on, and one with more arms takes what is there.

A cell is named by the hash of all that decides over it, so nothing that was computed for other images, another split or
other settings is ever taken for it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastgan.files import write_json

VERSION = 2
"""Raised whenever what a cell means changes: how a classifier is built or trained, an arm, a measure."""


class Cells:
    """A folder of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def name(self, identity: Mapping[str, Any]) -> str:
        """The hash of `identity`, JSON types."""
        text = json.dumps({"version": VERSION, **identity}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def get(self, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of a cell, or None."""
        path = self._path(identity)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there, or of a disk that was full: it is computed again
            return None
        return found["result"] if isinstance(found, dict) and "result" in found else None

    def get_or(self, identity: Mapping[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a cell, computed and kept where it is not there."""
        found = self.get(identity)
        if found is None:
            found = compute()
            self.put(identity, found)
        return found

    def put(self, identity: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Keep a result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path(identity), {"identity": dict(identity), "result": dict(result)})

    def _path(self, identity: Mapping[str, Any]) -> Path:
        return self.folder / f"{self.name(identity)}.json"
