"""A picture of generated images beside the training images closest to them, each with its name and distance."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fastgan.files import atomic_write
from fastgan.metrics.memorisation import NEIGHBOURS, Audit
from fastgan.text import shown

ROWS, COLUMNS = 8, 2
_WIDE = 128  # pixels of a caption; smaller images are enlarged to about this
_GAP = 12  # between pairs
_TEXT, _LINE = 11, 14  # pixels of the font, and of a line
_INK, _SOFT, _ALARM = "#1c2330", "#667085", "#b42318"


def _numbered(number: int) -> str:
    return f"image {number}"


@dataclass(frozen=True)
class Names:
    """What images are called by their numbers: a file, or a seed."""

    generated: Callable[[int], str] = _numbered
    train: Callable[[int], str] = _numbered


def closest(audit: Audit, names: Names) -> list[dict[str, Any]]:
    """The ROWS * COLUMNS generated images closest to a training image, and which that is; ready for JSON.

    "distance" is relative: see `memorisation.Distances`.
    """
    copies = set(audit.copies.tolist())
    found = []
    for index in audit.closest[: ROWS * COLUMNS].tolist():
        pair: dict[str, Any] = {"generated": names.generated(index), "copy": index in copies}
        for what, space in (("features", audit.features), ("pixels", audit.pixels)):
            made = space.generated
            pair[what] = {
                "train": names.train(int(made.nearest[index])),
                "distance": round(float(made.relative[index]), 4),
            }
        found.append(pair)
    return found


def write_pairs(
    path: Path, audit: Audit, generated: Tensor, train: Tensor, names: Names | None = None
) -> None:
    """Write a PNG of the `closest`: the generated image, nearest in features, nearest in pixels.

    generated, train: uint8 [N, H, W, C], as they were audited.
    """
    numbers = audit.closest[: ROWS * COLUMNS].tolist()
    triples = []
    for index in numbers:
        by_features, by_pixels = (space.generated.nearest[index] for space in (audit.features, audit.pixels))
        triples.append(
            [_picture(image) for image in (generated[index], train[by_features], train[by_pixels])]
        )
    sheet = _draw(triples, closest(audit, names or Names()), _heading(audit))
    with atomic_write(path) as temporary:
        sheet.save(temporary)


def _heading(audit: Audit) -> list[str]:
    limits = f"{audit.features.threshold:.3f} in features or {audit.pixels.threshold:.3f} in pixels"
    return [
        "Left to right: the generated image, the training image nearest in features, the one nearest in pixels.",
        f"Distance: to the nearest, over the mean to the next {NEIGHBOURS}; below {limits} it counts as a copy.",
    ]


def _picture(image: Tensor) -> Image.Image:
    """uint8 [H, W, C], enlarged by a whole number."""
    pixels = image.numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    times = max(1, _WIDE // picture.width)
    return picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)


def _draw(
    triples: list[list[Image.Image]], captions: list[dict[str, Any]], heading: list[str]
) -> Image.Image:
    side = max((picture.height for triple in triples for picture in triple), default=_WIDE)
    cell, height, top = max(side, _WIDE) + 4, side + 2 * _LINE + _GAP, len(heading) * _LINE + _GAP
    rows = -(-len(triples) // COLUMNS)
    width = COLUMNS * (3 * cell + _GAP)
    sheet = Image.new("RGB", (width, top + rows * height), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for number, line in enumerate(heading):
        draw.text((2, 2 + number * _LINE), line, _SOFT, font)
    for number, (triple, caption) in enumerate(zip(triples, captions, strict=True)):
        x, y = (number % COLUMNS) * (3 * cell + _GAP), top + (number // COLUMNS) * height
        said = [(f"{number + 1}. {caption['generated']}", "counts as a copy" if caption["copy"] else "")]
        said += [
            (caption[what]["train"], f"{what} {caption[what]['distance']:.3f}")
            for what in ("features", "pixels")
        ]
        for place, (picture, (first, second)) in enumerate(zip(triple, said, strict=True)):
            left = x + place * cell
            sheet.paste(picture, (left, y), picture if picture.mode == "RGBA" else None)
            draw.text((left, y + side + 1), _fitting(first, draw, font, cell - 6), _INK, font)
            draw.text((left, y + side + 1 + _LINE), second, _SOFT if place else _ALARM, font)
    return sheet


def _font() -> Any:
    """PIL's own, which needs no file."""
    try:
        return ImageFont.load_default(_TEXT)
    except (ImportError, OSError):  # a Pillow without FreeType has one of a fixed size
        return ImageFont.load_default()


def _fitting(text: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """`text` in letters that the font has, its middle left out where it is wider."""
    text = shown(text).encode("latin-1", "backslashreplace").decode("latin-1")
    kept, short = len(text), text
    while kept > 4 and draw.textlength(short, font) > width:
        kept -= 1
        short = f"{text[: kept // 3]}...{text[len(text) - (kept - kept // 3) :]}"
    return short
