"""Files that hold many images: WebDataset tars, Hugging Face parquet tables, .npz arrays.

Each is written front to back from images that come in order, with as much in memory as a row group at most, and has
the same bytes wherever the same libraries wrote it: no time, user or path goes into it.
"""

import hashlib
import io
import json
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastgan import extras
from fastgan.errors import ConfigError
from fastgan.naming import named

ARCHIVES = {"webdataset": "tar", "parquet": "parquet", "npz": "npz"}
"""Suffixes of the formats with many images a file."""
_GROUP_BYTES = 32 << 20  # of a parquet row group: what a reader loads to see one image
_GROUP_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Made:
    """One image on its way to disk."""

    place: int
    """In the whole list of seeds."""
    seed: int
    content: Any
    """The bytes of its file, or of its pixels for an .npz; None where they are on disk already."""
    sha256: str
    details: Mapping[str, Any]
    """Class and attributes by name, as the manifest has them."""

    @property
    def key(self) -> str:
        """What it is called inside a file with others."""
        return f"seed{self.seed:08d}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Contents:
    """What there is to know of the images of an archive before the first of them comes."""

    suffix: str
    """Of the encoded images, without a dot."""
    class_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    seeds: Sequence[int] = ()
    image_shape: tuple[int, int, int] = (0, 0, 0)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Labels int64 [n] and attributes float32 [n, A], for an .npz."""


class HashingFile(io.RawIOBase):
    """A file that is written front to back, and its SHA-256 with it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self._at = file, hashlib.sha256(), 0
        self.muted = False
        """Whether nothing is written any more: what was is thrown away, and its writer still has to be closed."""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes."""
        if not self.muted:
            self._file.write(data)
            self._hash.update(data)
        size = memoryview(data).nbytes
        self._at += size
        return size

    def tell(self) -> int:
        """Bytes so far."""
        return self._at

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hex."""
        return self._hash.hexdigest()


class Archive(ABC):
    """One file with many images, being written to `stream`."""

    @abstractmethod
    def __init__(self, stream: HashingFile, contents: Contents) -> None: ...

    @abstractmethod
    def add(self, made: Made) -> None:
        """Append an image."""

    @abstractmethod
    def close(self) -> None:
        """Write what closes the file; the stream stays open."""


class Tar(Archive):
    """A WebDataset shard: KEY.png, KEY.json with seed, class and attributes, KEY.cls with the class's number."""

    def __init__(self, stream: HashingFile, contents: Contents) -> None:
        self._tar = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT)
        self._suffix = contents.suffix
        self._numbers = {name: k for k, name in enumerate(contents.class_names)}

    def add(self, made: Made) -> None:
        """Append the files of one sample."""
        self._file(f"{made.key}.{self._suffix}", made.content)
        if "class" in made.details:
            self._file(f"{made.key}.cls", str(self._numbers[made.details["class"]]).encode())
        self._file(f"{made.key}.json", json.dumps({"seed": made.seed, **made.details}).encode())

    def _file(self, name: str, content: bytes) -> None:
        header = tarfile.TarInfo(name)  # its time, user and group are 0, its mode 0644
        header.size = len(content)
        self._tar.addfile(header, io.BytesIO(content))
        self._tar.members = []  # type: ignore[attr-defined]  # else tarfile keeps an object for every file

    def close(self) -> None:
        """Blocks of zeros."""
        self._tar.close()


