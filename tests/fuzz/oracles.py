"""What a command that ended well should have given: None where it did, else a few words.

Each is a function of a Case (see run.py). An image, label or weight that nobody changed stays as it was, what was left
out is said, and what a fingerprint protects is refused rather than different.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.case import Case


def anything(case: "Case") -> str | None:
    """Whatever it printed, in a form that can be read."""
    if "--json" in case.arguments:
        try:
            json.loads(case.ended.out, parse_constant=_refused)
        except ValueError as error:
            return f"--json printed no JSON: {error}"
    return None


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def pictures(case: "Case") -> str | None:
    """The images of a model are as before, or the model was changed where it may be."""
    found = case.result()["pictures"]
    if found == case.before["pictures"] or _free(case):
        return anything(case)
    return f"other images: {len(found)} where {len(case.before['pictures'])} were, {case.mutation.text}"


def outputs(case: "Case") -> str | None:
    """The files in out/ are as before, byte for byte."""
    found = case.result()["files"]
    if found == case.before["files"] or _free(case):
        return None
    names = [
        name
        for name in {**case.before["files"], **found}
        if case.before["files"].get(name) != found.get(name)
    ]
    return f"other output: {', '.join(names[:3])}"


def _free(case: "Case") -> bool:
    """Whether what was changed is a setting, which decides over the images, and not a weight that made them."""
    return case.mutation.kind in ("JSON value", "TOML", "metadata", "JSON line")


def resumed(case: "Case") -> str | None:
    """Going on gives the same weights, whatever happened to the records beside them."""
    found, before = case.result()["weights"], case.before["weights"]
    records = case.mutation.file.startswith(
        ("run/log", "run/grids", "run/tensorboard", "run/report", "run/eval")
    )
    if case.ended.code != 0:
        in_place = case.mutation.kind in (
            "named pipe",
            "device",
            "link",
            "folder",
            "socket",
            "unreadable",
            "huge",
        )
        return "a record of the past stops the run" if records and not in_place else None
    if found != before and not _free(case):
        return "other weights than without the damage"
    return None


def trained(case: "Case") -> str | None:
    """The weights that those images give."""
    if case.ended.code == 0 and case.result()["weights"] != case.before["weights"] and not _free(case):
        return "other weights than without the damage"
    return None


def scores(case: "Case") -> str | None:
    """The scores are as before."""
    found, before = case.result()["scores"], case.before["scores"]
    if found != before and not _free(case):
        return f"other scores: {_first_difference(before, found)}"
    return anything(case)


def _first_difference(before: dict | None, found: dict | None) -> str:
    names = [
        name
        for name in {**(before or {}), **(found or {})}
        if (before or {}).get(name) != (found or {}).get(name)
    ]
    return ", ".join(
        f"{name} {(before or {}).get(name)} became {(found or {}).get(name)}" for name in names[:2]
    )


def set_of_images(case: "Case") -> str | None:
    """A damaged file is not called whole; a set that goes on is whole then, with the images that it would have."""
    if "--verify" in case.arguments:
        return verified(case)
    folder = Path(case.arguments[case.arguments.index("-o") + 1])
    if case.ended.code != 0:
        return None
    from fastgan.inference.verify import verify

    found = verify(folder)
    mended = case.mutation.file.split("/")[0] == folder.name
    if not found.whole and not (mended and (found.unlisted or found.damaged)):
        return f"exit 0, and the set is not whole: {'; '.join(found.lines())}"
    return None


def page(case: "Case") -> str | None:
    """A page that holds no code of others."""
    for path in (case.box / "out").rglob("*.html"):
        text = path.read_text("utf-8", "replace")
        if "<script>fuzz()" in text or re.search(r"<img src=x onerror=fuzz", text):
            return "the page holds a script of others"
    return None


def verified(case: "Case") -> str | None:
    """Whether a set is whole: a file that was changed makes it not whole."""
    whole = case.ended.code == 0
    name = case.mutation.file.rpartition("/")[2]
    held = case.mutation.file.split("/")[0] == case.arguments[-1].rpartition("/")[2]
    image = held and name.endswith((".png", ".tar", ".parquet", ".npz"))
    return "a changed file is called whole" if whole and image and case.changed() else None


def readable(text: str) -> str | None:
    """Characters that a terminal would obey, in what was printed."""
    wrong = re.search(
        "[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]",
        text.replace("\r\n", "\n"),
    )
    return f"printed {wrong[0]!r} raw" if wrong else None


RAW_WORDS = re.compile(
    r"NoneType|object has no attribute|unsupported operand|not subscriptable|unhashable|invalid literal for|"
    r"object at 0x|not iterable|unexpected keyword|positional argument|list index out|string indices|indices must be|"
    r"must be str, not|must be real number|cannot be interpreted as|Traceback|RuntimeError|KeyError|TypeError|<class '"
)


def sentence(err: str) -> str | None:
    """One sentence on the last line, in words that are meant for a person."""
    lines = [line for line in err.splitlines() if line.startswith("fastgan: error: ")]
    if len(lines) != 1:
        return f"{len(lines)} lines begin with 'fastgan: error:'"
    if wrong := RAW_WORDS.search(lines[0]):
        return f"speaks as a library does: {wrong[0]}"
    if len(lines[0]) > 2500:
        return f"a sentence of {len(lines[0])} characters"
    return None


OF_REFUSALS = (resumed,)
"""Oracles that judge refusals too"""
