"""What the names of files and folders say: their order, what is hidden, splits, storage folders, and who is meant."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from fastgan.errors import DataError

SPLITS = ("train", "val", "test", "extra")
"""The official parts of a set; extra is more to train on, with labels of less care or none (SVHN, STL-10)"""
JSON, CSV = "dataset.json", "attributes.csv"
METADATA = ("metadata.csv", "metadata.jsonl")
DOCUMENTS = (JSON, CSV, *METADATA)
"""What may lie beside images and is read, see `beside`"""

_SPLIT_NAMES = {
    "train": 0, "training": 0,
    "val": 1, "valid": 1, "validation": 1, "dev": 1,
    "test": 2, "testing": 2,
    "extra": 3, "unlabeled": 3, "unlabelled": 3,
}  # fmt: skip
_SPLIT_FOLDER = re.compile(r"([a-z]+)(?:[-_ ]?(?:set|images?|imgs?|data|(?:19|20)[0-9]{2}))?")
_SYSTEM = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
_SHEETS = re.compile(r"grid\.png|style-mix\.png|interpolation\.(png|gif|mp4)")
_NUMBERED = re.compile(r"[a-z_-]*([0-9]+)", re.IGNORECASE)


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
    """Dotfiles, the resource forks that macOS puts into archives, and the folders that systems keep for themselves."""
    return any(part.startswith(".") or part in _SYSTEM for part in name.split("/") if part not in (".", ".."))


def is_resource_fork(name: str) -> bool:
    """`._0.png` and all below `__MACOSX`: what macOS notes of a file, never an image of its own."""
    return name.rpartition("/")[2].startswith("._") or "__MACOSX" in name.split("/")


def is_sheet(name: str) -> bool:
    """Whether `fastgan generate` gives such a name to a picture of many images."""
    return _SHEETS.fullmatch(name) is not None


def displayable(name: str) -> str:
    """A file name of any bytes as text that can be stored as UTF-8."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def separated(name: str) -> str:
    r"""A name in an archive or a document, `.\set\0.png` or `./set//0.png`, as `set/0.png`."""
    if "\\" not in name and "./" not in name and "//" not in name:
        return name
    root, parts = "/" if name.startswith(("/", "\\")) else "", name.replace("\\", "/").split("/")
    return root + "/".join(part for part in parts if part not in ("", "."))


def folder_of(document: str) -> str:
    """Where names in a document begin: "" or "photos/"."""
    folder = document.rpartition("/")[0]
    return f"{folder}/" if folder else ""


class Lookup:
    r"""Finds the image that a document means, whose names may be written another way than the files'.

    `./a/0.png` and `a\0.png` mean `a/0.png`; and one Unicode form means the other: macOS decomposes (NFD) the names of
    files, most programs write them composed (NFC).
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._rows = {name: row for row, name in enumerate(names)}
        self._other = {
            key: row for row, name in enumerate(names) if (key := self._key(name)) != name
        }  # of few sets more than nothing

    def row(self, name: str, folder: str = "") -> int | None:
        """The row of `name`, which lies below `folder` ("" or "photos/") or is given from the top; None: not there."""
        for full in (folder + name, name) if folder else (name,):
            key = full
            if key not in self._rows:
                key = self._key(full)
            found = self._rows.get(key, self._other.get(key))
            if found is not None:
                return found
        return None

    def nearest(self, name: str) -> str | None:
        """A name that could be meant by one that is not there: the same file elsewhere, or with a suffix."""
        wanted = self._key(name).rpartition("/")[2].casefold()
        for there in self._names:
            base = self._key(there).rpartition("/")[2].casefold()
            if wanted in (base, base.rpartition(".")[0]):
                return there
        return None

    @staticmethod
    def _key(name: str) -> str:
        return separated(name) if name.isascii() else unicodedata.normalize("NFC", separated(name))


def split_of(name: str) -> int | None:
    """The index in SPLITS that a file name announces ("train-00000-of-00004.parquet"), or None."""
    return _SPLIT_NAMES.get(re.split(r"[-_.0-9]", name.casefold(), maxsplit=1)[0])


def folder_split(name: str | None) -> int | None:
    """The index in SPLITS that a folder's whole name is: "train", "Test", "val2017", "training_set", or None."""
    found = _SPLIT_FOLDER.fullmatch(name.casefold()) if name is not None else None
    return _SPLIT_NAMES.get(found[1]) if found else None


def splits_of(said: Sequence[int | None]) -> list[int] | None:
    """The splits of several parts of a set, from what their names say; -1: in none.

    None, where they are no splits: names of other things are among them, and not two or more splits with train.
    """
    known = {split for split in said if split is not None}
    if not known or (None in said and (0 not in known or len(known) < 2)):
        return None
    return [-1 if split is None else split for split in said]


def is_storage(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether folders (folder, file name in it) only keep the number of files in each small, and are no classes.

    StyleGAN's tools write 00012/img00012345.png: the file's number begins with the folder's name. FFHQ has
    12000/12345.png: the folder's name is the number rounded down.
    """
    some = False
    for folder, file in pairs:
        found = _NUMBERED.fullmatch(file.rpartition(".")[0])
        if len(folder) < 4 or not folder.isascii() or not folder.isdecimal() or found is None:
            return False
        number = found[1]
        begins = len(number) > len(folder) and number.startswith(folder)
        rounded = any(number[:-zeros] + "0" * zeros == folder for zeros in (2, 3, 4))
        if not (begins or rounded):
            return False
        some = True
    return some


def class_name(label: object) -> str | None:
    """The class that a label names: 3, "3" and 3.0 (which tables make of 3) are one class; null: in none (None).

    Raises DataError for what names no class; the message is how to mend it, without the place.
    """
    if label is None:
        return None
    if isinstance(label, float) and label.is_integer() and abs(label) < 2**53:
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int | str) or label == "":
        raise DataError("use class numbers or names")
    return str(label)
