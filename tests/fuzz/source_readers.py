"""Readers of sources of images."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz import corpus
from tests.fuzz.packed_oracle import packed
from tests.fuzz.reader import Reader

if TYPE_CHECKING:
    from tests.fuzz.case import Case

_PACK = ("data", "pack", "{in}/%s", "-o", "set.fgd", "--size", "16", "--channels", "3", "--max-bad", "%s")


def _source(
    example: Callable[[Path], None],
    name: str,
    *,
    files: tuple[str, ...] = ("**/*",),
    weight: int = 2,
    more: tuple[str, ...] = (),
) -> Reader:
    """A source of images: packed with and without patience for bad images, and looked at by train."""
    strict, lax = (
        tuple(x % fill if "%s" in x else x for x, fill in _filled(name, bad)) for bad in ("1%", "90%")
    )
    look = ("train", f"{{in}}/{name}", "--dry-run", "--device", "cpu", *more)
    own = ("data", "pack", f"{{in}}/{name}", "-o", "set.fgd", "--max-bad", "90%", *more)
    return Reader(
        example=example,
        commands=((*strict, *more), (*lax, *more), (*lax, *more), own, look),
        files=files,
        oracle=oracles_of_sources,
        weight=weight,
    )


def _filled(name: str, bad: str) -> list[tuple[str, str]]:
    return [(word, bad if word == "%s" else name) for word in _PACK]


def oracles_of_sources(case: "Case") -> str | None:
    """`packed` where something is packed."""
    return packed(case) if case.arguments[:2] == ["data", "pack"] else None


SOURCES: dict[str, Reader] = {
    "folder": _source(corpus.folder, "photos", weight=4),
    "dataset.json": _source(corpus.folder_json, "photos", files=("**/*.json",)),
    "dataset.json vectors": _source(corpus.folder_vectors, "photos", files=("**/*.json",), weight=1),
    "attributes.csv": _source(corpus.folder_csv, "photos", files=("**/*.csv",)),
    "metadata.csv": _source(corpus.folder_metadata, "photos", files=("**/*.csv",), weight=1),
    "zip": _source(corpus.zipped, "photos.zip"),
    "zip with dataset.json": _source(corpus.zipped_json, "photos.zip", weight=1),
    "tar": _source(corpus.tarred, "photos.tar"),
    "tar.gz": _source(corpus.tarred_gz, "photos.tar.gz", weight=1),
    "webdataset": _source(corpus.webdataset, "shards"),
    "cifar python": _source(corpus.cifar_python, "cifar-10-batches-py"),
    "cifar binary": _source(corpus.cifar_binary, "cifar-100-binary", weight=1),
    "cifar archive": _source(corpus.cifar_archive, "cifar-10-python.tar.gz", weight=1),
    "idx gz": _source(corpus.idx, "mnist"),
    "idx": _source(corpus.idx_plain, "mnist", weight=1),
    "celeba": _source(corpus.celeba, "celeba", files=("**/*.txt", "**/*.txt", "**/000001.jpg")),
    "parquet": _source(corpus.parquet, "hub"),
}
