"""Images that a run was trained on, as a sheet to hold its samples against."""

import io
import math
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from typing import Any

_SIDE = 1024  # pixels of a sheet at most
MOST = 64  # images


@dataclass(frozen=True)
class Real:
    """Some of a run's training images, or why there are none to show."""

    words: str
    """What they are, or why they are not there, in a sentence."""
    images: Any = None
    """uint8 numpy [N, H, W, C], at most MOST."""


def figure(real: Real) -> str:
    """A part of the page: the sheet with its caption, or the caption alone."""
    title = f'<h3>Training images</h3><p class="note">{escape(real.words)}</p>'
    if real.images is None:
        return f'<div class="real">{title}</div>'
    return (
        f'<div class="film real"><div class="frames"><img src="{_sheet(real.images)}" alt="training images"></div>'
        f"{title}</div>"
    )


def _sheet(images: Any) -> str:
    """The images in reading order, about as many rows as columns, as a data: address."""
    import numpy as np
    from PIL import Image, features

    n, height, width, channels = images.shape
    columns = max(math.isqrt(n), 1)
    rows = -(-n // columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:n] = images
    tiled = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    pixels = tiled.reshape(rows * height, columns * width, channels)
    sheet = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    sheet.thumbnail((_SIDE, _SIDE))
    kind = "webp" if features.check("webp") else "png"
    buffer = io.BytesIO()
    sheet.save(buffer, kind, **({"quality": 90, "method": 4} if kind == "webp" else {}))
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
