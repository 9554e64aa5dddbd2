"""WebDataset shards: tar files in which the files of one sample share a name up to its first dot.

`000.jpg` is the image, `000.cls` its class (a number or a name), `000.json` may hold {"label": 3} and {"attributes":
{"smiling": 1, "age": null}}, and {"class": "truck"} to name what `000.cls` numbers. `000.txt` is a class name when
the texts repeat, and else a caption, which is not used.

Where nothing is said of classes or attributes, the folders in the tars are the classes, and one tar is read like a zip.
"""

import math
import re
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastgan.data import beside, members, passed_over, tar_index
from fastgan.data.annotations import is_number
from fastgan.data.folders import arranged
from fastgan.data.names import class_name, displayable, is_hidden, natural_key, split_of, splits_of
from fastgan.data.sources import Images, by_folders, index_classes
from fastgan.documents import parse_json
from fastgan.errors import DataError, DocumentError
from fastgan.files import open_regular
from fastgan.text import shown

DESCRIBES = "WebDataset .tar shards"
MAX_SHARDS = 1_000_000
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")


def matches(path: Path) -> bool:
    """Whether `path` is a .tar, a folder with some at its top, or a brace pattern of .tar files."""
    if path.suffix.lower() == ".tar":
        return path.is_file() or bool(_BRACES.search(str(path)))
    return path.is_dir() and bool(_in_folder(path))


def read(path: Path) -> Images:
    """Every sample with an image, shard by shard in the order of their names."""
    return read_shards(path, _shards(path))


def read_shards(path: Path, shards: Sequence[Path]) -> Images:
    """The samples of these tars, which may be compressed."""
    index = _Index()
    for number, shard in enumerate(shards):
        _scan(shard, number, index)
    splits = splits_of([split_of(shard.name) for shard in shards])
    labels, class_names, notes = _classes(index)
    if index.odd:
        notes += (f"{len(index.odd)} labels could not be taken: {index.odd[0]}",)
    names, attributes = _attributes(index)
    images = Images(
        names=index.names,
        load=_Loader(shards, index),
        files=lambda: shards,
        labels=labels,
        class_names=class_names,
        attributes=attributes,
        attribute_names=names,
        splits=None if splits is None else np.array(splits, np.int8)[np.array(index.shards, np.int64)],
        passed=index.passed,
        notes=notes,
    )
    says_nothing = labels is None and attributes is None
    if len(shards) == 1:
        return _like_a_zip(path, images, index.documents) if says_nothing else images
    if index.documents:
        notes = (*images.notes, f"{next(iter(index.documents))} is not read, for {path} is several tars")
        images = replace(images, notes=notes)
    return _with_folders(images, shards, index) if says_nothing else images


@dataclass
class _Index:
    """Where each image lies, and what is said of it; the images themselves stay in their shards."""

    names: list[str] = field(default_factory=list)
    shards: array = field(default_factory=lambda: array("q"))
    starts: array = field(default_factory=lambda: array("q"))
    sizes: array = field(default_factory=lambda: array("q"))
    classes: list[str | None] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)
    attributes: dict[int, dict[str, float]] = field(default_factory=dict)
    named: dict[int, str] = field(default_factory=dict)
    """What a .json calls the class of a row."""
    odd: list[str] = field(default_factory=list)
    """Labels of .json files that are none"""
    unpacked: dict[int, BinaryIO] = field(default_factory=dict)
    """Number of a compressed shard -> what it unpacks to"""
    documents: dict[str, bytes] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)


class _Loader:
    """Row -> its image, from any thread."""

    def __init__(self, shards: Sequence[Path], index: _Index) -> None:
        self._shards, self._index, self._lock = shards, index, threading.Lock()

    def __call__(self, row: int) -> BinaryIO:
        number = self._index.shards[row]
        unpacked = self._index.unpacked.get(number)
        if unpacked is None:
            with open_regular(self._shards[number]) as file:
                return self._taken(file, row)
        with self._lock:  # one file for all threads
            return self._taken(unpacked, row)

    def _taken(self, file: BinaryIO, row: int) -> BinaryIO:
        file.seek(self._index.starts[row])
        return members.take(file, self._index.sizes[row], self._index.names[row])


def _like_a_zip(path: Path, images: Images, documents: dict[str, bytes]) -> Images:
    """The images of one tar by their names in it: classes from folders, labels and attributes from what lies beside."""
    start = len(displayable(path.name)) + 1
    rows = {name[start:]: row for row, name in enumerate(images.names)}
    load = images.load
    found = by_folders(rows, lambda name: load(rows[name]), images.files)  # type: ignore[arg-type,return-value]
    found = beside.apply(found, path, documents, documents.__getitem__)
    splits = images.splits if found.splits is None else found.splits
    return replace(found, splits=splits, passed=images.passed, notes=(*images.notes, *found.notes))


def _with_folders(images: Images, shards: Sequence[Path], index: _Index) -> Images:
    """`images` with the folders in each tar for classes; a folder that holds all of one tar is none."""
    members_of: list[list[str]] = [[] for _ in shards]
    for name, number in zip(images.names, index.shards, strict=True):
        members_of[number].append(name[len(displayable(shards[number].name)) + 1 :])
    labels, class_names = index_classes([one for names in members_of for one in arranged(names).classes])
    return replace(images, labels=labels, class_names=class_names)


