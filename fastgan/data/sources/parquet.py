"""Parquet tables of images, as Hugging Face's data sets are stored: one file, or a folder of them.

The column `image` holds encoded images: bytes, or a struct with the field `bytes`. `label` holds the class: a number,
named by the table's own metadata where it has it, or a text. Columns of bool and float are attributes (null: unknown).
Files called train-..., validation-... and test-... are the splits.
"""

import io
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fastgan import extras
from fastgan.data.decode import BadImageError
from fastgan.data.names import class_name, is_hidden, natural_key, split_of, splits_of
from fastgan.data.sources import Images, index_classes
from fastgan.documents import parse_json
from fastgan.errors import DataError
from fastgan.files import IMAGE_BYTES, check_size, open_regular
from fastgan.text import shown

DESCRIBES = "parquet files of images"
_BATCH = 64
"""Rows whose images are unpacked at once"""
_KEPT = 8
"""Batches in memory; images are asked for almost in order"""
_LEAST_BYTES = 4
"""Of a row: a table that claims more rows than it has room for is damaged"""
_VALUE_BYTES = 1 << 30
"""Most bytes of a column of labels or numbers"""


def matches(path: Path) -> bool:
    """Whether `path` is a .parquet, or a folder with some at its top or in its folder `data`."""
    return (path.is_file() and path.suffix.lower() == ".parquet") or (
        path.is_dir() and bool(_in_folder(path))
    )


def read(path: Path) -> Images:
    """Every row, file by file in the order of their names; the images stay in the files until they are asked for."""
    files = [path] if path.is_file() else _in_folder(path)
    tables = [_Table(file) for file in files]
    first = tables[0].columns()
    for table in tables[1:]:
        if table.columns() != first:
            raise DataError(f"{table.path} has other columns than {files[0].name}: give tables of one set")
    starts = np.cumsum([0, *(table.rows for table in tables)])

    def load(row: int) -> io.BytesIO:
        part = int(np.searchsorted(starts, row, "right")) - 1
        return io.BytesIO(tables[part].image(int(row - starts[part])))

    labels, class_names = _labels(path, tables)
    names = tables[0].attribute_names()
    splits = splits_of([split_of(file.name) for file in files])
    return Images(
        names=[f"{table.path.name}/{row}" for table in tables for row in range(table.rows)],
        load=load,
        files=lambda: files,
        labels=labels,
        class_names=class_names,
        attributes=np.concatenate([table.attributes() for table in tables]) if names else None,
        attribute_names=names,
        splits=None
        if splits is None
        else np.concatenate(
            [np.full(table.rows, split, np.int8) for table, split in zip(tables, splits, strict=True)]
        ),
    )


