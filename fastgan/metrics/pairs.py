"""A picture of generated images beside the training images closest to them."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fastgan.files import atomic_write
from fastgan.metrics.memorisation import Audit

ROWS, COLUMNS = 8, 2
_GAP = 4  # white pixels between pairs
_LEAST = 64  # smaller images are enlarged to about this


def write_pairs(path: Path, audit: Audit, generated: Tensor, train: Tensor) -> None:
    """Write a PNG of the closest ROWS * COLUMNS: the generated image, nearest in features, nearest in pixels.

    generated, train: uint8 [N, H, W, C], as they were audited.
    """
    enlarge = max(1, _LEAST // generated.shape[1])
    cells = []
    for index in audit.closest[: ROWS * COLUMNS].tolist():
        by_features, by_pixels = (space.generated.nearest[index] for space in (audit.features, audit.pixels))
        three = torch.cat([generated[index], train[by_features], train[by_pixels]], 1)  # [H, 3 W, C]
        cells.append(three.repeat_interleave(enlarge, 0).repeat_interleave(enlarge, 1))
    height, width, channels = cells[0].shape
    rows = -(-len(cells) // COLUMNS)
    sheet = torch.full((rows * (height + _GAP), COLUMNS * (width + _GAP), channels), 255, dtype=torch.uint8)
    for number, cell in enumerate(cells):
        y, x = (number // COLUMNS) * (height + _GAP), (number % COLUMNS) * (width + _GAP)
        sheet[y : y + height, x : x + width] = cell
    with atomic_write(path) as temporary:
        Image.fromarray(sheet.squeeze(2).numpy() if channels == 1 else sheet.numpy()).save(temporary)
