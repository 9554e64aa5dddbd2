"""Sources of images. Adding one is adding a file here.

Each module has
- `DESCRIBES`: a few words for messages ("a folder of images");
- `matches(path) -> bool`: whether it reads `path`, cheaply and without an exception, whatever lies there;
- `read(path) -> Images`: what is there; raises DataError when the source itself is broken;
- optionally `FALLBACK = True`: it reads almost anything of its form, and stands back where another module matches.
"""

import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from fastgan.data.dataset import option
from fastgan.errors import DataError
from fastgan.files import open_regular

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}


@dataclass(frozen=True, kw_only=True)
class Images:
    """What a source holds: a row for each image, in a stable order. Nothing is decoded yet.

    Columns are arrays, not objects, so that millions of images are some hundred megabytes here.
    """

    names: Sequence[str]
    """Each image's name inside the source"""
    load: Callable[[int], BinaryIO | np.ndarray]
    """Row -> its image, from any thread: an open file, or pixels uint8 [H, W] or [H, W, 1, 3 or 4]"""
    files: Callable[[], Iterable[Path]]
    """The files whose content this is: when one of them changes, so may the images"""
    labels: np.ndarray | None = None
    """int64 [N], indices into `class_names`; -1: in no class"""
    class_names: tuple[str, ...] = ()
    attributes: np.ndarray | None = None
    """float32 [N, A]; NaN: unknown"""
    attribute_names: tuple[str, ...] = ()
    splits: np.ndarray | None = None
    """int8 [N], indices into SPLITS: the official parts of the set"""
    resolution: int | None = None
    """The side that suits this set, where the general rule would not find it"""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> "Images":
        """The images of `rows`, in that order."""

        def column(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        load = self.load
        return replace(
            self,
            names=[self.names[row] for row in rows],
            load=lambda row: load(int(rows[row])),
            labels=column(self.labels),
            attributes=column(self.attributes),
            splits=column(self.splits),
        )


def all_kinds() -> dict[str, ModuleType]:
    """Every source module: name -> module."""
    return {found.name: import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)}


def find(path: Path, kind: str | None = None) -> tuple[str, ModuleType]:
    """The (name of the) module that reads `path`, or `kind` if given. Raises DataError when none does or several do."""
    modules = all_kinds()
    if kind is not None:
        if kind not in modules:
            raise DataError(f"{kind!r} is no kind of source: use {', '.join(modules)}")
        if not modules[kind].matches(path):
            raise DataError(
                f"{path} is not {modules[kind].DESCRIBES}: leave {option('kind')} out, or give {known_kinds()}"
            )
        return kind, modules[kind]
    try:
        found = {name: module for name, module in modules.items() if module.matches(path)}
    except OSError as error:  # a folder on the way that may not be entered
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    special = {name: module for name, module in found.items() if not getattr(module, "FALLBACK", False)}
    if len(special) > 1:
        claims = " and ".join(
            f"{module.DESCRIBES} ({option('kind', name)})" for name, module in special.items()
        )
        raise DataError(f"{path} could be {claims}: say which with {option('kind')}")
    for name, module in (special or found).items():
        return name, module
    if not path.exists():
        raise DataError(f"{path} does not exist: give {known_kinds()}")
    if not path.is_dir():
        try:
            open_regular(path).close()
        except OSError as error:
            raise DataError(f"{path} {error.strerror or error}: give {known_kinds()}") from error
    raise DataError(f"{path} is of no known kind: give {known_kinds()}")


def known_kinds() -> str:
    """What can be given as a source, in words."""
    modules = sorted(all_kinds().values(), key=lambda module: not getattr(module, "FALLBACK", False))
    return ", ".join([module.DESCRIBES for module in modules]) + " or a packed .fgd"


