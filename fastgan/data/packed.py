"""The packed set, `.fgd`: a plain safetensors file.

Tensors: images uint8 [N, H, W, C]; optionally labels int64 [N], attributes float32 [N, A] (NaN: unknown), and names
uint8 [B] (the images' names in their source, UTF-8, one a line). Metadata: format, version, content_hash, and JSON
strings shape, class_names, attribute_names, bad, notes, provenance, and sha256, fingerprints of all but the images. The
same set always gives the same bytes.
"""

import json
from collections.abc import Iterable
from io import BufferedReader
from os import PathLike
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from safetensors import SafetensorError

from fastgan import arguments
from fastgan.data import verified
from fastgan.data.dataset import BadImage, Dataset, Progress, argument_errors, content_hash, pieces, raw_bytes
from fastgan.data.row_file import FileImages, RowFile
from fastgan.documents import checked, parse_json
from fastgan.errors import DataError, OutputError
from fastgan.files import atomic_write, check_output, open_regular
from fastgan.tensor_file import FINGERPRINT, TensorFile, fingerprints, verifies
from fastgan.tensors import Reader

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

    Raises DataError for what is no path, OutputError when it cannot be written there.
    """
    with argument_errors():
        target = arguments.path(path, "path")
    tensors = {  # widest type first, so that each starts at a multiple of its own size
        "labels": dataset.labels,
        "attributes": dataset.attributes,
        "images": dataset.images,
        "names": dataset.name_bytes,
    }
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    told = _metadata(dataset)
    # What the hash of the content leaves out: names, and the metadata itself
    told[FINGERPRINT] = fingerprints(
        told,
        {
            name: (_DTYPES[tensor.dtype], tuple(tensor.shape), raw_bytes(tensor))
            for name, tensor in present.items()
            if name != "images"
        },
    )
    header: dict[str, Any] = {"__metadata__": told}
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
        with atomic_write(target) as temporary, open(temporary, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for tensor in present.values():
                for piece in pieces(tensor):
                    file.write(raw_bytes(piece))
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def read(path: str | PathLike[str]) -> Dataset:
    """Open a packed set; its images stay in the file and are read as they are used (`fastgan.data.row_file`).

    Checks that the file is whole and makes sense; that its pixels are the ones packed is checked by `verify` and
    `opened`. Raises DataError.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            return _read(path, file, TensorFile(file))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except SafetensorError as error:
        raise DataError(
            f"{path} is cut short, damaged or no packed set ({error}): pack or copy it again"
        ) from error


def opened(path: str | PathLike[str], progress: Progress | None = None) -> Dataset:
    """`read` and `verify`; a large file is verified once, until it changes, and none where FASTGAN_VERIFY=0."""
    dataset = read(path)
    source = _file_of(dataset)
    if not verifies() or verified.is_known(source.path, source.status, dataset.content_hash):
        return dataset
    _verify(dataset, progress if source.status.st_size > verified.SMALL else None)
    verified.remember(source.path, source.status, dataset.content_hash)
    return dataset


def verify(path: str | PathLike[str]) -> Dataset:
    """`read`, then compare the content with the hash made at packing. Raises DataError when they differ."""
    dataset = read(path)
    _verify(dataset, None)
    return dataset


def _verify(dataset: Dataset, progress: Progress | None) -> None:
    found = content_hash(dataset.images, dataset.labels, dataset.attributes, progress)
    if found != dataset.content_hash:
        raise DataError(
            f"{_file_of(dataset).path} was changed or damaged after packing: its content hashes to {found[:12]}..., "
            f"and {dataset.content_hash[:12]}... was packed, so pack or copy it again"
        )


def _file_of(dataset: Dataset) -> RowFile:
    """Of a set that `read` has opened."""
    assert isinstance(dataset.images, FileImages)
    return dataset.images.file


def _read(path: Path, file: BufferedReader, content: TensorFile) -> Dataset:
    metadata = content.metadata
    if metadata.get("format") != FORMAT:
        raise DataError(f"{path} is a safetensors file but no packed set: make one with fastgan data pack")
    if metadata.get("version") != str(VERSION):
        raise DataError(
            f"{path} is a packed set of version {metadata.get('version')}, and this fastgan reads {VERSION}: "
            "update fastgan or pack the images again"
        )
    images, reader = content.entries.get("images"), Reader(content)
    if images is None or images.dtype != "U8" or len(images.shape) != 4:
        raise DataError(f"{path} is a broken packed set (it has no images): pack the images again")
    tensors = {name: reader.get_tensor(name) for name in content.entries if name != "images"}
    source = RowFile(file, path, images.start, images.shape[0], images.shape[1:])
    tensors["images"] = FileImages(source)
    dataset = _checked(path, metadata, tensors)
    held = (dataset.labels, dataset.attributes)
    source.same = lambda: content_hash(FileImages(source), *held) == dataset.content_hash
    return dataset


def _metadata(dataset: Dataset) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "content_hash": dataset.content_hash,
        "shape": json.dumps([*dataset.images.shape]),
        "class_names": json.dumps(dataset.class_names),
        "attribute_names": json.dumps(dataset.attribute_names),
        "bad": json.dumps([[bad.name, bad.reason] for bad in dataset.bad]),
        "notes": json.dumps(dataset.notes),
        "provenance": json.dumps(dataset.provenance, sort_keys=True),
    }


class _Provenance(TypedDict):
    """What is read of where the images are from; all of it is shown."""

    upscaled: NotRequired[int]


class _Told(TypedDict):
    """The JSON in the metadata."""

    class_names: list[str]
    attribute_names: list[str]
    bad: list[tuple[str, str]]
    notes: list[str]
    provenance: _Provenance


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
            provenance=dict(text["provenance"]),
            name_bytes=tensors.get("names"),
        )
        if "shape" in metadata and parse_json(metadata["shape"], list[int], "shape") != [
            *dataset.images.shape
        ]:
            raise ValueError(f"images are {[*dataset.images.shape]}, and {metadata['shape']} were packed")
        _check_consistency(dataset)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is a broken packed set ({error}): pack the images again") from error
    return dataset


def _check_consistency(dataset: Dataset) -> None:
    n, height, width, channels = dataset.images.shape
    if n < 1 or height != width or height < 1 or channels not in (1, 3, 4):
        raise ValueError(f"images are {[*dataset.images.shape]}")
    labels, attributes = dataset.labels, dataset.attributes
    names = dataset.name_bytes
    if names is not None and (names.dtype != torch.uint8 or int((names == ord("\n")).sum()) + 1 != n):
        raise ValueError(f"there are not as many names as images, {n}")
    if labels is not None:
        if labels.dtype != torch.int64 or labels.shape != (n,):
            raise ValueError(f"labels are {labels.dtype} {[*labels.shape]}")
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.class_names):
            raise ValueError(f"labels go beyond the {len(dataset.class_names)} class names")
    if attributes is not None:
        if attributes.dtype != torch.float32 or attributes.ndim != 2 or len(attributes) != n:
            raise ValueError(f"attributes are {attributes.dtype} {[*attributes.shape]}")
        if attributes.shape[1] != len(dataset.attribute_names):
            raise ValueError(f"{attributes.shape[1]} attributes have {len(dataset.attribute_names)} names")
        if attributes.isinf().any():
            raise ValueError("some attributes are infinite")
    elif dataset.attribute_names:
        raise ValueError(f"{len(dataset.attribute_names)} names of attributes have no attributes")
