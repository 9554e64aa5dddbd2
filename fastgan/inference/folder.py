"""The folder that `fastgan generate` writes to: its settings, its manifest, and which images are already there.

OUT/fastgan.json      what made the images: model, its fingerprint, truncation, classes, runtime, precision
OUT/manifest.jsonl    one line an image, written after the image: {"seed": 7, "file": ..., "sha256": ...}, and
                      "class" and "attributes" of a conditional model's
OUT/seed00000007.png  ...
OUT/images.npz, OUT/grid.png, OUT/style-mix.png, OUT/interpolation.{png,gif,mp4}   where asked for
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastgan.errors import OutputError
from fastgan.files import atomic_write, write_json

SETTINGS = "fastgan.json"
MANIFEST = "manifest.jsonl"
_IMAGE = re.compile(r"seed(\d{8,20})\.(png|jpg|webp)")
_OTHERS = (
    MANIFEST,
    "images.npz",
    "grid.png",
    "style-mix.png",
    *(f"interpolation.{x}" for x in ("png", "gif", "mp4")),
)

Describe = Callable[[Sequence[int]], list[dict[str, Any]]]
"""seeds -> what else the manifest says of each image."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals (full disk, no permission) into an OutputError about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write to {path} ({error.strerror or error}): make room or choose another place with -o; "
            "run the same command again to go on, nothing whole is lost."
        ) from error


def image_name(seed: int, image_format: str) -> str:
    """File name of a seed's image."""
    return f"seed{seed:08d}.{image_format}"


class OutputFolder:
    """An output folder that belongs to one model and one set of settings; further seeds may be added to it."""

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        *,
        overwrite: bool = False,
        describe: Describe = lambda seeds: [{} for _ in seeds],
    ) -> None:
        """Create `path`, or take it over where the same `settings` made it.

        describe: what the manifest says of the images of seeds beside their files. Raises OutputError for a file
        in its place, and for a folder that holds anything else, unless `overwrite`: that removes the images of an
        earlier run from it and leaves every other file alone.
        """
        self.path = path
        self._describe = describe
        self._lines: dict[str, dict[str, Any]] = {}
        with disk_errors(path):
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path} is a file: choose a folder with -o.")
            earlier = self._earlier_settings()
            if earlier == settings and not overwrite:
                self._load_manifest()
                return
            if not overwrite and path.is_dir() and any(path.iterdir()):
                raise OutputError(self._refusal(earlier, settings))
            path.mkdir(parents=True, exist_ok=True)
            if earlier is not None:
                self._remove_images()
            write_json(path / SETTINGS, settings)

    def _earlier_settings(self) -> dict[str, Any] | None:
        """The settings stored in the folder; {} if they are unreadable, None if there are none."""
        try:
            stored = json.loads((self.path / SETTINGS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return stored if isinstance(stored, dict) else {}

    def _refusal(self, earlier: dict[str, Any] | None, settings: dict[str, Any]) -> str:
        mend = "choose another folder with -o, or give --overwrite to"
        if earlier is None:
            return f"{self.path} is not empty and was not made by fastgan generate: {mend} write there all the same."
        differing = [key for key in {**settings, **earlier} if earlier.get(key) != settings.get(key)]
        changes = ", ".join(
            f"{key} {_short(earlier.get(key))}, now {_short(settings.get(key))}" for key in differing
        )
        return f"{self.path} holds images made with other settings ({changes}): {mend} replace them."

    def _load_manifest(self) -> None:
        """Read the manifest; entries whose image is gone, and a line cut by a kill, are dropped from it."""
        manifest = self.path / MANIFEST
        raw = manifest.read_bytes().splitlines(keepends=True) if manifest.exists() else []
        for line in raw:
            entry = _parse(line)
            if entry is not None and (self.path / entry["file"]).is_file():
                self._lines[entry["file"]] = entry
        # An image whose line was cut off by a kill is whole all the same: only whole files take their names.
        for file in sorted(self.path.iterdir()):
            match = _IMAGE.fullmatch(file.name)
            if match and file.name not in self._lines:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                (self._lines[file.name],) = self.entries([(int(match[1]), file.name, digest)])
        if len(raw) != len(self._lines) or not all(line.endswith(b"\n") for line in raw):
            with atomic_write(manifest) as temporary:
                temporary.write_text(
                    "".join(_line(entry) for entry in self._lines.values()), encoding="utf-8"
                )

    def _remove_images(self) -> None:
        for file in list(self.path.iterdir()):
            if _IMAGE.fullmatch(file.name) or file.name in _OTHERS:
                file.unlink()

    def missing(self, seeds: Iterable[int], image_format: str) -> set[int]:
        """Those of `seeds` whose image in that format is not there yet."""
        return {seed for seed in seeds if image_name(seed, image_format) not in self._lines}

    @contextmanager
    def recording(self) -> Iterator["Recorder"]:
        """Open the manifest for appending."""
        with disk_errors(self.path), open(self.path / MANIFEST, "a", encoding="utf-8") as file:
            yield Recorder(file)

    def entries(self, images: Sequence[tuple[int, str, str]]) -> list[dict[str, Any]]:
        """Lines of the manifest, one for each (seed, file, SHA-256)."""
        described = self._describe([seed for seed, _, _ in images])
        return [
            {"seed": seed, "file": file, "sha256": digest, **details}
            for (seed, file, digest), details in zip(images, described, strict=True)
        ]


class Recorder:
    """Appends lines to the manifest."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def add(self, entry: dict[str, Any]) -> None:
        """Record one written image."""
        self._file.write(_line(entry))

    def flush(self) -> None:
        """Hand what was recorded to the operating system, so that a kill loses at most the current batch."""
        self._file.flush()


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry) + "\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not {"seed", "file", "sha256"} <= entry.keys():
        return None
    return entry if _IMAGE.fullmatch(str(entry["file"])) else None


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:8]}..."