def choose_split(path: Path, images: Images, split: str | None) -> Images:
    """The rows of one official split; None: train where there is one, else everything."""
    if images.splits is None:
        if split not in (None, "all"):
            raise DataError(
                f"{path} has no official splits, so there is no {split} in it: leave {option('split')} out"
            )
        return images
    if split == "all":
        return images
    wanted = split or "train"
    if wanted not in SPLITS:
        raise DataError(f"{option('split', split)} is not possible: use {', '.join(SPLITS)} or all")
    rows = np.flatnonzero(images.splits == SPLITS.index(wanted))
    if not len(rows) and split is None:
        return images
    if not len(rows):
        there = ", ".join(SPLITS[index] for index in np.unique(images.splits)) or "nothing"
        raise DataError(
            f"{path} holds no images of its {wanted} split, only {there}: use "
            f"{option('split', 'all')} or another"
        )
    taken = images.take(rows)
    if split is not None or len(rows) == len(images):
        return taken
    note = (
        f"only the training split was taken, {len(rows)} of {len(images)} images: "
        f"{option('split', 'all')} takes the rest too"
    )
    return replace(taken, notes=(*taken.notes, note))


def split_of(name: str) -> int | None:
    """The index in SPLITS that a file name announces ("train-00000-of-00004.parquet"), or None."""
    return _SPLIT_NAMES.get(re.split(r"[-_.0-9]", name.casefold(), maxsplit=1)[0])


def natural_key(text: str) -> str:
    """Sorts img2 before img10, whatever the case; ties by the exact text.

    One string, because a million of them are compared: a number becomes its length and its digits, and a zero
    character ends what is shorter before what is longer.
    """
    parts = re.split(r"([0-9]+)", text.casefold())
    parts[0::2] = [f"{part}\0" for part in parts[0::2]]
    parts[1::2] = [f"{len(digits):04d}{digits}" for digits in (part.lstrip("0") for part in parts[1::2])]
    return f"{''.join(parts)}\0{text}\0"


def path_key(name: str) -> str:
    """Natural order folder by folder."""
    return "".join([natural_key(part) for part in name.split("/")])


def is_hidden(name: str) -> bool:
    """Dotfiles and the resource forks that macOS puts into archives."""
    return any(
        part.startswith(".") or part == "__MACOSX" for part in name.split("/") if part not in (".", "..")
    )


def by_folders(
    found: Iterable[str], load: Callable[[str], BinaryIO], files: Callable[[], Iterable[Path]]
) -> Images:
    """Image files, named by their paths, in natural order; the class is the first folder of the name.

    Folders that hold everything (`photos/` in a zip of photos/cat, photos/dog) are looked through; a file beside the
    class folders has no class. Where those folders are called train, val and test, they are splits, and the classes
    lie below them. load: opens a name as it was given.
    """
    paths = sorted(found, key=lambda name: path_key(displayable(name)))
    names = [displayable(name) for name in paths]
    folders = [sys.intern(name.rpartition("/")[0]) for name in names]
    parts = {folder: folder.split("/") if folder else [] for folder in set(folders)}
    depth = 0
    while (
        parts and all(len(p) > depth for p in parts.values()) and len({p[depth] for p in parts.values()}) == 1
    ):
        depth += 1
    splits = None
    if parts and all(len(p) > depth and p[depth].casefold() in _SPLIT_NAMES for p in parts.values()):
        splits = np.array([_SPLIT_NAMES[parts[folder][depth].casefold()] for folder in folders], np.int8)
        depth += 1
    class_of = {folder: p[depth] if len(p) > depth else None for folder, p in parts.items()}
    labels, class_names = index_classes([class_of[folder] for folder in folders])
    return Images(
        names=names,
        load=lambda row: load(paths[row]),
        files=files,
        labels=labels,
        class_names=class_names,
        splits=splits,
    )


def index_classes(classes: Sequence[str | None]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class names of the images (None: no class) -> labels int64 [N] and the names in natural order."""
    class_names = tuple(sorted({name for name in classes if name is not None}, key=natural_key))
    if not class_names:
        return None, ()
    index: dict[str | None, int] = {name: position for position, name in enumerate(class_names)}
    return np.array([index.get(name, -1) for name in classes], np.int64), class_names


def displayable(name: str) -> str:
    """A file name of any bytes as text that can be stored as UTF-8."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
