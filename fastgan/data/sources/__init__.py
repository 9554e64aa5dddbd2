"""Sources of images. Adding one is adding a file here.

Each module has
- `DESCRIBES`: a few words for messages ("a folder of images");
- `matches(path) -> bool`: whether it reads `path`, cheaply and without an exception, whatever lies there;
- `read(path) -> Images`: what is there; raises DataError when the source itself is broken;
- optionally `FALLBACK = True`: it reads almost anything of its form, and stands back where another module matches;
- optionally `READS_IMAGE_FILES = True`: what it reads of a folder are image files that lie in it;
- optionally `first_image(path) -> str | None`: an image file in it, for messages (of a fallback).
"""

import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from fastgan.brief import brief
from fastgan.data.dataset import option
from fastgan.data.folders import arranged
from fastgan.data.names import SPLITS, displayable, natural_key, path_key
from fastgan.errors import DataError
from fastgan.files import open_regular
from fastgan.text import shown


@dataclass(frozen=True, kw_only=True)
class Images:
    """What a source holds: a row for each image, in a stable order. Nothing is decoded yet.

    Columns are arrays, not objects, so that millions of images are some hundred megabytes here.
    """

    __repr__ = brief

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
    """int8 [N], indices into SPLITS: the official parts of the set; -1: in none of them"""
    passed: Mapping[str, int] = field(default_factory=dict)
    """Files beside the images that are not read: suffix -> how many, see `passed_over`"""
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
    claims = [f"{module.DESCRIBES} ({option('kind', name)})" for name, module in special.items()]
    if special and not any(getattr(module, "READS_IMAGE_FILES", False) for module in special.values()):
        claims += _loose_images(path, found)
    if len(claims) > 1:
        raise DataError(
            f"{path} could be {' and '.join(claims)}: say which with {option('kind')}, or move what is not meant "
            "elsewhere"
        )
    for name, module in (special or found).items():
        return name, module
    if not path.exists():
        raise DataError(f"{path} does not exist: give {known_kinds()}")
    if not path.is_dir():
        try:
            open_regular(path).close()
        except OSError as error:
            raise DataError(f"{path} {error.strerror or error}: give {known_kinds()}") from error
    if path.name.lower().endswith((".xz", ".txz", ".7z", ".rar")):
        raise DataError(
            f"{path} is an archive of a kind that is not read: unpack it, or pack it as .zip or .tar.gz"
        )
    raise DataError(f"{path} is of no known kind: give {known_kinds()}")


def _loose_images(path: Path, found: dict[str, ModuleType]) -> list[str]:
    """What the fallbacks would read where another module matches too: never left out without a word."""
    claims = []
    for name, module in found.items():
        if getattr(module, "FALLBACK", False) and hasattr(module, "first_image"):
            image = module.first_image(path)
            claims += (
                [f"{module.DESCRIBES} such as {shown(image)} ({option('kind', name)})"]
                if image is not None
                else []
            )
    return claims


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
        there = ", ".join(split_names(images.splits)) or "nothing"
        raise DataError(
            f"{path} holds no images of its {wanted} split, only {there}: use "
            f"{option('split', 'all')} or another"
        )
    taken = images.take(rows)
    if split is not None or len(rows) == len(images):
        return taken
    left = np.delete(images.splits, rows)
    parts = [f"{(left == SPLITS.index(name)).sum()} of {name}" for name in split_names(left)]
    if (left < 0).any():
        parts.append(f"{(left < 0).sum()} in none")
    note = (
        f"only the training split was taken, {len(rows)} of {len(images)} images, and not {', '.join(parts)}: "
        f"{option('split', 'all')} takes the rest too"
    )
    return replace(taken, notes=(*taken.notes, note))


def split_names(splits: np.ndarray) -> list[str]:
    """The names of the splits that are there."""
    return [SPLITS[index] for index in np.unique(splits) if index >= 0]


def by_folders(
    found: Iterable[str], load: Callable[[str], BinaryIO], files: Callable[[], Iterable[Path]]
) -> Images:
    """Image files, named by their paths, in natural order, with the classes and splits that their folders say.

    load: opens a name as it was given.
    """
    paths = sorted(found, key=lambda name: path_key(displayable(name)))
    names = [displayable(name) for name in paths]
    place = arranged(names)
    labels, class_names = index_classes(place.classes)
    return Images(
        names=names,
        load=lambda row: load(paths[row]),
        files=files,
        labels=labels,
        class_names=class_names,
        splits=None if place.splits is None else np.array(place.splits, np.int8),
        notes=place.notes,
    )


def index_classes(classes: Sequence[str | None]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class names of the images (None: no class) -> labels int64 [N] and the names in natural order."""
    class_names = tuple(sorted({name for name in classes if name is not None}, key=natural_key))
    if not class_names:
        return None, ()
    index: dict[str | None, int] = {name: position for position, name in enumerate(class_names)}
    return np.array([index.get(name, -1) for name in classes], np.int64), class_names
