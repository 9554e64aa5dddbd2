"""What a packed set should hold after something happened to its source.

An image that nobody changed keeps its pixels, class and attributes; what is lost is mentioned; labels are those that
the annotations name, or it is said that they are not.
"""

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.case import Case

LOCAL = {"bit flip": 3, "bytes set": 14, "archive": 2, "PNG chunk": 1, "zeroed": 40, "noise": 6}
"""How many images a mutation of a file of many may change: more kinds may change any"""
ANNOTATIONS = ("dataset.json", "attributes.csv", "metadata.csv")


def packed(case: "Case") -> str | None:
    """Every image that was not touched is there with its pixels and labels, and what is not there is mentioned."""
    found, before = case.result()["rows"], case.before["rows"]
    if found is None:
        return "exit 0, and no set was written"
    mutation = case.mutation
    file = mutation.file.rpartition("/")[2]
    new, said = found
    if before is None:
        return None
    old, said_before = before
    if file in ANNOTATIONS:
        return _annotated(case, file, old, new, said)
    one_image = mutation.file.endswith((".png", ".jpg", ".webp", ".gif", ".tiff", ".bmp", ".ppm"))
    allowed = 1 if one_image else LOCAL.get(mutation.kind)
    if mutation.text.endswith(": all names"):
        return None if new == old else f"other names of members made {_difference(old, new)}"
    lost = old.keys() - new.keys()
    if renamed := re.search(r"member \d+: (name|twice|folder)", mutation.text):
        if len(lost) <= 1 and renamed[1] == "name" and (len(new) == len(old) or _passed_over(mutation.text)):
            lost = set()
        if len(lost) == 1 and renamed[1] == "folder":
            lost = set()
        old = {name: (row[0],) for name, row in old.items()}  # another folder may be another class for all
        new, allowed = {name: (row[0],) for name, row in new.items()}, 2
    gone = mutation.kind in ("missing", "folder") or mutation.text.endswith(("a link to .", "a link to .."))
    if gone or mutation.text.endswith(": rows "):
        lost = set()
    if lost and said == said_before and not case.said_more():
        return f"{len(lost)} images lost without a word, {sorted(lost)[0]} first"
    changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    if one_image:
        changed = [
            name for name in changed if not mutation.file.endswith(name) or old[name][1:] != new[name][1:]
        ]
        allowed = 0
    if said != said_before:  # that there are no labels, as a rule
        changed = [name for name in changed if old[name][0] != new[name][0] or new[name][1:2] != (None,)]
    if allowed is not None and len(changed) > allowed:
        name = sorted(changed)[0]
        return f"{len(changed)} images or labels changed, {name}: {old[name][1:]} became {new[name][1:]}"
    return None


def _passed_over(text: str) -> bool:
    """Whether a member's new name is one that no image has: of a folder, a hidden file, or without a suffix."""
    name = text.partition(": name ")[2].strip("'\"")
    parts = name.replace("\\\\", "/").split("/")
    hidden = any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)
    return hidden or "." not in parts[-1].strip(".") or len(name) > 200 or not name.isprintable()


def _annotated(case: "Case", file: str, old: dict, new: dict, said: list) -> str | None:
    """Labels are those that the file names, or it is said that they are not."""
    path = case.box / "in" / case.mutation.file
    if not path.is_file() or path.is_symlink():
        same = all(values[0] == old[name][0] for name, values in new.items() if name in old)
        return None if same else "images changed"
    changed = [name for name in old if name in new and old[name][0] != new[name][0]]
    if changed:
        return f"the pixels of {changed[0]} changed with {file}"
    told = file in case.ended.err or any(str(each) not in map(str, case.before["rows"][1]) for each in said)
    content = path.read_bytes()
    expected = _json_labels(content) if file == "dataset.json" else _csv_values(content, file)
    if expected == "none":
        return (
            None
            if all(row[1] is None and not row[2] for row in new.values())
            else "labels where the file says null"
        )
    if expected is None:
        labelled = any(row[1] is not None or row[2] for row in new.values())
        return None if told or labelled else f"{file} says nothing that can be used, and nobody said so"
    for name, value in expected.items():
        row = new.get(name)
        if row is not None and _told(row) != value and not told:
            return f"{name} is {value} in {file} and {_told(row)} in the set"
    return None


def _told(row: tuple) -> Any:
    return row[1] if not row[2] else tuple(row[2])


def _json_labels(content: bytes) -> Any:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "labels" not in found:
        return None
    if found["labels"] is None:
        return "none"
    pairs = found["labels"]
    if not isinstance(pairs, list) or not all(
        isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) and type(p[1]) is int for p in pairs
    ):
        return None
    return {name: str(label) for name, label in pairs}


def _csv_values(content: bytes, file: str) -> Any:
    try:
        table = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        header, lines = table[0], [line for line in table[1:] if any(line)]
        if file == "metadata.csv":
            return {line[0]: line[1] for line in lines} if header == ["file_name", "label"] else None
        return {line[0]: tuple(None if not cell else _float32(cell) for cell in line[1:]) for line in lines}
    except (ValueError, csv.Error, IndexError):
        return None


def _float32(cell: str) -> float:
    import numpy as np

    return float(np.float32(cell))


def rows(path: Path) -> tuple[dict[str, tuple], list] | None:
    """Name -> (hash of the pixels, class, attributes), and what the set says of itself."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = {
            key: value for key, value in file.metadata().items() if key.endswith(("names", "bad", "notes"))
        }
    text = {key: json.loads(value) for key, value in about.items()}
    names = tensors["names"].tobytes().decode().split("\n")[: len(tensors["images"])]
    found = {}
    for row, name in enumerate(names):
        label = text["class_names"][int(tensors["labels"][row])] if "labels" in tensors else None
        values = (
            [None if x != x else float(x) for x in tensors["attributes"][row]]
            if "attributes" in tensors
            else []
        )
        found[name] = (hashlib.sha256(tensors["images"][row].tobytes()).hexdigest(), label, tuple(values))
    return found, [*text["bad"], *text["notes"]]


def _difference(old: dict, new: dict) -> str:
    return f"{len(old)} images {len(new)}, and {len(old.items() - new.items())} others"
