"""What documents say of images, row by row: found by name, each image once, attributes with names."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastgan.data.names import Lookup
from fastgan.data.sources import Images
from fastgan.errors import DataError
from fastgan.text import shown

_WORDS = {"true": 1.0, "false": 0.0}
_LARGEST = float(np.finfo(np.float32).max)


class Said(NamedTuple):
    """What a document says of one image."""

    where: str
    """The document, for messages"""
    name: str
    """The image, as the document calls it"""
    value: Any


def brief(name: str) -> str:
    """A name as it is printed: it may be of any length."""
    return shown(name if len(name) <= 200 else f"{name[:197]}...")


def add(said: dict[int, Said], where: str, folder: str, table: Mapping[str, Any], lookup: Lookup) -> None:
    """Take the table (name -> value) of the document `where` in `folder` ("" or "photos/") into `said`, by row."""
    rows = rows_of(where, table, lambda name: lookup.row(name, folder), lookup)
    for row, (name, value) in zip(rows, table.items(), strict=True):
        if row in said:
            raise DataError(
                f"{where} names {brief(name)}, and so does {said[row].where}: keep one of the two"
            )
        said[row] = Said(where, name, value)


def with_attributes(
    images: Images, where: str, names: tuple[str, ...], said: Mapping[int, Sequence[float]]
) -> Images:
    """`images` with the vectors of `said` (row -> values); an image that is not in it is unknown throughout."""
    attributes = np.full((len(images), len(names)), np.nan, np.float32)
    for row, values in said.items():
        attributes[row] = values
    notes = images.notes
    if absent := len(images) - len(said):
        notes += (
            f"{absent} of {len(images)} images are not in {Path(where).name}: their attributes are unknown",
        )
    return replace(images, attributes=attributes, attribute_names=names, notes=notes)


def rows_of(
    where: str, names: Iterable[str], row_of: Callable[[str], int | None], lookup: Lookup
) -> list[int]:
    """The rows of the named images. Raises DataError when some are not there, or are meant twice."""
    pairs = [(name, row_of(name)) for name in names]
    missing = [name for name, row in pairs if row is None]
    if missing:
        absent = (
            f"and {len(missing) - 1} more that are not there" if len(missing) > 1 else "that is not there"
        )
        near = lookup.nearest(missing[0])
        hint = "" if near is None else f" (there is {brief(near)})"
        raise DataError(
            f"{where} names {brief(missing[0])}{hint} {absent}: add the images, or take them out of the file"
        )
    seen: dict[int | None, str] = {}
    for name, row in pairs:
        if row in seen:
            other = "" if seen[row] == name else f", also as {brief(seen[row])}"
            raise DataError(
                f"{where} names {brief(name)} more than once{other}: keep one label for each image"
            )
        seen[row] = name
    return [row for _, row in pairs if row is not None]


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise DataError unless there are attribute names, each given once."""
    if not names or not all(names):
        raise DataError(f"{where} line 1 should name the columns: the file name, then each attribute")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"{where} has two columns called {brief(twice)}: give each attribute a name of its own"
        )


def as_number(value: Any) -> float | None:
    """What a cell of a table says as an attribute: a number, true or false; nothing is NaN (unknown); else None."""
    if value is None or value == "":
        return math.nan
    if isinstance(value, str):
        try:
            value = _WORDS.get(value.casefold()) if value.casefold() in _WORDS else float(value)
        except ValueError:
            return None
    return float(value) if is_number(value) else None


def is_number(value: Any) -> bool:
    """Whether a value of JSON or CSV is a number that float32 can hold."""
    return isinstance(value, int | float) and abs(value) <= _LARGEST  # false for NaN
