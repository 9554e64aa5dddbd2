"""`dataset.json`, as StyleGAN's tools write it: {"labels": [["00000/img00000000.png", 6], ...]}.

The list, or a table {"00000/img00000000.png": 6, ...}, may also stand alone. A number or a name is a class; a list of
numbers is an attribute vector; null in place of all labels says that there are none.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastgan.data.annotations import Said, add, brief, is_number, with_attributes
from fastgan.data.folders import STORAGE
from fastgan.data.names import Lookup, class_name, folder_of
from fastgan.data.sources import Images, index_classes
from fastgan.documents import parse_json
from fastgan.errors import DataError, DocumentError
from fastgan.text import shown

_EXAMPLE = '{"labels": [["00000/0.png", 3], ...]}'


def apply(images: Images, path: Path, texts: Mapping[str, bytes], lookup: Lookup) -> Images:
    """`images` with the classes or vectors of `texts`: name of a dataset.json in `path` -> its bytes."""
    said: dict[int, Said] = {}
    some = False
    for document, text in texts.items():
        folder, where = folder_of(document), f"{path / document}"
        given = _labels_in(where, _parsed(where, text), lambda n, f=folder: lookup.row(n, f))  # type: ignore[misc]
        if given is not None:
            some = True
            add(said, where, folder, _pairs(where, given), lookup)
    where = f"{path / next(iter(texts))}"
    images = replace(images, notes=tuple(note for note in images.notes if not note.startswith(STORAGE)))
    if not some or (len(said) == len(images) > 0 and all(one.value is None for one in said.values())):
        return _without_labels(images, where)
    return _with_labels(images, where, said)


def _parsed(where: str, text: bytes) -> object:
    try:
        return parse_json(text, object, where)
    except DocumentError as error:
        raise DataError(f"{error}: write it again") from None


def _without_labels(images: Images, where: str) -> Images:
    """StyleGAN's tools write null where there are no labels; folders are then no classes either."""
    notes = images.notes
    if images.class_names:
        folders = ", ".join(map(shown, images.class_names[:3])) + (
            ", ..." if len(images.class_names) > 3 else ""
        )
        notes += (
            f"no labels: {where} says so (null), and the folders {folders} are no classes then; remove it to use them",
        )
    return replace(images, labels=None, class_names=(), notes=notes)


def _with_labels(images: Images, where: str, said: Mapping[int, Said]) -> Images:
    if bare := len(images) - len(said):
        name = next(name for row, name in enumerate(images.names) if row not in said)
        more = f" and {bare - 1} more" if bare > 1 else ""
        raise DataError(f"{where} has no label for {brief(name)}{more}: give every image one")
    vectors = {row: one.value for row, one in said.items() if isinstance(one.value, list)}
    if vectors:
        length = len(next(iter(vectors.values())))
        names = tuple(f"label{index}" for index in range(length))
        checked = {row: _vector(one, length) for row, one in said.items()}
        return replace(with_attributes(images, where, names, checked), labels=None, class_names=())
    classes = [""] * len(images)
    for row, one in said.items():
        classes[row] = _class(one)
    labels, class_names = index_classes(classes)
    return replace(images, labels=labels, class_names=class_names)


def _labels_in(where: str, found: object, row_of: Callable[[str], int | None]) -> Any:
    """The part of a document that holds the labels; None: it says that there are none."""
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        if "labels" in found and row_of("labels") is None:
            return found["labels"]
        if any(row_of(name) is not None for name in found):
            return found
    raise DataError(
        f"{where} says nothing of labels: write {_EXAMPLE}, or give it another name where it is another program's"
    )


def _pairs(where: str, given: Any) -> dict[str, Any]:
    """[[name, label], ...] or {name: label} -> {name: label}."""
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list):
        raise DataError(f"{where}: labels should be a list of [file name, label]: write {_EXAMPLE}")
    table: dict[str, Any] = {}
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise DataError(
                f"{where}: labels[{index}] is {shown(str(pair)[:80])}: it should be [file name, label]"
            )
        if pair[0] in table:
            raise DataError(f"{where} names {brief(pair[0])} more than once: keep one label for each image")
        table[pair[0]] = pair[1]
    return table


def _class(said: Said) -> str:
    try:
        name = class_name(said.value)
    except DataError as error:
        label = shown(repr(said.value)[:80])
        raise DataError(
            f"{said.where} gives {brief(said.name)} the label {label}: {error}, or a list of numbers for every image"
        ) from None
    if name is None:
        raise DataError(
            f"{said.where} gives {brief(said.name)} no label (null) where others have one: give it one, or null to all"
        )
    return name


def _vector(said: Said, length: int) -> tuple[float, ...]:
    value = said.value
    is_vector = isinstance(value, list) and len(value) == length > 0
    if not is_vector or not all(map(is_number, value)):
        raise DataError(
            f"{said.where} gives {brief(said.name)} the label {shown(str(value)[:80])}: use a list of "
            f"{max(length, 1)} numbers for every image, or a class for every image"
        )
    return tuple(value)
