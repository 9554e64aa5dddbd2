"""Is a set of generated images whole? What `fastgan generate --verify` says."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastgan.errors import DamageError, IncompleteError, OutputError
from fastgan.files import sha256_file
from fastgan.inference.folder import SETTINGS, disk_errors, is_ours, stored_settings
from fastgan.inference.manifest import NAME, manifests, read_entries
from fastgan.inference.plan import Places, seeds_text
from fastgan.seeds import parse_seeds

_SHOWN = 5
_FIGURES = ("grid.", "style-mix.", "interpolation.")
Advance = Callable[[int, int], None]


@dataclass
class Findings:
    """What is wrong with a set, by kind."""

    folder: Path
    images: int = 0
    files: int = 0
    missing: list[str] = field(default_factory=list)
    """Files that a manifest lists and the folder does not hold."""
    damaged: list[str] = field(default_factory=list)
    """Files with other bytes than their line says."""
    unlisted: list[str] = field(default_factory=list)
    """Files with the names of images that no manifest lists."""
    twice: list[str] = field(default_factory=list)
    """Seeds that two files, or two different lines, claim."""
    absent: str = ""
    """Seeds that were asked for and that no line lists, as `parse_seeds` takes them."""
    absent_count: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.missing or self.damaged or self.unlisted or self.twice or self.absent_count)

    def lines(self) -> list[str]:
        """A line a kind, with the first few names."""
        if self.whole:
            return [
                f"{self.folder} is whole: {self.images} images in {self.files} file{'s' * (self.files != 1)}."
            ]
        kinds = {
            "missing": self.missing,
            "damaged": self.damaged,
            "unlisted": self.unlisted,
            "seeds listed twice": self.twice,
        }
        lines = [f"{kind}: {len(names)} ({_first(names)})" for kind, names in kinds.items() if names]
        if self.absent_count:
            lines.append(f"not made yet: {self.absent_count} (seeds {_shortened(self.absent)})")
        return lines

    def check(self) -> None:
        """Raise IncompleteError where images are missing, DamageError where anything else is wrong.

        A file that is listed and gone counts as missing: a kill leaves lines without images.
        """
        if self.whole:
            return
        mend = "give the command again that made it, which makes what is missing."
        if not self.harmed:
            raise IncompleteError(f"{self.folder} is not complete: {mend}")
        raise DamageError(f"{self.folder} is not whole: remove the files named above, then {mend}")

    @property
    def harmed(self) -> bool:
        """Whether there is more wrong than what the same command would make."""
        return bool(self.damaged or self.unlisted or self.twice)

    def facts(self) -> dict[str, Any]:
        """All that was found, ready for JSON."""
        return {**asdict(self), "folder": str(self.folder), "whole": self.whole}


def verify(folder: Path, advance: Advance = lambda done, total: None) -> Findings:
    """Hold the files of a set against its manifests, and those against the seeds that were asked for.

    advance(done, total) is called as files are read. Raises OutputError for a folder that holds no set of images.
    """
    stored = stored_settings(folder)
    if stored is None:
        empty = "is empty and " if folder.is_dir() and not any(folder.iterdir()) else ""
        raise OutputError(
            f"{folder} {empty}has no {SETTINGS}: give the folder of a fastgan generate with -o."
        )
    settings = stored.get("set")
    if not isinstance(settings, dict) or not isinstance(settings.get("seeds"), str):
        raise OutputError(f"{folder} holds no set of images, only figures or nothing.")
    found = Findings(folder)
    with disk_errors(folder):
        digests = _listed(folder, settings["seeds"], found)
        _compare(folder, digests, found, advance)
    return found


def _listed(folder: Path, seeds: str, found: Findings) -> dict[str, set[str]]:
    """The SHA-256 of each file as its lines say it; what is wrong with the lines themselves goes to `found`."""
    places = Places(parse_seeds(seeds))
    count = len(parse_seeds(seeds))
    lines: dict[str, set[str]] = {}
    owner = np.zeros(count, np.int64)  # 1 + the number of the file that lists a seed
    numbers: dict[str, int] = {}
    for manifest in manifests(folder):
        for entry in read_entries(manifest):
            file = entry["file"]
            lines.setdefault(file, set()).add(str(entry.get("file_sha256", entry["sha256"])))
            number = numbers.setdefault(file, len(numbers) + 1)
            place = places.of(entry["seed"])
            if place is None:
                continue
            if owner[place] not in (0, number):
                found.twice.append(str(entry["seed"]))
            owner[place] = number
    found.images = int((owner > 0).sum())
    found.absent_count = count - found.images
    if found.absent_count:
        absent = np.flatnonzero(owner == 0)
        listed = parse_seeds(seeds)
        found.absent = seeds_text([listed[int(place)] for place in absent])
    return lines


def _compare(folder: Path, digests: dict[str, set[str]], found: Findings, advance: Advance) -> None:
    there = {file.name for file in folder.iterdir() if file.is_file()}
    found.missing = sorted(digests.keys() - there)
    images = {name for name in there if is_ours(name) and not name.startswith((*_FIGURES, NAME))}
    found.unlisted = sorted(images - digests.keys())
    names = sorted(digests.keys() & there)
    found.files = len(names)
    lock, done = threading.Lock(), 0

    def damaged(name: str) -> bool:
        nonlocal done
        wrong = digests[name] != {sha256_file(folder / name)}
        with lock:
            done += 1
            if done % 64 == 0 or done == len(names):
                advance(done, len(names))
        return wrong

    with ThreadPoolExecutor() as pool:
        found.damaged = [name for name, wrong in zip(names, pool.map(damaged, names), strict=True) if wrong]


def _first(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _shortened(text: str) -> str:
    parts = text.split(",")
    return ",".join(parts[:_SHOWN]) + (",..." if len(parts) > _SHOWN else "")
