"""CelebA (Liu et al. 2015): `img_align_celeba` (folder or .zip), 40 attributes, the official splits.

Beside the images, or in the folders Anno and Eval of the original download, lie `list_attr_celeba` and
`list_eval_partition`, as .txt or, in other distributions of the set, as .csv.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastgan.data import annotations
from fastgan.data.members import reason
from fastgan.data.names import SPLITS, Lookup
from fastgan.data.sources import Images, folder, zip_file
from fastgan.errors import DataError
from fastgan.files import read_text
from fastgan.text import whole

DESCRIBES = "CelebA"
READS_IMAGE_FILES = True
_IMAGES, _ATTRIBUTES, _PARTITION = "img_align_celeba", "list_attr_celeba", "list_eval_partition"


def matches(path: Path) -> bool:
    """Whether `path` holds CelebA's images and attributes, or is its folder or zip of images beside the attributes."""
    return _find(path) is not None


def read(path: Path) -> Images:
    """All images in the order of their numbers; attributes are 0 and 1, where the file has -1 and 1."""
    place = _find(path)
    assert place is not None  # `matches` saw it
    images_path, attribute_file = place
    source = zip_file if images_path.is_file() else folder
    images = replace(source.image_files(images_path), labels=None, class_names=(), splits=None)
    rows = {name.rpartition("/")[2]: row for row, name in enumerate(images.names)}
    if len(rows) < len(images):
        raise DataError(f"{images_path} holds some images twice: keep one copy of each")
    names, table = _attributes(attribute_file)
    found = annotations.rows_of(str(attribute_file), table, rows.get, Lookup([*rows]))
    images = annotations.with_attributes(
        images, str(attribute_file), names, dict(zip(found, table.values(), strict=True))
    )
    partition = _beside(attribute_file.parent, _PARTITION) or _beside(
        attribute_file.parent.parent / "Eval", _PARTITION
    )
    if partition is None:
        note = f"no official splits: there is no {_PARTITION}.txt beside {attribute_file.name}"
        images = replace(images, notes=(*images.notes, note))
    else:
        images = replace(images, splits=_splits(partition, images.names))
    watched = [attribute_file, *([partition] if partition else [])]
    image_files = images.files
    return replace(images, files=lambda: (*watched, *image_files()))


def _find(path: Path) -> tuple[Path, Path] | None:
    """(images, attribute file), when both are there."""
    at_images = path.name in (_IMAGES, f"{_IMAGES}.zip")
    roots = [path.parent] if at_images else [path]
    for root in roots:
        places = (
            [path]
            if at_images
            else [root / _IMAGES, root / f"{_IMAGES}.zip", root / "Img" / f"{_IMAGES}.zip"]
        )
        images = next((place for place in places if place.exists()), None)
        attributes = _beside(root, _ATTRIBUTES) or _beside(root / "Anno", _ATTRIBUTES)
        if images is not None and attributes is not None:
            return images, attributes
    return None


def _beside(place: Path, stem: str) -> Path | None:
    return next(
        (place / f"{stem}{end}" for end in (".txt", ".csv") if (place / f"{stem}{end}").exists()), None
    )


def _attributes(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[float, ...]]]:
    """Attribute names, and image -> values 0 or 1."""
    lines = _lines(path)
    header = lines[0]
    if (
        len(header) == 1 and (count := whole(header[0])) is not None and len(lines) > 1
    ):  # the number of images comes first in the original
        header = lines[1]
        if count != len(lines) - 2:
            raise DataError(f"{path} is cut short: it announces {count} images and lists {len(lines) - 2}")
        lines = lines[1:]
    names = tuple(header[1:] if header[0] == "image_id" else header)
    annotations.check_names(str(path), names)
    table: dict[str, tuple[float, ...]] = {}
    for image, *values in lines[1:]:
        if len(values) != len(names):
            raise DataError(
                f"{path}: {image} has {len(values)} values for {len(names)} attributes: download it again"
            )
        wrong = next((value for value in values if value not in ("-1", "0", "1")), None)
        if wrong is not None:
            raise DataError(
                f"{path}: {image} has the value {wrong!r}, which is not -1 or 1: download it again"
            )
        if image in table:
            raise DataError(f"{path} lists {image} twice: download it again")
        table[image] = tuple(float(value == "1") for value in values)
    return names, table


def _splits(path: Path, names: Sequence[str]) -> np.ndarray:
    """int8 [N]: the split of each image."""
    table = {}
    for cells in _lines(path):
        if cells[:1] == ["image_id"]:
            continue
        if len(cells) != 2 or cells[1] not in ("0", "1", "2"):
            raise DataError(
                f"{path}: {' '.join(cells)[:80]!r} is not an image and 0, 1 or 2: download it again"
            )
        table[cells[0]] = int(cells[1])
    assert SPLITS[:3] == ("train", "val", "test")  # the file's own numbers
    files = [name.rpartition("/")[2] for name in names]
    absent = next((file for file in files if file not in table), None)
    if absent is not None:
        raise DataError(f"{path} does not list {absent}: download it again")
    return np.array([table[file] for file in files], np.int8)


def _lines(path: Path) -> list[list[str]]:
    """The words of each line that has any."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({reason(error)}): download it again") from error
    lines = [words for line in text.splitlines() if (words := line.replace(",", " ").split())]
    if not lines:
        raise DataError(f"{path} is empty: download it again")
    return lines
