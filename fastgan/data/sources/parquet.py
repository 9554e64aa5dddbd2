"""Parquet tables of images, as Hugging Face's data sets are stored: one file, or a folder of them.

The column `image` holds encoded images: bytes, or a struct with the field `bytes`. `label` holds the class: a number,
named by the table's own metadata where it has it, or a text. Columns of bool and float are attributes (null: unknown).
Files called train-..., validation-... and test-... are the splits.
"""

import io
import json
import threading
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fastgan import extras
from fastgan.data.decode import BadImageError
from fastgan.data.sources import Images, index_classes, is_hidden, natural_key, split_of
from fastgan.errors import DataError

DESCRIBES = "parquet files of images"
_KEPT_GROUPS = 3  # row groups in memory; images are asked for almost in order


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
    splits = [split_of(file.name) for file in files]
    return Images(
        names=[f"{table.path.name}/{row}" for table in tables for row in range(table.rows)],
        load=load,
        files=lambda: files,
        labels=labels,
        class_names=class_names,
        attributes=np.concatenate([table.attributes() for table in tables]) if names else None,
        attribute_names=names,
        splits=None
        if None in splits
        else np.concatenate(
            [np.full(table.rows, split, np.int8) for table, split in zip(tables, splits, strict=True)]
        ),
    )


def _in_folder(path: Path) -> list[Path]:
    for folder in (path, path / "data"):
        try:
            found = [file for file in folder.glob("*.parquet") if file.is_file() and not is_hidden(file.name)]
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
            self._file = parquet.ParquetFile(path)
        except (self._arrow.ArrowException, OSError) as error:
            raise DataError(
                f"{path} is cut short or no parquet file ({_line(error)}): download it again"
            ) from error
        self.schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.rows = metadata.num_rows
        self._starts = np.cumsum(
            [0, *(metadata.row_group(g).num_rows for g in range(metadata.num_row_groups))]
        )
        self._groups: OrderedDict[int, Any] = OrderedDict()
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
        try:
            return self._file.read(columns=[name]).column(0).to_pylist()
        except (self._arrow.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} is damaged in its column {name} ({_line(error)}): download it again"
            ) from error

    def image(self, row: int) -> bytes:
        """The encoded image of a row. Raises BadImageError."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        value = self._group(group)[row - int(self._starts[group])].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is None:
            raise BadImageError("the table holds no bytes for it")
        return content

    def _group(self, group: int) -> Any:
        """The images of a row group, encoded: a few are kept, because neighbours are asked for by several threads."""
        with self._lock:
            if group not in self._groups:
                try:
                    self._groups[group] = self._file.read_row_group(group, columns=["image"]).column(0)
                except (self._arrow.ArrowException, OSError) as error:
                    raise BadImageError(f"its row group is damaged: {_line(error)}") from error
                while len(self._groups) > _KEPT_GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(group)
            return self._groups[group]


def _labels(path: Path, tables: list[_Table]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels and class names from the column `label`; null is no class."""
    schema = tables[0].schema
    if "label" not in schema.names:
        return None, ()
    values = [value for table in tables for value in table.column("label")]
    wrong = next((value for value in values if not isinstance(value, int | str | None)), None)
    if wrong is not None:
        raise DataError(f"{path}: the column label holds {str(wrong)[:40]!r}: use class numbers or names")
    names = _class_names(schema)
    if not names or any(isinstance(value, str) for value in values):
        return index_classes([None if value is None else str(value) for value in values])
    given = np.array(
        [-1 if value is None else value for value in values], np.int64
    )  # -1 is Hugging Face's own "none"
    if given.max(initial=0) >= len(names) or given.min(initial=0) < -1:
        raise DataError(
            f"{path}: the column label holds {given.max()}, and there are {len(names)} class names"
        )
    return given, names


def _class_names(schema: Any) -> tuple[str, ...]:
    """What Hugging Face's metadata call the classes, if they do."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
