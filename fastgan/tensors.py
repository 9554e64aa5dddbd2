"""Safetensors files: opened only where they are regular, readable and whole; written as public as any other file."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fastgan.files import open_regular

FINGERPRINT = "sha256"
"""The metadata's key of the fingerprint of all tensors"""


def verifies() -> bool:
    """Whether fingerprints are compared when a file is read: FASTGAN_VERIFY=0 is for those who cannot wait."""
    return os.environ.get("FASTGAN_VERIFY", "1") != "0"


@contextmanager
def open_tensors(path: str | os.PathLike[str], framework: str = "pt") -> Iterator[Any]:
    """Yield safetensors' reader of a file (`keys`, `metadata`, `get_slice`, `get_tensor`), of any name at all.

    Raises OSError as `files.open_regular` (not there, not permitted, no regular file), SafetensorError for a file that
    is cut short or no safetensors file.
    """
    with open_regular(path) as file:
        name: str | Path = Path(path)
        try:
            os.fspath(name).encode()
        except UnicodeEncodeError:  # safetensors opens names that are UTF-8 only
            name = f"/proc/self/fd/{file.fileno()}"
        with safe_open(name, framework=framework) as tensors:
            yield tensors


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors` with `metadata` and their fingerprint; not atomic: give the name of a temporary file.

    safetensors knows no memory formats: all are written contiguous.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(content, path, {**(metadata or {}), FINGERPRINT: fingerprint(content)})


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
