"""Images that a run was trained on, as a sheet to hold its samples against."""

import math
from dataclasses import dataclass
from typing import Any

from fastgan.pages.images import small_address

MOST = 64  # images


@dataclass(frozen=True)
class Real:
    """Some of a run's training images, or why there are none to show."""

    words: str
    """What they are, or why they are not there, in a sentence."""
    images: Any = None
    """uint8 numpy [N, H, W, C], at most MOST."""

    def sheet(self) -> str | None:
        """The images in reading order, about as many rows as columns, as a data: address; None where there are none."""
        if self.images is None:
            return None
        import numpy as np
        from PIL import Image

        n, height, width, channels = self.images.shape
        columns = max(math.isqrt(n), 1)
        rows = -(-n // columns)
        cells = np.zeros((rows * columns, height, width, channels), np.uint8)
        cells[:n] = self.images
        tiled = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
        pixels = tiled.reshape(rows * height, columns * width, channels)
        return small_address(Image.fromarray(pixels[..., 0] if channels == 1 else pixels))
