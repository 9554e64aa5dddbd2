"""A safetensors file, read without a memory map: a file that is cut or written over meanwhile is an error, no crash.

The library's own reader maps a file: where another process cuts it, the next access is a bus error, which ends the
process without a word. Here the header is checked as the library checks it, then bytes are read; they are compared with
the fingerprints in the metadata (`FINGERPRINT`), where there are some. Needs no torch.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, NamedTuple

from safetensors import SafetensorError

from fastgan import environment
from fastgan.documents import checked, parse_json
from fastgan.errors import DocumentError
from fastgan.files import open_regular

FINGERPRINT = "sha256"
"""The metadata's key of the fingerprints: a JSON table, name -> SHA-256 of a tensor; under "" that of the rest of the
metadata."""
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
"""safetensors' names of types, and the bytes of a number of each."""
_HEADER_BYTES = 100_000_000  # the library's own limit
_PIECE = 16 << 20


def verifies() -> bool:
    """Whether fingerprints are compared when a file is read: FASTGAN_VERIFY=0 is for those who cannot wait.

    Raises ConfigError for a value that is neither 0 nor 1.
    """
    return environment.flag("FASTGAN_VERIFY", default=True)


class Entry(NamedTuple):
    """Where a tensor lies in its file, and what it is."""

    dtype: str
    """As safetensors calls it: F32, U8, ..."""
    shape: tuple[int, ...]
    start: int
    """Of its first byte in the file."""
    size: int
    """In bytes; always that of its type and shape."""


class TensorFile:
    """The header of an open safetensors file, checked against the file's size, and a way to its bytes."""

    def __init__(self, file: BufferedReader) -> None:
        self._file, self._status = file, os.fstat(file.fileno())
        self.entries, self.metadata = _header(file, self._status.st_size)
        self._known = _fingerprints(self.metadata) if verifies() else {}

    def read_into(self, name: str, buffer: memoryview) -> None:
        """Fill `buffer`, uint8, with the bytes of a tensor, and compare them with its fingerprint.

        Raises SafetensorError where they are not those that were written, or the file is changing.
        """
        entry = self.entries[name]
        digest = hashlib.sha256(_said(name, entry))
        self._file.seek(entry.start)
        for begin in range(0, entry.size, _PIECE):
            piece = buffer[begin : begin + _PIECE]
            if self._file.readinto(piece) != len(piece):
                raise SafetensorError(f"it ends within the tensor {name}")
            if self._known:
                digest.update(piece)
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            raise SafetensorError("another program wrote into it while it was read")
        if self._known and self._known.get(name) != digest.hexdigest():
            raise SafetensorError(f"the tensor {name} is not as it was written")


@contextmanager
def open_tensor_file(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """Yield a safetensors file of any name at all.

    Raises OSError as `files.open_regular` (not there, not permitted, no regular file), SafetensorError for a file that
    is cut short, damaged or none of that format.
    """
    with open_regular(path) as file:
        yield TensorFile(file)


def fingerprints(
    metadata: Mapping[str, str], tensors: Mapping[str, tuple[str, tuple[int, ...], memoryview]]
) -> str:
    """The text for `FINGERPRINT`: of `metadata`, and of tensors given as (type, shape, bytes)."""
    table = {"": _of_metadata(metadata)}
    for name, (dtype, shape, content) in tensors.items():
        digest = hashlib.sha256(_said(name, Entry(dtype, shape, 0, len(content))))
        digest.update(content)
        table[name] = digest.hexdigest()
    return json.dumps(table, sort_keys=True, separators=(",", ":"))  # the same tensors give the same bytes


def is_misspelt(names: Iterable[str]) -> bool:
    """Whether one of `names` is `FINGERPRINT` with a character changed: without this, that bit could flip unseen."""
    return any(
        len(name) == len(FINGERPRINT) and sum(map(str.__ne__, name, FINGERPRINT)) == 1 for name in names
    )


def _said(name: str, entry: Entry) -> bytes:
    return f"{name} {entry.dtype} {list(entry.shape)}\n".encode()


def _of_metadata(metadata: Mapping[str, str]) -> str:
    rest = {key: value for key, value in metadata.items() if key != FINGERPRINT}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _fingerprints(metadata: Mapping[str, str]) -> dict[str, str]:
    """Tensors' fingerprints by name; empty where there are none, in files of others and of older versions."""
    if FINGERPRINT not in metadata:
        if verifies() and is_misspelt(metadata):
            raise SafetensorError("the name of its fingerprints is not as it was written")
        return {}
    try:
        known = parse_json(metadata[FINGERPRINT], dict[str, str], "its table of fingerprints")
    except DocumentError as error:
        raise SafetensorError(str(error)) from None
    if known.get("") != _of_metadata(metadata):
        raise SafetensorError("its metadata is not as it was written")
    return known


def _header(file: BufferedReader, size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors by name in the order of their bytes, which fill the file, and the metadata."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(_HEADER_BYTES, size - 8):
        raise SafetensorError("it is too short for its header")
    text = file.read(length)
    if len(text) != length:
        raise SafetensorError("it ends within its header")
    try:
        content = parse_json(text, dict[str, dict[str, Any]], "its header")
        metadata = checked(content.pop("__metadata__", {}), dict[str, str], "its metadata")
        entries = {name: _entry(name, said, 8 + length) for name, said in content.items()}
    except DocumentError as error:
        raise SafetensorError(str(error)) from None
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].size)))
    end = 8 + length
    for name, entry in ordered.items():
        if entry.start != end:
            raise SafetensorError(f"the tensor {name} does not begin where the one before ends")
        end += entry.size
    if end != size:
        raise SafetensorError(f"it has {size} bytes, and its header speaks of {end}")
    return ordered, metadata


class _Described(NamedTuple):
    """What the header says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def _entry(name: str, said: dict[str, Any], base: int) -> Entry:
    try:
        found = _Described(**said)
    except TypeError:
        raise SafetensorError(f"its header does not describe the tensor {name}") from None
    dtype = checked(found.dtype, str, "its header", f"{name}.dtype")
    shape = tuple(checked(found.shape, list[int], "its header", f"{name}.shape"))
    start, end = checked(found.data_offsets, tuple[int, int], "its header", f"{name}.data_offsets")
    if dtype not in ITEM_BYTES or len(shape) > 16 or any(side < 0 for side in shape) or start < 0:
        raise SafetensorError(f"the tensor {name} is {dtype} {list(shape)[:16]}, which nothing writes")
    size = math.prod(shape) * ITEM_BYTES[dtype]
    if end - start != size:
        raise SafetensorError(f"the tensor {name}, {dtype} {list(shape)}, does not have {end - start} bytes")
    return Entry(dtype, shape, base + start, size)
