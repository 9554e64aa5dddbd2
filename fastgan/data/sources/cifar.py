"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), python and binary version: the archive as downloaded, or its folder."""

import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastgan.data import members, pickles
from fastgan.data.names import SPLITS
from fastgan.data.sources import Images
from fastgan.errors import DataError
from fastgan.files import read_bytes

DESCRIBES = "CIFAR-10 or CIFAR-100"
MAX_BYTES = 1 << 28
"""No file of the four sets is larger: CIFAR-100's training images are 155 million bytes."""

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """One of the four downloads: its folder, its batches, and the file that names the classes."""

    folder: str
    train: Sequence[str]
    test: str
    meta: str
    names_key: bytes | None = None  # python version: where in `meta` the names are
    labels_key: bytes = b""  # python version: where in a batch the labels are
    label_bytes: int = 1  # binary version: before the pixels; the last of them is the label

    def read(self, open_file: Callable[[str], bytes], where: str) -> tuple[list[str], dict[str, tuple]]:
        """Class names, and batch -> (pixels uint8 [n, 3072], labels int64 [n])."""
        files = {name: open_file(name) for name in (self.meta, *self.train, self.test)}
        meta = files.pop(self.meta)
        if self.names_key is None:
            classes = meta.decode("utf-8", "replace").split()
            return classes, {name: self._binary(f"{where}: {name}", data) for name, data in files.items()}
        found = pickles.load(f"{where}: {self.meta}", meta)
        names = found.get(self.names_key) if isinstance(found, dict) else None
        if not isinstance(names, list) or not names or not all(isinstance(name, bytes) for name in names):
            raise DataError(f"{where}: {self.meta} does not name the classes: download the archive again")
        batches = {name: self._python(f"{where}: {name}", data) for name, data in files.items()}
        return [name.decode("utf-8", "replace") for name in names], batches

    def _python(self, where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
        batch = pickles.load(where, content)
        pixels = batch.get(b"data") if isinstance(batch, dict) else None
        labels = batch.get(self.labels_key) if isinstance(batch, dict) else None
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
            raise DataError(
                f"{where} holds no images of {_PIXELS} bytes under b'data': download the archive again"
            )
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise DataError(
                f"{where} holds no list of labels under {self.labels_key!r}: download the archive again"
            )
        if len(labels) != len(pixels):
            raise DataError(
                f"{where} holds {len(pixels)} images and {len(labels)} labels: download the archive again"
            )
        return pixels, np.array(labels, np.int64)

    def _binary(self, where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
        row = self.label_bytes + _PIXELS
        if len(content) % row or not content:
            raise DataError(
                f"{where} is cut short, with {len(content)} bytes that are no multiple of {row}: download it again"
            )
        table = np.frombuffer(content, np.uint8).reshape(-1, row)
        return table[:, self.label_bytes :], table[:, self.label_bytes - 1].astype(np.int64)


_TEN = [f"data_batch_{index}" for index in range(1, 6)]
_VERSIONS = (
    _Version("cifar-10-batches-py", _TEN, "test_batch", "batches.meta", b"label_names", b"labels"),
    _Version("cifar-10-batches-bin", [f"{name}.bin" for name in _TEN], "test_batch.bin", "batches.meta.txt"),
    _Version("cifar-100-python", ["train"], "test", "meta", b"fine_label_names", b"fine_labels"),
    _Version("cifar-100-binary", ["train.bin"], "test.bin", "fine_label_names.txt", label_bytes=2),
)


def matches(path: Path) -> bool:
    """Whether `path` is one of the four archives, its folder, or the folder that it was extracted into."""
    if path.is_dir():
        return _folder(path) is not None
    if not path.is_file() or not path.name.casefold().endswith((".tar", ".tar.gz", ".tgz")):
        return False
    first = members.first_name(path)
    return path.name.startswith("cifar-10") if first is None else _of(first) is not None


def read(path: Path) -> Images:
    """Both splits, in the order of the batches; the fine labels of CIFAR-100."""
    if path.is_dir():
        found = _folder(path)
        assert found is not None  # `matches` saw it
        folder, version = found
        names, batches = version.read(lambda name: _file(folder, name), str(folder))
        files = [folder / name for name in batches]
    else:
        version, content = _unpacked(path)
        names, batches = version.read(lambda name: _member(path, version, content, name), str(path))
        files = [path]
    for name, (_, labels) in batches.items():
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
            wrong = int(labels.max())
            raise DataError(
                f"{path}: {name} has the label {wrong}, and there are {len(names)} classes: download it again"
            )
    pixels = np.concatenate([data for data, _ in batches.values()]).reshape(-1, 3, 32, 32)
    return Images(
        names=[f"{name}/{index:05d}" for name, (data, _) in batches.items() for index in range(len(data))],
        load=lambda row: pixels[row].transpose(1, 2, 0),
        files=lambda: files,
        labels=np.concatenate([labels for _, labels in batches.values()]),
        class_names=tuple(names),
        splits=np.concatenate(
            [
                np.full(len(data), SPLITS.index("test" if name == version.test else "train"), np.int8)
                for name, (data, _) in batches.items()
            ]
        ),
    )


def _of(member: str) -> _Version | None:
    """The version whose folder a member of an archive lies in."""
    top = member.removeprefix("./").partition("/")[0]
    return next((version for version in _VERSIONS if version.folder == top), None)


def _folder(path: Path) -> tuple[Path, _Version] | None:
    """Where in `path` a version lies, and which."""
    for version in _VERSIONS:
        if (path / version.folder).is_dir():
            return path / version.folder, version
        if path.name == version.folder or all(
            (path / name).is_file() for name in (version.meta, version.test)
        ):
            return path, version
    return None


def _file(folder: Path, name: str) -> bytes:
    try:
        return read_bytes(folder / name, MAX_BYTES)
    except FileNotFoundError:
        raise DataError(f"{folder} lacks {name}: extract the archive again") from None
    except OSError as error:
        raise DataError(f"cannot read {folder / name}: {error.strerror or error}") from error


def _unpacked(path: Path) -> tuple[_Version, dict[str, bytes]]:
    """The version that an archive holds, and its files, in memory: the whole set is 184 million bytes."""
    content: dict[str, bytes] = {}
    version = None
    try:
        plain, _ = members.open_plain(path)
        with plain as file, members.open_tar(file) as archive:
            while (member := members.next_member(archive)) is not None:
                version = version or _of(member.name)
                if version is None or not member.isfile():
                    continue
                name = member.name.rpartition("/")[2]
                if name not in (version.meta, version.test, *version.train):
                    continue
                if member.size > MAX_BYTES:
                    raise DataError(
                        f"{path}: {member.name} is no part of CIFAR: {member.size} bytes are more than it has"
                    )
                file.seek(member.offset_data)
                content[name] = file.read(member.size)
                if len(content[name]) != member.size:
                    raise EOFError(f"{member.name} ends early")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is cut short or damaged ({members.reason(error)}): download it again"
        ) from error
    if version is None:
        raise DataError(
            f"{path} holds none of {', '.join(version.folder for version in _VERSIONS)}: download it again"
        )
    return version, content


def _member(path: Path, version: _Version, content: dict[str, bytes], name: str) -> bytes:
    if name not in content:
        raise DataError(f"{path} lacks {version.folder}/{name}: download it again")
    return content[name]
