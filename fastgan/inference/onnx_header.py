"""What an ONNX file is made of, read without its weights: gigabytes are described in milliseconds.

An ONNX file is one protocol buffer: fields one after the other, each a key (its number and how it is encoded) and a
value, most of them with their length before them, and messages within messages likewise. So what a tensor holds can be
stepped over, and what remains is small enough for the onnx package to parse. The file is read and not mapped: one that
is cut meanwhile is an error, and no crash.
"""

import math
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from fastgan.errors import CheckpointError
from fastgan.files import open_regular

Fields = Mapping[int, "Fields | None"]
"""Fields by their number: None is the whole of one, a mapping some of those within it."""
_VALUES: Fields = dict.fromkeys((4, 5, 6, 7, 9, 10, 11))  # TensorProto.*_data and raw_data
_WEIGHTS: Fields = {7: {5: _VALUES}}  # in ModelProto.graph, in GraphProto.initializer
_FIXED = {1: 8, 5: 4}  # bytes of a value without a length, by how it is encoded
_RAW, _FLOATS, _DOUBLES = 9, 4, 10  # TensorProto.raw_data, float_data, double_data
_BITS: dict[int, int] = {
    TensorProto.FLOAT: 32, TensorProto.DOUBLE: 64, TensorProto.FLOAT16: 16, TensorProto.BFLOAT16: 16,
    TensorProto.INT8: 8, TensorProto.UINT8: 8, TensorProto.BOOL: 8, TensorProto.INT16: 16, TensorProto.UINT16: 16,
    TensorProto.INT32: 32, TensorProto.UINT32: 32, TensorProto.INT64: 64, TensorProto.UINT64: 64,
}  # fmt: skip
"""Of a number of each type that an exported generator has, in raw_data"""
_EXPONENT = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}  # all of its bits: NaN or infinite
_BFLOAT16_EXPONENT = 0x7F80
_PIECE = 16 << 20


class Values(NamedTuple):
    """Where some of the numbers of a tensor lie in the file."""

    field: int
    """Of TensorProto"""
    start: int
    size: int


def read_header(path: Path) -> ModelProto:
    """The model in `path` with the names, types and shapes of its tensors, and without their values.

    Raises CheckpointError where it is no ONNX file, or is cut short, or a tensor does not have the size of its shape.
    """
    return _read(path)[0]


def check_finite(path: Path) -> None:
    """Raise CheckpointError, as `read_header`, and where a weight is NaN or infinite. Reads the whole file."""
    model, held = _read(path)
    for tensor, values in zip(model.graph.initializer, held, strict=True):
        exponent = _BFLOAT16_EXPONENT if tensor.data_type == TensorProto.BFLOAT16 else None
        for part in values:
            bits = {_FLOATS: 32, _DOUBLES: 64, _RAW: _BITS.get(tensor.data_type, 0)}.get(part.field, 0)
            if tensor.data_type in _FLOATING and not _are_finite(path, part, bits, exponent):
                raise CheckpointError(
                    f"{path}: its weights {tensor.name} hold numbers that are NaN or infinite, so no image would be "
                    "right: export it again."
                )


_FLOATING = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def _are_finite(path: Path, part: Values, bits: int, exponent: int | None) -> bool:
    mask = _EXPONENT[bits] if exponent is None else exponent
    with open_regular(path) as file:
        file.seek(part.start)
        left = part.size - part.size % (bits // 8)
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            numbers = np.frombuffer(piece[: len(piece) - len(piece) % (bits // 8)], f"<u{bits // 8}")
            if bool(((numbers & mask) == mask).any()):
                return False
    return True


def _read(path: Path) -> tuple[ModelProto, list[list[Values]]]:
    """The model without its values, and where those of each initialiser lie."""
    found: dict[int, list[Values]] = {}
    try:
        with open_regular(path) as file:
            content = _Content(file)
            model = ModelProto.FromString(bytes(_without(content, 0, content.size, _WEIGHTS, found)))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, IndexError, DecodeError) as error:
        raise CheckpointError(f"{path} is not a whole ONNX model ({error}).") from error
    if not model.ir_version or not model.HasField("graph"):
        raise CheckpointError(f"{path} is not a whole ONNX model (it has no graph).")
    held = [found[start] for start in sorted(found)]
    for tensor, values in zip(model.graph.initializer, held, strict=True):
        _check_size(path, tensor, values)
    return model, held


def _check_size(path: Path, tensor: TensorProto, values: list[Values]) -> None:
    """What a tensor claims to hold must be there: a program may take memory for it."""
    count, there = math.prod(tensor.dims), sum(part.size for part in values)
    raw = all(part.field == _RAW for part in values)
    beside = [int(e.value) for e in tensor.external_data if e.key == "length" and e.value.isdecimal()]
    if tensor.external_data:
        there = sum(beside)
    bits = _BITS.get(tensor.data_type) if raw else None
    fits = count <= 8 * there if bits is None else count * bits == 8 * there
    if any(side < 0 for side in tensor.dims) or not (fits or (tensor.external_data and not beside)):
        raise CheckpointError(
            f"{path} is not a whole ONNX model (its weights {tensor.name} are {list(tensor.dims)[:8]} and have "
            f"{there:,} bytes)."
        )


class _Content:
    """The bytes of a file, as an array of which little is looked at."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def bytes(self, start: int, end: int) -> bytes:
        """Those from start to end; ValueError where the file has become shorter."""
        self._file.seek(start)
        found = self._file.read(end - start)
        if len(found) != end - start:
            raise ValueError("cut short")
        return found

    def varint(self, at: int) -> tuple[int, int]:
        """A number of 7 bits a byte, the lowest first, the top bit set on all but the last; and where it ends."""
        self._file.seek(at)
        number = 0
        for k, byte in enumerate(self._file.read(10)):
            number |= (byte & 127) << 7 * k
            if byte < 128:
                return number, at + k + 1
        raise ValueError(f"damaged at byte {at:,}")


def _without(
    content: _Content, start: int, end: int, left_out: Fields, found: dict[int, list[Values]]
) -> bytearray:
    """The message from start to end without the fields of `left_out`; what is left out of tensors goes to `found`."""
    kept = bytearray()
    if left_out is _VALUES:
        found[start] = []
    for number, encoding, key, value, after in _fields(content, start, end):
        within = left_out.get(number)
        if number not in left_out:
            kept += content.bytes(key, after)
        elif within is None:
            found[start].append(Values(number, value, after - value))
        elif encoding == 2:
            inner = _without(content, value, after, within, found)
            kept += content.bytes(key, content.varint(key)[1]) + _as_varint(len(inner)) + inner
    return kept


def _fields(content: _Content, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(number, encoding, where it starts, where its value does, where it ends) of each field of a message."""
    while start < end:
        key, value = content.varint(start)
        number, encoding = key >> 3, key & 7
        if encoding == 2:
            size, value = content.varint(value)
            after = value + size
        elif encoding == 0:
            _, after = content.varint(value)
        else:
            after = value + _FIXED[encoding] if encoding in _FIXED else end + 1
        if not number or after > end:
            raise ValueError(f"cut short or damaged at byte {start:,}")
        yield number, encoding, start, value, after
        start = after


def _as_varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])
