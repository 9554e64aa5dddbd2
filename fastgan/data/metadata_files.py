"""`metadata.csv` and `metadata.jsonl`, as Hugging Face's ImageFolder has them: a line for each image.

`file_name` is the image, `label` its class (a number or a name; nothing: in none). Of the others, those that hold
numbers, true and false are attributes, as the columns of attributes.csv are; texts (captions), lists and tables are
left out, and said.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastgan.data.annotations import Said, add, as_number, with_attributes
from fastgan.data.attributes_csv import delimiter_of, text_of
from fastgan.data.names import Lookup, class_name, folder_of
from fastgan.data.sources import Images, index_classes
from fastgan.documents import parse_json
from fastgan.errors import DataError, DocumentError
from fastgan.text import shown

_FILE, _LABEL = "file_name", "label"
Row = dict[str, Any]


def apply(
    images: Images, path: Path, texts: Mapping[str, bytes], lookup: Lookup, *, labelled: bool = False
) -> Images:
    """`images` with the classes and attributes of `texts`: name of a document in `path` -> its bytes.

    labelled: another document has given them classes. Raises DataError.
    """
    said: dict[int, Said] = {}
    notes = [*images.notes]
    columns: dict[str, str] = {}  # -> the first document that has it
    for document, text in texts.items():
        folder, where = folder_of(document), f"{path / document}"
        table: dict[str, Row] = {}
        for here, row in _rows(where, text):
            name = row.pop(_FILE, None)
            if name is None:
                continue
            if not isinstance(name, str) or name in table:
                raise DataError(f"{here}: {_FILE} is {shown(repr(name)[:80])}: name each image once")
            table[name] = row
            columns |= {column: columns.get(column, where) for column in row}
        if not table:
            notes.append(f"{where} is not read: it has no column {_FILE}, or no line")
        add(said, where, folder, table, lookup)
    images = replace(images, notes=tuple(notes))
    if (where := columns.pop(_LABEL, "")) and labelled:
        raise DataError(f"{where} has labels, and so has another file: remove one of them")
    if where:
        images = _with_labels(images, said)
    return _with_attributes(images, columns, said)


def _rows(where: str, content: bytes) -> Iterator[tuple[str, Row]]:
    """Where each line is, for messages, and what it says: column -> value."""
    text = text_of(where, content)
    if where.endswith(".csv"):
        yield from _csv_rows(where, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            here = f"{where} line {number}"
            try:
                yield here, parse_json(line, dict[str, Any], here)
            except DocumentError as error:
                raise DataError(f"{error}: write the file again") from None


def _csv_rows(where: str, text: str) -> Iterator[tuple[str, Row]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    try:
        header = [cell.strip() for cell in next(lines, [])]
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{where} has two columns called {shown(twice)}: give each a name of its own")
        for cells in filter(any, lines):
            here = f"{where} line {lines.line_num}"
            if len(cells) != len(header):
                raise DataError(
                    f"{here} has {len(cells)} columns and the header has {len(header)}: give one value a column"
                )
            yield here, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise DataError(f"{where} line {lines.line_num} is no CSV ({error}): save it again") from error


def _with_labels(images: Images, said: Mapping[int, Said]) -> Images:
    classes: list[str | None] = [None] * len(images)
    for row, one in said.items():
        label = one.value.get(_LABEL)
        try:
            classes[row] = class_name(None if label == "" else label)
        except DataError as error:
            raise DataError(
                f"{one.where} gives {shown(one.name)} the label {shown(repr(label)[:80])}: {error}"
            ) from None
    labels, class_names = index_classes(classes)
    return replace(images, labels=labels, class_names=class_names)


def _with_attributes(images: Images, columns: Mapping[str, str], said: Mapping[int, Said]) -> Images:
    """`images` with the columns that hold numbers; a note names the others."""
    values: dict[str, dict[int, float]] = {}
    left_out = []
    for column in columns:
        cells = {row: one.value.get(column) for row, one in said.items()}
        numbers = {row: as_number(cell) for row, cell in cells.items()}
        odd = next((row for row, number in numbers.items() if number is None), None)
        known = {row: number for row, number in numbers.items() if number is not None}
        if odd is not None:
            left_out.append(f"{shown(column) or 'without a name'} ({shown(repr(cells[odd])[:40])})")
        elif not all(map(math.isnan, known.values())):
            values[column] = known
    where = next(iter(columns.values()), "")
    if left_out:
        note = f"{Path(where).name}: not numbers, so no attributes: {', '.join(left_out)}"
        images = replace(images, notes=(*images.notes, note))
    if not values:
        return images
    if images.attributes is not None:
        raise DataError(f"{where} has attributes, and so has another file: remove one of them")
    vectors = {row: tuple(column[row] for column in values.values()) for row in said}
    return with_attributes(images, where, tuple(values), vectors)
