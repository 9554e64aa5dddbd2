"""What was found out, cell by cell, on disk: an interrupted study goes on, and one with more arms takes what is there.

A cell is named by the hash of all that decides over it, so nothing that was computed for other images, another split or
other settings is ever taken for it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from fastgan.documents import checked, read_json
from fastgan.errors import DocumentError
from fastgan.files import write_json
from fastgan.seal import check_seal, sealed
from fastgan.study.recipes import RECIPES

VERSION = 2
"""Raised whenever what a cell means changes: how a classifier is built or trained, an arm, a measure."""


class Measured(TypedDict):
    """`measures.Measures`, as JSON."""

    accuracy: float
    macro_f1: float
    recall: list[float]
    calibration_error: float
    gap: float
    confusion: list[list[int]]


class HyperParameters(TypedDict):
    """`cnn.Hyper`, as JSON."""

    lr: float
    decay: float


class Trained(TypedDict):
    """The result of a cell with an arm: a classifier, examined."""

    measures: Measured
    val: float
    hyper: HyperParameters
    seconds: float
    real: int
    synthetic: int | None
    filter: dict[str, int] | None


class Chosen(TypedDict):
    """The result of a cell without one: what was chosen for a scenario."""

    recipe: str
    recipes: dict[str, float]
    tap: int
    taps: dict[str, float]


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
        kind: type[Any] = Trained if "arm" in identity else Chosen
        try:
            found = read_json(path, dict[str, Any])
            check_seal(found, path)
            result = dict(checked(found.get("result"), kind, path, "result"))
        except (
            OSError,
            DocumentError,
        ):  # not there, of a disk that was full, or damaged: it is computed again
            return None
        return result if _fits(identity, result) else None

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
        write_json(self._path(identity), sealed({"identity": dict(identity), "result": dict(result)}))

    def _path(self, identity: Mapping[str, Any]) -> Path:
        return self.folder / f"{self.name(identity)}.json"


def _fits(identity: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether a result, of the right types, can be that of the cell: as many classes, recipes and taps there are."""
    if "arm" not in identity:
        taps = result["taps"]
        known = result["recipe"] in {recipe.name for recipe in RECIPES} and all(map(str.isdecimal, taps))
        return known and (result["tap"] == 0 or str(result["tap"]) in taps)
    names, measures = identity.get("names", ()), result["measures"]
    widths = {len(row) for row in measures["confusion"]}
    whole = len(measures["recall"]) == len(measures["confusion"]) == len(names)
    return whole and widths in ({4}, {len(names)})
