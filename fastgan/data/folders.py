"""What the folders say that images lie in: their classes, or the official splits of a set and the classes below."""

import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fastgan.data.names import JSON, folder_split, is_storage, splits_of

STORAGE = "no classes: numbered folders, as of"
"""How the note begins that folders were not taken for classes"""


class Arrangement(NamedTuple):
    """What is known of each image, in the order of their names."""

    classes: list[str | None]
    splits: list[int] | None
    """Indices into SPLITS, -1: in none of them; None: there are no splits"""
    notes: tuple[str, ...]


def arranged(names: Sequence[str]) -> Arrangement:
    """What the folders in these paths say; the class is the first folder of a path.

    Folders that hold everything (`photos/` in a zip of photos/cat, photos/dog) are looked through; a file beside the
    class folders has no class. Where those folders are called train, val, test and extra, they are splits, and the
    classes lie below them. Folders in which a tool stores a thousand images each are no classes.
    """
    folders = [sys.intern(name.rpartition("/")[0]) for name in names]
    parts = {folder: folder.split("/") if folder else [] for folder in set(folders)}
    split_of, below = _splits(parts, _common(parts.values()))
    class_of = {
        folder: unicodedata.normalize("NFC", p[below[folder]]) if len(p) > below[folder] else None
        for folder, p in parts.items()
    }
    if split_of is not None:  # what lies beside the splits adds no classes to theirs
        official = {class_of[folder] for folder, split in split_of.items() if split >= 0}
        class_of = {folder: name if name in official else None for folder, name in class_of.items()}
    classes = [class_of[folder] for folder in folders]
    notes: tuple[str, ...] = ()
    pairs = zip(classes, names, strict=True)
    if is_storage((place, name.rpartition("/")[2]) for place, name in pairs if place is not None):
        first = next(name for name, place in zip(names, classes, strict=True) if place is not None)
        notes = (f"{STORAGE} {first}, only keep each folder small; {JSON} can name classes",)
        classes = [None] * len(names)
    return Arrangement(classes, None if split_of is None else [split_of[folder] for folder in folders], notes)


def _common(parts: Iterable[Sequence[str]]) -> int:
    """How many folders all of these paths have in common, counted from the top."""
    paths, depth = [*parts], 0
    while paths and all(len(p) > depth for p in paths) and len({p[depth] for p in paths}) == 1:
        depth += 1
    return depth


def _splits(parts: Mapping[str, Sequence[str]], depth: int) -> tuple[dict[str, int] | None, dict[str, int]]:
    """folder -> its split, or None where the folders at `depth` are no splits; folder -> the depth of its class."""
    tops = {folder: p[depth] if len(p) > depth else None for folder, p in parts.items()}
    unique = [*dict.fromkeys(tops.values())]
    splits = splits_of([folder_split(top) for top in unique])
    if splits is None:
        return None, dict.fromkeys(parts, depth)
    split_of_top = dict(zip(unique, splits, strict=True))
    inside: dict[str | None, list[Sequence[str]]] = defaultdict(list)
    for folder, top in tops.items():
        inside[top].append(parts[folder])
    below = {}
    for top, split in split_of_top.items():
        # Kaggle's archives have training_set/training_set/cats
        is_twice = split >= 0 and all(
            len(p) > depth + 1 and folder_split(p[depth + 1]) == split for p in inside[top]
        )
        below[top] = depth + 1 + is_twice
    return (
        {folder: split_of_top[top] for folder, top in tops.items()},
        {folder: below[top] for folder, top in tops.items()},
    )