def _in_folder(path: Path) -> list[Path]:
    for folder in (path, path / "data"):
        try:
            found = [file for file in folder.glob("*.parquet") if not (file.is_dir() or is_hidden(file.name))]
        except OSError:
            continue
        if found:
            return sorted(found, key=lambda file: (split_of(file.name) or 0, natural_key(file.name)))
    return []


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    """(pyarrow, pyarrow.parquet). Raises DataError when they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"reading parquet needs the package pyarrow: {extras.install_line('parquet')}"
        ) from error
    return pyarrow, pyarrow.parquet


class _Table:
    """One parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrow, parquet = _pyarrow()
        try:
            file = open_regular(path)
            size = os.fstat(file.fileno()).st_size
            self._file = parquet.ParquetFile(file, buffer_size=1 << 20)
        except (self._arrow.ArrowException, OSError) as error:
            raise DataError(
                f"{path} is cut short or no parquet file ({_line(error)}): download it again"
            ) from error
        self.schema = self._file.schema_arrow
        twice = next((name for name in self.schema.names if self.schema.names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{path} has two columns called {shown(twice)}: give each a name of its own")
        metadata = self._file.metadata
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self.rows = sum(counts)
        if min(counts, default=0) < 0 or self.rows != metadata.num_rows or self.rows > size // _LEAST_BYTES:
            raise DataError(f"{path} claims {metadata.num_rows} rows in {size} bytes: download it again")
        self._starts = np.cumsum([0, *counts])
        self._batches: deque[tuple[int, Any]] = deque(maxlen=_KEPT)  # (its first row, images)
        self._reader: Iterator[Any] = iter(())
        self._next = -1  # the row that the reader comes to next
        self._lock = threading.Lock()
        kind = self.schema.field("image").type if "image" in self.schema.names else None
        types = self._arrow.types
        fields = [field.name for field in kind] if kind is not None and types.is_struct(kind) else []
        is_bytes = kind is not None and (types.is_binary(kind) or types.is_large_binary(kind))
        if not is_bytes and "bytes" not in fields:
            raise DataError(
                f"{path} has no column image of encoded images, only {', '.join(self.schema.names)}: "
                "rename the one that is meant"
            )

    def columns(self) -> list[tuple[str, str]]:
        """Names and types."""
        return [(field.name, str(field.type)) for field in self.schema]

    def attribute_names(self) -> tuple[str, ...]:
        """The columns of bool and float."""
        types = self._arrow.types
        return tuple(
            field.name
            for field in self.schema
            if field.name != "label" and (types.is_boolean(field.type) or types.is_floating(field.type))
        )

    def attributes(self) -> np.ndarray:
        """float32 [rows, A]; NaN where the table has null."""
        columns = []
        for name in self.attribute_names():
            values = np.array([np.nan if x is None else float(x) for x in self.column(name)], np.float32)
            if np.isinf(values).any():
                row = int(np.flatnonzero(np.isinf(values))[0])
                raise DataError(
                    f"{self.path} row {row}: {name} is infinite: use a number, or null where it is unknown"
                )
            columns.append(values)
        return np.stack(columns, 1)

    def column(self, name: str) -> list[Any]:
        """One column as Python values."""
        values: list[Any] = []
        size = 0
        try:
            for batch in self._file.iter_batches(batch_size=1 << 12, columns=[name]):
                size += batch.nbytes
                check_size(size, _VALUE_BYTES, f"{self.path}: {name}")
                values += batch.column(0).to_pylist()
        except (self._arrow.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} is damaged in its column {name} ({_line(error)}): download it again"
            ) from error
        if len(values) != self.rows:
            raise DataError(
                f"{self.path} is damaged: its column {name} has {len(values)} values for {self.rows} rows, so download "
                "it again"
            )
        return values

    def image(self, row: int) -> bytes:
        """The encoded image of a row. Raises BadImageError."""
        with self._lock:
            try:
                value = self._image(row)
            except (self._arrow.ArrowException, OSError) as error:
                self._next = -1
                raise BadImageError(f"its row group is damaged: {_line(error)}") from error
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is None:
            raise BadImageError("the table holds no bytes for it")
        check_size(len(content), IMAGE_BYTES, self.path)
        return content

    def _image(self, row: int) -> Any:
        """An encoded image: a few batches are kept, because neighbours are asked for by several threads."""
        for start, batch in self._batches:
            if start <= row < start + len(batch):
                return batch[row - start].as_py()
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        if row < self._next or self._next < self._starts[group]:
            groups = range(group, len(self._starts) - 1)
            self._reader = self._file.iter_batches(batch_size=_BATCH, row_groups=groups, columns=["image"])
            self._next = int(self._starts[group])
            self._batches.clear()
        while self._next <= row:
            found = next(self._reader, None)
            if found is None:
                self._next = -1
                raise BadImageError("the table ends before it")
            batch = found.column(0)
            self._batches.append((self._next, batch))
            self._next += len(batch)
        return batch[row - self._next + len(batch)].as_py()


def _labels(path: Path, tables: list[_Table]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels and class names from the column `label`; null is no class."""
    schema = tables[0].schema
    if "label" not in schema.names:
        return None, ()
    values = [value for table in tables for value in table.column("label")]
    names = _class_names(schema)
    labels = [_class(path, value) for value in values]
    if not names or any(isinstance(value, str) for value in values):
        return index_classes(labels)
    given = np.array([-1 if label is None else int(label) for label in labels], np.int64)
    if given.max(initial=0) >= len(names) or given.min(initial=0) < -1:
        raise DataError(
            f"{path}: the column label holds {given.max()}, and there are {len(names)} class names"
        )
    return given, names


def _class(path: Path, value: Any) -> str | None:
    try:
        return class_name(value)
    except DataError as error:
        raise DataError(f"{path}: the column label holds {shown(repr(value)[:40])}: {error}") from None


def _class_names(schema: Any) -> tuple[str, ...]:
    """What Hugging Face's metadata call the classes, if they do."""
    try:
        known: Any = parse_json((schema.metadata or {})[b"huggingface"], object, "metadata")
        found = known["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):  # a DocumentError is a ValueError
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
