"""The files of a folder or an archive, sorted out: images, documents about them, and what is passed over."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastgan.data import passed_over
from fastgan.data.decode import suffixes
from fastgan.data.names import DOCUMENTS, is_hidden, is_resource_fork, is_sheet, path_key

GENERATED = "fastgan.json"
"""What `fastgan generate` writes beside its images (inference/folder.py)"""
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"}


@dataclass
class Listing:
    """Names of files, each from the top of the source."""

    images: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    """Images, by their suffix, that are hidden or lie in a hidden folder"""
    passed: dict[str, int] = field(default_factory=dict)
    """What is none of these: suffix -> how many"""
    sheets: list[str] = field(default_factory=list)
    """Pictures of many images each, beside those that `fastgan generate` made"""

    def notes(self) -> tuple[str, ...]:
        """What was passed over, for the user to know."""
        notes = []
        if self.hidden:
            notes.append(f"{_some(self.hidden)} not read: hidden, or in a hidden folder")
        if self.sheets:
            notes.append(f"{_some(self.sheets)} not read: fastgan generate made it of many images")
        return tuple(notes)


def is_image(name: str) -> bool:
    """Whether a file is taken for an image: by its suffix, unless it is hidden."""
    return _has_suffix(name) and not is_hidden(name)


def sort_out(names: Iterable[str]) -> Listing:
    """What each of these files is."""
    found = Listing()
    generated: set[str] = set()
    others: list[str] = []
    for name in names:
        folder, _, base = name.rpartition("/")
        if is_hidden(name):
            if _has_suffix(name) and not is_resource_fork(name):
                found.hidden.append(name)
        elif base in DOCUMENTS:
            found.documents.append(name)
        elif _has_suffix(name):
            found.images.append(name)
        elif base == GENERATED:
            generated.add(folder)
        elif base.casefold() not in _SYSTEM_FILES:
            others.append(name)
    if generated:
        found.sheets = [name for name in found.images if _is_sheet_in(name, generated)]
        sheets = set(found.sheets)
        found.images = [name for name in found.images if name not in sheets]
    found.passed = passed_over.count(others)
    found.documents.sort(key=path_key)
    return found


def _has_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes()


def _is_sheet_in(name: str, folders: set[str]) -> bool:
    folder, _, base = name.rpartition("/")
    return folder in folders and is_sheet(base)


def _some(names: list[str]) -> str:
    first = min(names, key=path_key)
    return f"{first} was" if len(names) == 1 else f"{first} and {len(names) - 1} more images were"
