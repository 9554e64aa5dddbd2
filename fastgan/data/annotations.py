"""Labels and attributes that lie beside images, in a folder or a zip.

`dataset.json`, as StyleGAN's tools write it: {"labels": [["00000/img00000000.png", 6], ...]}. A number is a class; a
list of numbers is an attribute vector.

`attributes.csv`, for anyone's own data: a header, then a line for each image; the first column is the file's name, the
others are attributes named by the header: 0, 1 or any number, and nothing where it is unknown.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastgan.data.sources import Images, index_classes
from fastgan.errors import DataError

JSON, CSV = "dataset.json", "attributes.csv"
DOCUMENTS = (JSON, CSV)
"""What may lie beside images and is read"""
_LARGEST = float(np.finfo(np.float32).max)


def apply(images: Images, path: Path, read: Callable[[str], bytes | None], folder: str = "") -> Images:
    """`images` with what the two files say, where there are any.

    read: a file's name -> its bytes, or None when there is no such file. folder: where in the source the files lie
    ("" or "photos/"); the names in them are relative to it.
    """
    labels, attributes = read(JSON), read(CSV)
    if labels is None and attributes is None:
        return images
    rows = {name: row for row, name in enumerate(images.names)}

    def row_of(name: str) -> int | None:
        return rows.get(folder + name)

    if labels is not None:
        images = _apply_json(images, f"{path / JSON}", labels, row_of)
    if attributes is not None:
        if images.attributes is not None:
            raise DataError(f"{path} has attributes in both {JSON} and {CSV}: remove one of them")
        names, table = read_table(f"{path / CSV}", attributes)
        images = with_attributes(images, f"{path / CSV}", names, table, row_of)
    return images


def with_attributes(
    images: Images,
    where: str,
    attribute_names: tuple[str, ...],
    table: Mapping[str, Sequence[float]],
    row_of: Callable[[str], int | None],
) -> Images:
    """`images` with the vectors of `table` (file name -> values); an image that is not in it is unknown throughout."""
    attributes = np.full((len(images), len(attribute_names)), np.nan, np.float32)
    for row, values in zip(_rows(where, table, row_of), table.values(), strict=True):
        attributes[row] = values
    notes = images.notes
    if absent := len(images) - len(table):
        notes += (
            f"{absent} of {len(images)} images are not in {Path(where).name}: their attributes are unknown",
        )
    return replace(images, attributes=attributes, attribute_names=attribute_names, notes=notes)


def read_table(where: str, content: bytes) -> tuple[tuple[str, ...], dict[str, tuple[float, ...]]]:
    """attributes.csv -> attribute names, and file name -> values (NaN: unknown). Raises DataError."""
    lines = csv.reader(io.StringIO(_text(where, content), newline=""))
    try:
        header = next(lines, [])
        names = tuple(name.strip() for name in header[1:])
        check_names(where, names)
        table: dict[str, tuple[float, ...]] = {}
        for cells in lines:
            if not any(cells):
                continue
            here = f"{where} line {lines.line_num}"
            if len(cells) != len(header):
                raise DataError(
                    f"{here} has {len(cells)} columns and the header has {len(header)}: give one value a column"
                )
            name = cells[0].strip().removeprefix("./")
            if name in table:
                raise DataError(f"{here} names {name} a second time: remove one of the two lines")
            table[name] = tuple(_value(here, *pair) for pair in zip(names, cells[1:], strict=True))
    except csv.Error as error:
        raise DataError(f"{where} line {lines.line_num} is no CSV ({error}): save it again") from error
    return names, table


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise DataError unless there are attribute names, each given once."""
    if not names or not all(names):
        raise DataError(f"{where} line 1 should name the columns: the file name, then each attribute")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where} has two columns called {twice}: give each attribute a name of its own")


def _apply_json(images: Images, where: str, content: bytes, row_of: Callable[[str], int | None]) -> Images:
    try:
        found = json.loads(_text(where, content))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON ({error}): write it again") from error
    given = found.get("labels") if isinstance(found, dict) else None
    if given is None:
        return images  # StyleGAN's tools write null where there are no labels
    table = _json_table(where, given)
    if len(table) < len(images):
        named = {row_of(name) for name in table}
        bare = next(name for row, name in enumerate(images.names) if row not in named)
        raise DataError(
            f"{where} has no label for {bare} and {len(images) - len(table) - 1} more: give every image one"
        )
    rows = _rows(where, table, row_of)
    first = next(iter(table.values()), 0)
    if isinstance(first, list):
        names = tuple(f"label{index}" for index in range(len(first)))
        vectors = {name: _vector(where, name, value, len(first)) for name, value in table.items()}
        return replace(with_attributes(images, where, names, vectors, row_of), labels=None, class_names=())
    classes = [""] * len(images)
    for row, (name, label) in zip(rows, table.items(), strict=True):
        if not isinstance(label, int | str) or isinstance(label, bool):
            raise DataError(
                f"{where} gives {name} the label {label!r}: use a class number, as for {next(iter(table))}"
            )
        classes[row] = str(label)
    labels, class_names = index_classes(classes)
    return replace(images, labels=labels, class_names=class_names)


def _json_table(where: str, given: Any) -> dict[str, Any]:
    """[[name, label], ...] or {name: label} -> {name: label}."""
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list):
        raise DataError(f"{where}: labels should be a list of [file name, label]")
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise DataError(f"{where}: labels[{index}] is {str(pair)[:80]}: it should be [file name, label]")
    table = {name.replace("\\", "/"): label for name, label in pairs}
    if len(table) < len(pairs):
        raise DataError(f"{where} names some images more than once: {len(pairs)} labels, {len(table)} names")
    return table


def _rows(where: str, names: Iterable[str], row_of: Callable[[str], int | None]) -> list[int]:
    """The rows of the named images; DataError when some are not there."""
    pairs = [(name, row_of(name)) for name in names]
    missing = [name for name, row in pairs if row is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{where} names {missing[0]}{more} that are not there: add the images, or take them out of the file"
        )
    return [row for _, row in pairs if row is not None]


def is_number(value: Any) -> bool:
    """Whether a value of JSON or CSV is a number that float32 can hold."""
    return isinstance(value, int | float) and abs(value) <= _LARGEST  # false for NaN


def _vector(where: str, name: str, value: Any, length: int) -> tuple[float, ...]:
    is_vector = isinstance(value, list) and len(value) == length
    if not is_vector or not all(map(is_number, value)):
        raise DataError(
            f"{where} gives {name} the label {str(value)[:80]}: use {length} numbers, as for the first image"
        )
    return tuple(value)


def _value(here: str, name: str, cell: str) -> float:
    text = cell.strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_number(value):
        raise DataError(
            f"{here}: {name} is {text[:40]!r}: use 0, 1 or a number, and nothing where it is unknown"
        )
    return value


def _text(where: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text ({error}): save it as UTF-8") from error
