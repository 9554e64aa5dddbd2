"""What one run of a model is given, ready on the host."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgan.brief import brief

Noise = tuple[NDArray[np.float32], ...]
"""A square a layer, float32 [n or 1, 1, h, w]; one for all images where the first dimension is 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Latents of n images, with what is asked of them."""

    __repr__ = brief

    z: NDArray[np.float32]
    """[n, z_dim]"""
    c: NDArray[np.float32] | None = None
    """[n, condition_dim]: one-hot label, attribute values (0: unknown), 1 where known; None for a model without."""
    noise: Noise | None = None
    """None: the constant noise that is stored with the model."""
    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: NDArray[np.intp]) -> "Inputs":
        """Those of some rows."""
        return replace(
            self,
            z=self.z[rows],
            c=None if self.c is None else self.c[rows],
            noise=None if self.noise is None else take_noise(self.noise, rows),
        )

    def parts(self, size: int, grain: int | None = None) -> Iterator["Inputs"]:
        """All of them, `size` at a time; the last part is filled as in `parts`."""
        for rows in parts(len(self), size, grain):
            yield self.take(rows)


def take_noise(noise: Noise, rows: NDArray[np.intp]) -> Noise:
    """The noise of some rows."""
    return tuple(plane if len(plane) == 1 else plane[rows] for plane in noise)


def parts(count: int, size: int, grain: int | None = None) -> Iterator[NDArray[np.intp]]:
    """The rows 0 ... count - 1, `size` at a time, the last part filled with repetitions of its rows.

    grain: it is filled to a multiple of this, at most `size`; None: to `size`.
    """
    for start in range(0, count, size):
        rows = np.arange(start, min(start + size, count))
        whole = size if grain is None else min(size, -(-len(rows) // grain) * grain)
        yield np.resize(rows, whole)
