"""WebDataset shards: tar files in which the files of one sample share a name up to its first dot.

`000.jpg` is the image, `000.cls` its class (a number or a name), `000.json` may hold {"label": 3} and {"attributes":
{"smiling": 1, "age": null}}, and {"class": "truck"} to name what `000.cls` numbers. `000.txt` is a class name when
the texts repeat, and else a caption, which is not used.
"""

import io
import json
import math
import re
import sys
import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fastgan.data.annotations import is_number
from fastgan.data.decode import suffixes
from fastgan.data.sources import Images, displayable, index_classes, is_hidden, natural_key, split_of
from fastgan.errors import DataError

DESCRIBES = "WebDataset .tar shards"
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
_NOTES = {"cls", "json", "txt"}
_MAX_NOTE = 1 << 20  # no label takes a megabyte


def matches(path: Path) -> bool:
    """Whether `path` is a .tar, a folder with some at its top, or a brace pattern of .tar files."""
    if path.suffix.lower() == ".tar":
        return path.is_file() or bool(_BRACES.search(str(path)))
    return path.is_dir() and bool(_in_folder(path))


def read(path: Path) -> Images:
    """Every sample with an image, shard by shard in the order of their names."""
    shards = _shards(path)
    index = _Index()
    for number, shard in enumerate(shards):
        _scan(shard, number, index)
    splits = [split_of(shard.name) for shard in shards]
    labels, class_names, notes = _classes(index)
    names, attributes = _attributes(index)
    starts, sizes, owner = index.starts, index.sizes, index.shards

    def load(row: int) -> io.BytesIO:
        with open(shards[owner[row]], "rb") as file:
            file.seek(starts[row])
            return io.BytesIO(file.read(sizes[row]))

    return Images(
        names=index.names,
        load=load,
        files=lambda: shards,
        labels=labels,
        class_names=class_names,
        attributes=attributes,
        attribute_names=names,
        splits=None if None in splits else np.array(splits, np.int8)[np.array(owner, np.int64)],
        notes=notes,
    )


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
    end = 0
    for found in _BRACES.finditer(pattern):
        first, last, words = found.groups()
        if words is None and int(last) - int(first) >= 1_000_000:
            raise DataError(f"{found[0]} means more than a million shards: narrow it")
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
    images = {suffix.removeprefix(".") for suffix in suffixes()}
    rows: dict[str, int] = {}
    notes: dict[str, list[tuple[str, bytes]]] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else tarfile keeps an object for every file it has seen
                if not member.isfile() or is_hidden(member.name):
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, extension = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                kind = extension.lower().rpartition(".")[2]
                if kind in images:
                    if key in rows:
                        raise DataError(
                            f"{shard}: the sample {key} has two images, {member.name} second: keep one"
                        )
                    rows[key] = len(index.names)
                    index.names.append(f"{displayable(shard.name)}/{displayable(member.name)}")
                    index.shards.append(number)
                    index.starts.append(member.offset_data)
                    index.sizes.append(member.size)
                elif kind in _NOTES and member.size <= _MAX_NOTE:
                    file = archive.extractfile(member)
                    notes.setdefault(key, []).append((kind, file.read() if file else b""))
            _check_end(shard, archive.offset)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"{shard} is cut short or no plain tar ({error}): copy or download it again"
        ) from error
    index.classes += [None] * len(rows)
    index.texts += [None] * len(rows)
    for key, row in rows.items():
        for kind, content in notes.get(key, ()):
            _note(f"{shard}: {key}.{kind}", kind, content, index, row)


def _check_end(shard: Path, offset: int) -> None:
    """A tar ends in blocks of zeros. tarfile takes whatever it cannot read for that end, and says nothing."""
    with open(shard, "rb") as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError(f"after {offset} bytes comes neither a file nor the end")


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
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON ({error}): write the shard again") from error
    if not isinstance(found, dict):
        return  # a list or a number says nothing that has a name
    label, attributes = found.get("label"), found.get("attributes")
    if isinstance(label, int | str) and not isinstance(label, bool) and index.classes[row] is None:
        index.classes[row] = str(label)
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
