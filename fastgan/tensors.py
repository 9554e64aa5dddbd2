"""Tensors in safetensors files: written with fingerprints, read with them compared; see `fastgan.tensor_file`."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from fastgan.machine import require_memory
from fastgan.tensor_file import FINGERPRINT, Entry, TensorFile, fingerprints, open_tensor_file, verifies

__all__ = ["FINGERPRINT", "Entry", "Reader", "count_not_finite", "open_tensors", "save_tensors", "verifies"]

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip
"""safetensors' names of the types that fastgan writes."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Reader:
    """The tensors of an open file."""

    def __init__(self, file: TensorFile) -> None:
        self._file = file
        self.entries = file.entries
        """Types, shapes and sizes by name, which are those of the file: nothing that it only claims."""

    def keys(self) -> list[str]:
        """Names, in the order of the file."""
        return list(self.entries)

    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        return self._file.metadata

    def get_tensor(self, name: str) -> Tensor:
        """A tensor in memory of its own. SafetensorError where it is not as it was written, or of no type of torch's.

        Raises MemoryLimitError where it would not fit.
        """
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise SafetensorError(f"the tensor {name} is of the type {entry.dtype}")
        require_memory(entry.size, f"the tensor {name}", "use a smaller model, or a machine with more memory")
        content = torch.empty(entry.size, dtype=torch.uint8)
        self._file.read_into(name, content.numpy().data)
        return content.view(DTYPES[entry.dtype]).view(entry.shape)


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[Reader]:
    """Yield the reader of a safetensors file of any name at all.

    Raises OSError as `files.open_regular` (not there, not permitted, no regular file), SafetensorError for a file that
    is cut short, damaged or none of that format.
    """
    with open_tensor_file(path) as file:
        yield Reader(file)


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors` with `metadata` and their fingerprints; not atomic: give the name of a temporary file.

    safetensors knows no memory formats: all are written contiguous. The same content always gives the same bytes, which
    the library's own writer does not promise. Raises OSError.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    in_order = sorted(
        content, key=lambda name: (-content[name].element_size(), name)
    )  # so that all are aligned
    parts = {name: (_NAMES[content[name].dtype], tuple(content[name].shape)) for name in in_order}
    told = dict(metadata or {})
    told[FINGERPRINT] = fingerprints(told, {name: (*parts[name], _bytes(content[name])) for name in in_order})
    header: dict[str, Any] = {"__metadata__": told}
    end = 0
    for name, (dtype, shape) in parts.items():
        start, end = end, end + content[name].nbytes
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in in_order:
            file.write(_bytes(content[name]))


def count_not_finite(tensor: Tensor) -> int:
    """How many numbers of a tensor are NaN or infinite."""
    # A sum is finite only where all its terms are, and takes a twentieth of the time of looking at each.
    if not tensor.is_floating_point() or bool(tensor.sum().isfinite()):
        return 0
    return int((~tensor.isfinite()).sum())


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.view(-1).view(torch.uint8).numpy().data
