"""Sources of encoded images. Adding one is adding a file here.

Each module has
- `DESCRIBES`: a few words for messages ("a folder of images");
- `matches(path) -> bool`: whether it reads `path`, cheaply;
- `items(path) -> Iterator[Item]`: the images in a stable order; raises DataError when the source itself is broken.
"""

import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from fastgan.errors import DataError


@dataclass(frozen=True)
class Item:
    """One encoded image: its name inside the source, its class (None: unlabelled) and how to open its bytes."""

    name: str
    label: str | None
    open: Callable[[], BinaryIO]


def all_kinds() -> list[ModuleType]:
    """Every source module, by name."""
    return [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]


def find(path: Path) -> ModuleType:
    """The module that reads `path`. Raises DataError when none does."""
    if not path.exists():
        raise DataError(f"{path} does not exist: give {known_kinds()}")
    for module in all_kinds():
        if module.matches(path):
            return module
    raise DataError(f"{path} is of no known kind: give {known_kinds()}")


def known_kinds() -> str:
    """What can be given as a source, in words."""
    return ", ".join([module.DESCRIBES for module in all_kinds()]) + " or a packed .fgd"


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts img2 before img10, whatever the case; ties by the exact text."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts], text


def path_key(name: str) -> list[tuple[list[tuple[int, int, str]], str]]:
    """Natural order folder by folder."""
    return [natural_key(part) for part in name.split("/")]


def is_hidden(name: str) -> bool:
    """Dotfiles and the resource forks that macOS puts into archives."""
    return any(
        part.startswith(".") or part == "__MACOSX" for part in name.split("/") if part not in (".", "..")
    )


def with_classes(files: Iterable[tuple[str, Callable[[], BinaryIO]]]) -> Iterator[Item]:
    """(name, open) -> items in natural order; the class is the first folder of the name.

    Folders that hold everything (`photos/` in a zip of photos/cat, photos/dog) are looked through; a file beside the
    class folders has no class.
    """
    readable = ((_displayable(name), opener) for name, opener in files)
    ordered = sorted(readable, key=lambda file: path_key(file[0]))
    parents = [name.split("/")[:-1] for name, _ in ordered]
    depth = 0
    while parents and all(len(p) > depth and p[depth] == parents[0][depth] for p in parents):
        depth += 1
    for (name, opener), folders in zip(ordered, parents, strict=True):
        yield Item(name, folders[depth] if len(folders) > depth else None, opener)


def _displayable(name: str) -> str:
    """A file name of any bytes as text that can be stored as UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
