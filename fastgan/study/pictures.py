"""Pictures of what a GAN made, as data: addresses: sheets by class, and the training images that are nearest."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastgan.pages.images import address
from fastgan.study.labelled import Labelled
from fastgan.study.task import Task

COLUMNS = 12
PAIRS = 16


def sheet(task: Task, images: Labelled) -> str:
    """A row for each class or attribute, with the first images that have it."""
    rows = []
    for k in range(task.outputs):
        own = images.images[task.members(images.targets)[:, k]][:COLUMNS]
        rows.append(_filled(own, COLUMNS, images.images))
    return _png_address(_tiled(rows))


def nearest(made: Labelled, real: Labelled, describe: Callable[[Tensor], Tensor]) -> tuple[str, float]:
    """The PAIRS of made images closest to a training image, above these; and the mean cosine of all to the nearest."""
    ours, theirs = (_directions(describe(part.images)) for part in (made, real))
    found = (ours @ theirs.T).max(1)
    closest = found.values.argsort(descending=True)[:PAIRS]
    rows = [made.images[closest], real.images[found.indices[closest]]]
    return _png_address(_tiled([_filled(row, PAIRS, made.images) for row in rows])), float(
        found.values.mean()
    )


def _directions(features: Tensor) -> Tensor:
    return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)


def _filled(images: Tensor, count: int, like: Tensor) -> Tensor:
    missing = torch.full((count - len(images), *like.shape[1:]), 255, dtype=torch.uint8)
    return torch.cat([images, missing])


def _tiled(rows: list[Tensor]) -> np.ndarray:
    """Rows of uint8 [n, S, S, C] -> one image with a white gap of 2 between."""
    side, channels = rows[0].shape[1], rows[0].shape[3]
    gap = 2
    out = np.full((len(rows) * (side + gap), len(rows[0]) * (side + gap), channels), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row.numpy()):
            out[i * (side + gap) :, j * (side + gap) :][:side, :side] = image
    return out


def png(image: np.ndarray) -> bytes:
    """uint8 [H, W, C] of 1, 3 or 4 channels as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def _png_address(image: np.ndarray) -> str:
    return address(png(image), "png")
