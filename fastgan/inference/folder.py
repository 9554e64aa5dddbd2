"""The folder that `fastgan generate` writes to: what made the images in it, and who is writing.

OUT/fastgan.json      what made them: model, its fingerprint, truncation, classes, runtime, precision; under "set", of
                      images and not figures alone: format, encoder, batch, seeds
OUT/manifest.jsonl    one line an image (fastgan/inference/manifest.py)
OUT/seed00000007.png, OUT/images-00000-of-00063.tar, OUT/images.npz, ...
OUT/grid.png, OUT/style-mix.png, OUT/interpolation.{png,gif,mp4}   where asked for

Processes that make shards of one set share a folder. The first writes fastgan.json and the others check theirs
against it, one at a time; each holds a lock of its own as long as it writes. The system gives a lock back when its
process ends, however it ends.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from filelock import FileLock, Timeout

from fastgan.documents import read_json
from fastgan.errors import DocumentError, OutputError
from fastgan.files import write_json
from fastgan.inference.manifest import NAME, manifest_name
from fastgan.inference.plan import seeds_text
from fastgan.inference.shards import Shard
from fastgan.naming import named
from fastgan.ownership import written_as

SETTINGS = "fastgan.json"
_LOCK = ".fastgan.lock"
_PATIENCE = 60  # seconds that settings may take to be written by another process
_OURS = re.compile(
    r"seed\d{8,20}\.(png|jpg|webp)|images(-\d{5,}-of-\d{5,})?\.(tar|parquet|npz)|"
    rf"{NAME}(-\d{{5,}}-of-\d{{5,}})?\.jsonl|grid\.png|style-mix\.png|interpolation\.(png|gif|mp4)"
)
_HALF_WRITTEN = re.compile(r"\.(.+)\.part", re.DOTALL)
_MANIFEST_LOCK = re.compile(rf"\.{NAME}(-\d{{5,}}-of-\d{{5,}})?\.jsonl\.lock", re.ASCII)


def _half_written(name: str) -> str:
    """What a file of that name would have become, had its process not been killed; "" for any other file."""
    match = _HALF_WRITTEN.fullmatch(name)
    return match[1] if match else written_as(name) or ""


def _is_hidden(name: str) -> bool:
    """Whether a file is none of a set's, and left by us: a lock, or what a killed process wrote."""
    half = _half_written(name)
    return name == _LOCK or bool(_MANIFEST_LOCK.fullmatch(name)) or half == SETTINGS or is_ours(half)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals (full disk, no permission) into an OutputError about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write to {path} ({error.strerror or error}): make room or choose another place; "
            "run the same command again to go on, nothing whole is lost."
        ) from error


def is_ours(name: str) -> bool:
    """Whether `fastgan generate` gives files such a name, beside its settings."""
    return _OURS.fullmatch(name) is not None


class _Set(TypedDict):
    """What is read of the settings of a set of images; all of them are compared."""

    seeds: str
    batch: NotRequired[int]


class _Stored(TypedDict):
    runtime: NotRequired[str]
    precision: NotRequired[str]
    set: NotRequired[_Set]


def stored_settings(path: Path) -> dict[str, Any] | None:
    """The settings stored in a folder; {} if they are unreadable, None if there are none."""
    try:
        return dict(read_json(path / SETTINGS, _Stored))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except DocumentError:
        return {}