class Parquet(Archive):
    """A table as Hugging Face's data sets are stored: image {bytes, path}, seed, label, a column an attribute."""

    def __init__(self, stream: HashingFile, contents: Contents) -> None:
        self._arrow, parquet = pyarrow()
        self._contents = contents
        self._numbers = {name: k for k, name in enumerate(contents.class_names)}
        self._schema = self._describe()
        named = ["seed", *(["label"] if contents.class_names else []), *contents.attribute_names]
        self._writer = parquet.ParquetWriter(
            stream, self._schema, compression="none", use_dictionary=False, write_statistics=named
        )
        self._rows: list[Made] = []
        self._bytes = 0

    def _describe(self) -> Any:
        arrow, features = self._arrow, {"image": {"_type": "Image"}, "seed": _value("uint64")}
        columns = [
            ("image", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])),
            ("seed", arrow.uint64()),
        ]
        if self._contents.class_names:
            columns.append(("label", arrow.int64()))
            features["label"] = {"names": list(self._contents.class_names), "_type": "ClassLabel"}
        for name in self._contents.attribute_names:
            columns.append((name, arrow.float32()))
            features[name] = _value("float32")
        told = json.dumps({"info": {"features": features}})
        return arrow.schema(columns, metadata={"huggingface": told})

    def add(self, made: Made) -> None:
        """Append a row; a row group is written when it is full."""
        self._rows.append(made)
        self._bytes += len(made.content)
        if self._bytes >= _GROUP_BYTES or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows, suffix = self._rows, self._contents.suffix
        columns: dict[str, list[Any]] = {
            "image": [{"bytes": made.content, "path": f"{made.key}.{suffix}"} for made in rows],
            "seed": [made.seed for made in rows],
        }
        if self._contents.class_names:
            columns["label"] = [self._numbers[made.details["class"]] for made in rows]
        for name in self._contents.attribute_names:
            columns[name] = [made.details["attributes"][name] for made in rows]
        self._writer.write_table(self._arrow.Table.from_pydict(columns, schema=self._schema))
        self._rows, self._bytes = [], 0

    def close(self) -> None:
        """The last row group and the footer."""
        if self._rows:
            self._flush()
        self._writer.close()


class Npz(Archive):
    """`images` uint8 [N, H, W, C], `seeds` uint64 [N], `labels` and `attributes` where there are any."""

    def __init__(self, stream: HashingFile, contents: Contents) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)
        for name, array in {"seeds": np.asarray(contents.seeds, np.uint64), **contents.arrays}.items():
            with self._member(name) as member:
                np.lib.format.write_array(member, array)
        self._images: Any = self._member("images")
        shape = (len(contents.seeds), *contents.image_shape)
        np.lib.format.write_array_header_1_0(
            self._images, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )

    def _member(self, name: str) -> Any:
        header = zipfile.ZipInfo(f"{name}.npy")  # of 1980, the beginning of zip's time
        header.external_attr = 0o644 << 16
        return self._zip.open(header, "w", force_zip64=True)

    def add(self, made: Made) -> None:
        """Append the pixels of one image."""
        self._images.write(made.content)

    def close(self) -> None:
        """The index of the zip."""
        self._images.close()
        self._zip.close()


KINDS: dict[str, type[Archive]] = {"webdataset": Tar, "parquet": Parquet, "npz": Npz}


def container_words(name: str) -> str:
    """What determines the bytes of a file beside its images."""
    if name == "parquet":
        return f"pyarrow {pyarrow()[0].__version__}"
    return {"webdataset": "ustar", "npz": "npy 1.0, stored"}[name]


def check_contents(name: str, attribute_names: Sequence[str]) -> None:
    """Raise ConfigError for attributes that a parquet table cannot have as columns, and where pyarrow is missing."""
    if name != "parquet":
        return
    pyarrow()
    taken = sorted({"image", "seed", "label"} & set(attribute_names))
    if taken:
        raise ConfigError(
            f"{named('format', name)} has a column {taken[0]} of its own, and the model an attribute: "
            "choose webdataset."
        )


def pyarrow() -> tuple[ModuleType, ModuleType]:
    """(pyarrow, pyarrow.parquet). Raises ConfigError when they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"{named('format', 'parquet')} needs the package pyarrow: {extras.install_line('parquet')}."
        ) from error
    return pyarrow, pyarrow.parquet


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}
