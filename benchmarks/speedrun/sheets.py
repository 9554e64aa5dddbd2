"""Samples of every contender side by side, real images first."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.speedrun.places import grid
from benchmarks.speedrun.readings import Reading
from fastgan.data import open_dataset

ROWS, COLUMNS = 4, 5  # images a contender
ACROSS = 4  # contenders a row
_CAPTION, _GAP = 18, 8


def name(dataset: str, minutes: float) -> str:
    """The file in docs/runs."""
    return f"speedrun-{dataset}-{minutes:g}.png"


def draw(out: Path, found: dict[str, list[Reading]], held_out: Path | None) -> Image.Image:
    """Real images and the first samples of each contender's first seed, best first, in 256 colours.

    held_out: the real images; None where they may not be shown.
    """
    tiles = [] if held_out is None else [("real images, held out", _real(held_out))]
    for contender, runs in found.items():
        path = grid(out, runs[0].cell, runs[0].minutes)
        if path.exists():
            with Image.open(path) as image:
                tiles.append((contender, _part(np.asarray(image.convert("RGB")))))
    height, width = 64 * ROWS, 64 * COLUMNS
    down = -(-len(tiles) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * (width + _GAP), down * (height + _CAPTION + _GAP)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for k, (caption, pixels) in enumerate(tiles):
        x, y = k % ACROSS * (width + _GAP), k // ACROSS * (height + _CAPTION + _GAP)
        pen.text((x + 2, y + 1), caption, "#1c2330", font)
        sheet.paste(Image.fromarray(pixels), (x, y + _CAPTION))
    return sheet.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)


def _real(held_out: Path) -> np.ndarray:
    images = open_dataset(held_out).images[: ROWS * COLUMNS].numpy()
    height, width = images.shape[1:3]
    cells = images.reshape(ROWS, COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(cells.reshape(ROWS * height, COLUMNS * width, 3))


def _part(sheet: np.ndarray) -> np.ndarray:
    """ROWS x COLUMNS images of a grid of 8 x 8."""
    side = sheet.shape[0] // 8
    return np.ascontiguousarray(sheet[: ROWS * side, : COLUMNS * side])
