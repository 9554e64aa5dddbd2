"""The packed set, `.fgd`: a plain safetensors file.

Tensors: images uint8 [N, H, W, C]; optionally labels int64 [N], attributes float32 [N, A] (NaN: unknown), and names
uint8 [B] (the images' names in their source, UTF-8, one a line). Metadata: format, version, content_hash, and JSON
strings class_names, attribute_names, bad, notes, provenance. The same set always gives the same bytes.
"""

import json
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError, safe_open

from fastgan.data.dataset import BadImage, Dataset, content_hash, raw_bytes
from fastgan.documents import checked, parse_json
from fastgan.errors import DataError, OutputError
from fastgan.files import atomic_write, check_output

FORMAT = "fastgan.fgd"
VERSION = 1
_DTYPES = {torch.uint8: "U8", torch.int64: "I64", torch.float32: "F32"}


def matches(path: Path) -> bool:
    """Whether `path` is called a packed set."""
    return path.suffix.lower() == ".fgd"


def check_target(
    path: str | PathLike[str], *, overwrite: bool = True, sources: Iterable[str | PathLike[str]] = ()
) -> None:
    """Raise OutputError unless a packed set may be written to `path`, before any work is spent on it.

    overwrite: a file that is there may be replaced; but never one of the `sources`.
    """
    target = Path(path)
    if not matches(target):
        raise OutputError(f"{target} should end in .fgd: that is how a packed set is recognised")
    check_output(target, overwrite=overwrite, sources=sources)


def write(path: str | PathLike[str], dataset: Dataset) -> None:
    """Write `dataset` to `path`, whole or not at all, without holding more than a piece of it in memory.

    Raises OutputError when it cannot be written there.
    """
    tensors = {  # widest type first, so that each starts at a multiple of its own size
        "labels": dataset.labels,
        "attributes": dataset.attributes,
        "images": dataset.images,
        "names": dataset.name_bytes,
    }
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    header: dict[str, Any] = {"__metadata__": _metadata(dataset)}
    end = 0
    for name, tensor in present.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": [*tensor.shape],
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    try:
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for tensor in present.values():
                content, piece = raw_bytes(tensor), 64 << 20
                for start in range(0, len(content), piece):
                    file.write(content[start : start + piece])
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: str | PathLike[str]) -> Dataset:
    """Open a packed set; the images are a private memory map of the file, read as they are used.

    Checks that the file is whole and makes sense; that its pixels are the ones packed is checked by `verify`.
    Raises DataError.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} is cut short or is no packed set ({error}): pack or copy it again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise DataError(f"{path} is a safetensors file but no packed set: make one with fastgan data pack")
    if metadata.get("version") != str(VERSION):
        raise DataError(
            f"{path} is a packed set of version {metadata.get('version')}, and this fastgan reads {VERSION}: "
            "update fastgan or pack the images again"
        )
    return _checked(path, metadata, tensors)


def verify(path: str | PathLike[str]) -> Dataset:
    """`read`, then compare the content with the hash made at packing. Raises DataError when they differ."""
    dataset = read(path)
    found = content_hash(dataset.images, dataset.labels, dataset.attributes)
    if found != dataset.content_hash:
        raise DataError(
            f"{path} was changed or damaged after packing: its content hashes to {found[:12]}..., "
            f"and {dataset.content_hash[:12]}... was packed, so pack or copy it again"
        )
    return dataset


def _metadata(dataset: Dataset) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "content_hash": dataset.content_hash,
        "class_names": json.dumps(dataset.class_names),
        "attribute_names": json.dumps(dataset.attribute_names),
        "bad": json.dumps([[bad.name, bad.reason] for bad in dataset.bad]),
        "notes": json.dumps(dataset.notes),
        "provenance": json.dumps(dataset.provenance, sort_keys=True),
    }


class _Told(TypedDict):
    """The JSON in the metadata."""

    class_names: list[str]
    attribute_names: list[str]
    bad: list[tuple[str, str]]
    notes: list[str]
    provenance: dict[str, Any]


def _checked(path: Path, metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> Dataset:
    """The Dataset, or DataError when the parts do not fit together."""
    try:
        text = checked(
            {key: parse_json(metadata[key], Any, key) for key in _Told.__annotations__}, _Told, "its metadata"
        )
        dataset = Dataset(
            images=tensors["images"],
            labels=tensors.get("labels"),
            attributes=tensors.get("attributes"),
            content_hash=metadata["content_hash"],
            class_names=tuple(text["class_names"]),
            attribute_names=tuple(text["attribute_names"]),
            bad=tuple(BadImage(name, reason) for name, reason in text["bad"]),
            notes=tuple(text["notes"]),
            provenance=text["provenance"],
            name_bytes=tensors.get("names"),
        )
        _check_consistency(dataset)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is a broken packed set ({error}): pack the images again") from error
    return dataset


def _check_consistency(dataset: Dataset) -> None:
    n, height, width, channels = dataset.images.shape
    if n < 1 or height != width or height < 1 or channels not in (1, 3, 4):
        raise ValueError(f"images are {[*dataset.images.shape]}")
    labels, attributes = dataset.labels, dataset.attributes
    if labels is not None:
        if labels.dtype != torch.int64 or labels.ndim != 1:
            raise ValueError(f"labels are {labels.dtype} {[*labels.shape]}")
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.class_names):
            raise ValueError(f"labels go beyond the {len(dataset.class_names)} class names")
    if attributes is not None:
        if attributes.dtype != torch.float32 or attributes.ndim != 2:
            raise ValueError(f"attributes are {attributes.dtype} {[*attributes.shape]}")
        if attributes.shape[1] != len(dataset.attribute_names):
            raise ValueError(f"{attributes.shape[1]} attributes have {len(dataset.attribute_names)} names")
        if attributes.isinf().any():
            raise ValueError("some attributes are infinite")