class OutputFolder:
    """An output folder that belongs to one model and one set of settings."""

    def __init__(self, path: Path, settings: dict[str, Any], *, overwrite: bool = False) -> None:
        """Create `path`, or take it over where the same `settings` made it.

        Raises OutputError for a file in its place, and for a folder that holds anything else, unless `overwrite`: that
        removes the images of an earlier run from it and leaves every other file alone.
        """
        self.path = path
        self._settings = settings
        with disk_errors(path):
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path} is a file: choose a folder.")
            if not overwrite:
                self._check(stored_settings(path))
            path.mkdir(parents=True, exist_ok=True)
            with self._alone():
                earlier = stored_settings(path)
                if not overwrite:
                    self._check(earlier)
                elif earlier is not None:
                    self._remove_images()
                if overwrite or earlier is None:
                    write_json(path / SETTINGS, settings)

    def _check(self, earlier: dict[str, Any] | None) -> None:
        """OutputError unless the folder is empty, absent, or made with these settings."""
        if earlier is not None:
            self._compare({key: value for key, value in earlier.items() if key != "set"}, self._settings)
        elif self.path.is_dir() and any(not _is_hidden(file.name) for file in self.path.iterdir()):
            raise OutputError(
                f"{self.path} is not empty and was not made by fastgan generate: choose another folder, "
                f"or give {named('overwrite')} to write there all the same."
            )

    def _compare(self, earlier: dict[str, Any], settings: dict[str, Any]) -> None:
        differing = [key for key in {**settings, **earlier} if earlier.get(key) != settings.get(key)]
        if differing:
            changes = ", ".join(
                f"{key} {_short(earlier.get(key))}, now {_short(settings.get(key))}" for key in differing
            )
            raise OutputError(
                f"{self.path} holds images made with other settings ({changes}): choose another folder, or give "
                f"{named('overwrite')} to replace them."
            )

    def _remove_images(self) -> None:
        with ExitStack() as stack:
            for name in self._locks():
                self._hold(stack, name)
            for file in list(self.path.iterdir()):
                if (is_ours(file.name) or is_ours(_half_written(file.name))) and not file.is_dir():
                    file.unlink()

    @contextmanager
    def writing(
        self, settings: dict[str, Any], seeds: Sequence[int], shard: Shard, *, may_grow: bool
    ) -> Iterator[None]:
        """Make the folder's set of images, or the shard of it, this process's own.

        settings: those of the set, beside its seeds. may_grow: the images of further seeds are added to those that
        are there; else the seeds must be the same. Raises OutputError for other settings, and while another process
        writes this shard, or any of another number of shards.
        """
        mine = f".{manifest_name(shard)}.lock"
        alike = f"-of-{shard.count:05d}."
        with disk_errors(self.path), ExitStack() as stack:
            with self._alone(), ExitStack() as others:
                for name in self._locks():
                    if name != mine and (shard.count == 1 or alike not in name):
                        self._hold(others, name)
                self._hold(stack, mine)
                self._claim(settings, seeds, may_grow=may_grow)
            yield

    def _claim(self, settings: dict[str, Any], seeds: Sequence[int], *, may_grow: bool) -> None:
        stored = stored_settings(self.path) or self._settings
        earlier = stored.get("set")
        asked = seeds_text(seeds)
        if earlier is not None:
            known = earlier.get("seeds", "")
            if may_grow and asked != known:
                asked = _union(known, seeds)
            fixed = {"seeds": known} if may_grow else {"seeds": asked}
            self._compare(earlier, {**settings, **fixed})
        if earlier is None or earlier["seeds"] != asked:
            write_json(self.path / SETTINGS, {**stored, "set": {**settings, "seeds": asked}})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process looks at the settings or begins to write."""
        try:
            with FileLock(self.path / _LOCK, timeout=_PATIENCE):
                yield
        except Timeout:
            raise OutputError(
                f"{self.path} has been held by another fastgan generate for {_PATIENCE} seconds: look for one that "
                f"hangs, or remove {_LOCK} there."
            ) from None

    def _locks(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if _MANIFEST_LOCK.fullmatch(path.name))

    def _hold(self, stack: ExitStack, name: str) -> None:
        try:
            stack.enter_context(FileLock(self.path / name, timeout=0))
        except Timeout:
            manifest = name.removeprefix(".").removesuffix(".lock")
            raise OutputError(
                f"{self.path}: another fastgan generate is writing {manifest} there: let it finish or stop it, or "
                "choose another folder."
            ) from None


def _union(known: str, seeds: Sequence[int]) -> str:
    """The seeds of a set to which others are added, in order."""
    import numpy as np

    from fastgan.seeds import parse_seeds

    earlier = np.asarray(parse_seeds(known), np.uint64) if known else np.empty(0, np.uint64)
    both = np.union1d(earlier, np.asarray(seeds, np.uint64))
    return seeds_text(both.tolist())


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:8]}..."
