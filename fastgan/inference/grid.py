"""Contact sheets: many images in one."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import ConfigError
from fastgan.inference.conditions import Request

MAX_SIDE = 16384  # pixels: beyond it, viewers give up


def columns_for(count: int, resolution: int) -> int:
    """Columns of a sheet of `count` images: as square as can be, never narrower than high.

    Raises ConfigError for a sheet larger than 16384 pixels a side.
    """
    columns = math.ceil(math.sqrt(count))
    if columns * resolution > MAX_SIDE:
        raise ConfigError(
            f"a sheet of {count} images of {resolution} px would be over {MAX_SIDE} px wide: "
            f"ask for at most {(MAX_SIDE // resolution) ** 2} images."
        )
    return columns


def check_sheet(rows: int, columns: int, resolution: int) -> None:
    """Raise ConfigError for a sheet of so many rows and columns that is larger than 16384 pixels a side."""
    if max(rows, columns) * resolution > MAX_SIDE:
        raise ConfigError(
            f"{rows} rows and {columns} columns of {resolution} px would be over {MAX_SIDE} px long: "
            f"ask for at most {MAX_SIDE // resolution} of each."
        )


def rows_of(request: Request) -> list[Request]:
    """What each row of a sheet of several classes asks for; otherwise the one request of all its images."""
    several = len(request.classes) > 1
    return [replace(request, classes=(label,)) for label in request.classes] if several else [request]


def sheet_columns(count: int, resolution: int, request: Request) -> int:
    """Columns of the sheet of `count` seeds, those of a row where there is a row a class.

    Raises ConfigError where it would be too large.
    """
    rows = len(request.classes)
    if rows < 2:
        return columns_for(count, resolution)
    check_sheet(rows, count, resolution)
    return count


def contact_sheet(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Tile uint8 [N, H, W, C] row by row -> uint8 [rows * H, columns * W, C]; empty cells are black."""
    n, h, w, c = images.shape
    rows = math.ceil(n / columns)
    cells = np.zeros((rows * columns, h, w, c), np.uint8)
    cells[:n] = images
    return cells.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