def _in_folder(path: Path) -> list[Path]:
    try:
        found = [
            file for file in path.iterdir() if file.suffix.lower() == ".tar" and not is_hidden(file.name)
        ]
    except OSError:
        return []
    return sorted(found, key=lambda file: natural_key(file.name))


def _shards(path: Path) -> list[Path]:
    """The files that `path` means. Raises DataError when one of a pattern is not there."""
    if path.is_dir():
        return _in_folder(path)
    shards = [path] if path.is_file() else [Path(name) for name in _expand(str(path))]
    missing = [shard for shard in shards if not shard.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(shards)} shards of {path} are not there, {missing[0]} first: "
            "add them, or narrow the braces"
        )
    return shards


def _expand(pattern: str) -> Iterator[str]:
    """`a{0..2}{x,y}.tar` -> a0x.tar, a0y.tar, a1x.tar ..."""
    options: list[list[str]] = []
    end, total = 0, 1
    for found in _BRACES.finditer(pattern):
        first, last, words = found.groups()
        count = words.count(",") + 1 if words else int(last) - int(first) + 1
        if count < 1:
            raise DataError(f"{found[0]} in {pattern} counts down: write the smaller number first")
        total *= count
        if total > MAX_SHARDS:
            raise DataError(f"{pattern} means more than {MAX_SHARDS:,} shards: narrow the braces")
        many = (
            words.split(",")
            if words
            else [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
        )
        options += [[pattern[end : found.start()]], many]
        end = found.end()
    yield from map("".join, product(*options, [pattern[end:]]))


def _scan(shard: Path, number: int, index: _Index) -> None:
    """Add the samples of one shard."""
    contents = tar_index.scan(shard)
    first = len(index.names)
    for name, (start, size) in contents.images.items():
        index.names.append(f"{displayable(shard.name)}/{name}")
        index.shards.append(number)
        index.starts.append(start)
        index.sizes.append(size)
    index.classes += [None] * len(contents.images)
    index.texts += [None] * len(contents.images)
    index.documents |= contents.documents
    index.passed.update(passed_over.count(contents.passed))
    if contents.file is not None:
        index.unpacked[number] = contents.file
    for row, (name, notes) in enumerate(
        zip(contents.images, tar_index.noted(str(shard), contents), strict=True)
    ):
        for kind, content in notes:
            _note(f"{shard}: {name.rpartition('.')[0]}.{kind}", kind, content, index, first + row)


def _note(where: str, kind: str, content: bytes, index: _Index, row: int) -> None:
    """Take one label file into the index."""
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text: write the shard again") from None
    if kind == "cls":
        index.classes[row] = text
    elif kind == "txt":
        index.texts[row] = text
    else:
        _json(where, text, index, row)


def _json(where: str, text: str, index: _Index, row: int) -> None:
    try:
        found: Any = parse_json(text, object, where)
    except DocumentError as error:
        raise DataError(f"{error}: write the shard again") from error
    if not isinstance(found, dict):
        return  # a list or a number says nothing that has a name
    attributes = found.get("attributes")
    if index.classes[row] is None:
        try:
            index.classes[row] = class_name(found.get("label"))
        except DataError as error:
            index.odd.append(f"{where} has the label {shown(str(found['label'])[:40])}: {error}")
    if isinstance(found.get("class"), str):
        index.named[row] = sys.intern(found["class"])
    if isinstance(attributes, dict):
        index.attributes[row] = {name: _number(where, name, value) for name, value in attributes.items()}


def _number(where: str, name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if not is_number(value):
        raise DataError(f"{where}: {name} is {str(value)[:40]!r}: use a number, or null where it is unknown")
    return float(value)


def _classes(index: _Index) -> tuple[np.ndarray | None, tuple[str, ...], tuple[str, ...]]:
    """Labels, class names and notes: from .cls and .json, else from .txt when its texts repeat."""
    for row, name in index.named.items():
        if (index.classes[row] or "").isdecimal():
            index.classes[row] = name
    if any(name is not None for name in index.classes):
        return *index_classes(index.classes), ()
    texts = {text for text in index.texts if text is not None}
    if not texts:
        return None, (), ()
    if len(texts) > len(index.names) // 2 or any("\n" in text or len(text) > 100 for text in texts):
        return (
            None,
            (),
            (f"no labels: the .txt files are captions ({len(texts)} different ones), not class names",),
        )
    return *index_classes(index.texts), ()


def _attributes(index: _Index) -> tuple[tuple[str, ...], np.ndarray | None]:
    """Attribute names in the order of their first mention, and float32 [N, A]; what is not said is unknown."""
    column: dict[str, int] = {}
    for values in index.attributes.values():
        for name in values:
            column.setdefault(name, len(column))
    if not column:
        return (), None
    attributes = np.full((len(index.names), len(column)), np.nan, np.float32)
    for row, values in index.attributes.items():
        attributes[row, [column[name] for name in values]] = list(values.values())
    return tuple(column), attributes
