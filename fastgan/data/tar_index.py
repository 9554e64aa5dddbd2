"""What lies where in a tar of images, plain or compressed: one pass over its headers, within limits."""

import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastgan.data import members
from fastgan.data.decode import suffixes
from fastgan.data.names import DOCUMENTS, displayable, is_hidden, separated
from fastgan.errors import DataError
from fastgan.files import DOCUMENT_BYTES, check_size

NOTES = {"cls", "json", "txt"}
"""What files beside an image may say of it, by their suffix"""
_NOTE_BYTES = 1 << 20  # no label takes a megabyte
_PIECE = 1 << 20
_TAIL = 64 * _PIECE  # bytes after the end that are looked at: 10 KB are usual


@dataclass
class Contents:
    """The files of a tar that are of use."""

    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Name -> (where it starts, bytes); what was added to the tar later replaces what is called the same"""
    notes: dict[str, list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))
    """A name up to its last dot -> (suffix in NOTES, content)"""
    documents: dict[str, bytes] = field(default_factory=dict)
    """dataset.json and its like, by their names"""
    passed: list[str] = field(default_factory=list)
    """Names of the files that are none of these"""
    file: BinaryIO | None = None
    """What a compressed tar unpacks to"""


def scan(path: Path) -> Contents:
    """The images and notes of a tar. Raises DataError when it is cut short or none, or says too much."""
    try:
        file, was_packed = members.open_plain(path)
        try:
            contents = _contents(path, file)
        except BaseException:
            file.close()
            raise
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is cut short or no plain tar ({members.reason(error)}): copy or download it again"
        ) from error
    if was_packed:
        contents.file = file
    else:
        file.close()
    return contents


def _contents(path: Path, file: BinaryIO) -> Contents:
    images = {suffix.removeprefix(".") for suffix in suffixes()}
    contents, said = Contents(), 0
    with members.open_tar(file) as archive:
        while (member := members.next_member(archive)) is not None:
            name = separated(member.name)
            if is_hidden(name) or member.isdir():
                continue
            if not (member.isfile() or member.islnk()):  # a symbolic link, a pipe, a device
                contents.passed.append(name)
                continue
            stem, _, kind = name.rpartition(".")
            kind = kind.lower()
            if kind in images:
                place = (member.offset_data, member.size)
                if member.islnk():  # another name of a file that came before
                    place = contents.images.get(displayable(separated(member.linkname)), (0, 0))
                contents.images[displayable(name)] = place
                continue
            is_document = name.rpartition("/")[2] in DOCUMENTS
            if not member.isfile() or not (is_document or (kind in NOTES and member.size <= _NOTE_BYTES)):
                contents.passed.append(name)
                continue
            said += member.size
            check_size(said, DOCUMENT_BYTES, path)
            file.seek(member.offset_data)
            content = file.read(member.size)
            if is_document:
                contents.documents[displayable(name)] = content
            else:
                contents.notes[displayable(stem)].append((kind, content))
        _check_end(file, archive.offset)
    return contents


def _check_end(file: BinaryIO, offset: int) -> None:
    """A tar ends in blocks of zeros, and nothing else comes after them.

    tarfile takes whatever it cannot read for that end, and says nothing; so would a header that was overwritten with
    zeros, and the first of several tars that were joined.
    """
    file.seek(offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise EOFError(f"after {offset} bytes comes neither a file nor the end")
    for _ in range(_TAIL // _PIECE):
        if not (piece := file.read(_PIECE)):
            return
        if any(piece):
            raise EOFError(
                f"its end, at byte {offset}, is followed by more: it is damaged there, or several tars were joined, "
                "each of which should be a file of its own"
            )


def noted(where: str, contents: Contents) -> list[list[tuple[str, bytes]]]:
    """What is said of each image, as (suffix, content).

    The files of a sample share their names up to the first dot. Where that would give a sample several images, the
    dots may belong to the names (a date, a version): then an image has what is called as it is up to some dot, the
    last before the others. Raises DataError where the names tell of several images a sample indeed (left.png and
    right.png in each).
    """
    names = [*contents.images]
    if not _have_dots(where, names):
        by_first: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
        for stem, notes in contents.notes.items():
            by_first[_parts(stem)[0]] += notes
        return [by_first.get(_parts(name)[0], []) for name in names]
    found = []
    for name in names:
        said: dict[str, bytes] = {}
        stem = name
        while "." in stem.rpartition("/")[2]:
            stem = stem.rpartition(".")[0]
            for kind, content in contents.notes.get(stem, ()):
                said.setdefault(kind, content)
        found.append(list(said.items()))
    return found


def _have_dots(where: str, names: Sequence[str]) -> bool:
    """Whether dots belong to the names of samples, and do not end them."""
    of_sample: dict[str, list[str]] = defaultdict(list)
    for name in names:
        of_sample[_parts(name)[0]].append(name)
    several = {key: found for key, found in of_sample.items() if len(found) > 1}
    first_with: dict[str, str] = {}  # `left` of `000.left.png` -> the first sample that has one
    for key, found in several.items():
        middles = [_parts(name)[1] for name in found]
        words = [middle for middle in middles if not re.fullmatch(r"[\d.\-_ ]*", middle)]
        recurs = any(first_with.setdefault(word, key) != key for word in words)
        if recurs or len({*middles}) < len(middles):
            raise DataError(
                f"{where}: the sample {key} has two images, {found[0]} and {found[1]}, and one is wanted: write shards "
                "with the images that are meant, or put all into a .zip, where each stands for itself"
            )
    return bool(several)


def _parts(name: str) -> tuple[str, str]:
    """`a/000.left.png` -> `a/000` and `left`; the middle is empty for `a/000.png`."""
    folder, slash, base = name.rpartition("/")
    stem, _, rest = base.partition(".")
    return f"{folder}{slash}{stem}", rest.rpartition(".")[0].lower()
