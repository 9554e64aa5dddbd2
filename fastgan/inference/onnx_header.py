"""What an ONNX file is made of, read without its weights: gigabytes are described in milliseconds.

An ONNX file is one protocol buffer: fields one after the other, each a key (its number and how it is encoded) and a
value, most of them with their length before them, and messages within messages likewise. So what a tensor holds can be
stepped over in a memory map, and what remains is small enough for the onnx package to parse.
"""

import mmap
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import ModelProto

from fastgan.errors import CheckpointError
from fastgan.files import open_regular

Fields = Mapping[int, "Fields | None"]
"""Fields by their number: None is the whole of one, a mapping some of those within it."""
_VALUES: Fields = dict.fromkeys((4, 5, 6, 7, 9, 10, 11))  # TensorProto.*_data and raw_data
_WEIGHTS: Fields = {7: {5: _VALUES}}  # in ModelProto.graph, in GraphProto.initializer
_FIXED = {1: 8, 5: 4}  # bytes of a value without a length, by how it is encoded


def read_header(path: Path) -> ModelProto:
    """The model in `path` with the names, types and shapes of its tensors, and without their values.

    Raises CheckpointError where it is no ONNX file, or is cut short.
    """
    try:
        with open_regular(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            model = ModelProto.FromString(bytes(_without(content, 0, len(content), _WEIGHTS)))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, IndexError, DecodeError) as error:  # an empty file cannot be mapped: ValueError
        raise CheckpointError(f"{path} is not a whole ONNX model ({error}).") from error
    if not model.ir_version or not model.HasField("graph"):
        raise CheckpointError(f"{path} is not a whole ONNX model (it has no graph).")
    return model


def _without(content: mmap.mmap, start: int, end: int, left_out: Fields) -> bytearray:
    """The message at content[start:end] without the fields of `left_out`."""
    kept = bytearray()
    while start < end:
        key, body = _varint(content, start)
        number, encoding = key >> 3, key & 7
        if encoding == 2:
            size, value = _varint(content, body)
            after = value + size
        elif encoding == 0:
            _, after = _varint(content, body)
        else:
            after = body + _FIXED[encoding] if encoding in _FIXED else end + 1
        if not number or after > end:
            raise ValueError(f"cut short or damaged at byte {start:,}")
        if number not in left_out:
            kept += content[start:after]
        elif (within := left_out[number]) is not None and encoding == 2:
            inner = _without(content, value, after, within)
            kept += content[start:body] + _as_varint(len(inner)) + inner
        start = after
    return kept


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, the top bit set on all but the last; and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError(f"damaged at byte {at:,}")


def _as_varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)
