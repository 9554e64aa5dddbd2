"""Figures that show what a generator has learnt: walks between seeds, and styles mixed as in the paper."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import ConfigError
from fastgan.inference.conditions import Request
from fastgan.inference.folder import OutputFolder, disk_errors
from fastgan.inference.grid import check_sheet, contact_sheet
from fastgan.inference.runtime import Runtime
from fastgan.inference.video import MOVIES, open_movie
from fastgan.inference.writers import write_png
from fastgan.seeds import latents

Advance = Callable[[int], None]
STEPS = 8  # images a row of the strip, both ends included
BANDS = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}
"""Layers whose styles are swapped together (Karras et al. 2019, figure 3): 4 to 8 px, 16 to 32 px, 64 px and above."""
_GAP = 4  # pixels between what is mixed and what it is mixed of


class Walk:
    """A way through the images of seeds: at t = 0, 1, 2, ... it is at each in turn; after the last, at the first again.

    In w, where a model has styles, straight; else on the sphere that z lies on (slerp), with conditions blended
    linearly. Differences in w are what the image is made of, so that a straight way there is the shorter (Karras
    et al. 2019, section 4.1).
    """

    def __init__(self, runtime: Runtime, seeds: Sequence[int], request: Request) -> None:
        self._runtime, self._request = runtime, request
        self._z, self._c = latents(seeds, runtime.z_dim), runtime.conditions(seeds, request)
        self.in_w = runtime.has_styles
        self._w = runtime.styles(self._z, self._c, request) if self.in_w else None
        # One draw for all: noise of its own in every frame would flicker.
        self._noise = runtime.noise(seeds[:1], request)

    def images(self, times: Sequence[float]) -> NDArray[np.uint8]:
        """The images at some times: uint8 [n, H, W, C]."""
        count = len(self._z)
        a = np.floor(times).astype(int) % count
        b, t = (a + 1) % count, np.mod(times, 1).astype(np.float32)
        if self._w is not None:
            return self._runtime.synthesise(_lerp(self._w[a], self._w[b], t), self._noise)
        c = None if self._c is None else _lerp(self._c[a], self._c[b], t)
        psi, cutoff = self._request.truncation_psi, self._request.truncation_cutoff
        return self._runtime.generate(slerp(self._z[a], self._z[b], t), c, psi, cutoff, self._noise)


def _lerp(a: NDArray[np.float32], b: NDArray[np.float32], t: NDArray[np.float32]) -> NDArray[np.float32]:
    """a + t (b - a), row by row, exact where a row does not change."""
    return a + t.reshape(-1, *[1] * (a.ndim - 1)) * (b - a)


def slerp(a: NDArray[np.float32], b: NDArray[np.float32], t: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spherical interpolation of rows (Shoemake 1985): the norm stays that of a normal z, which a straight line loses.

    a, b: float32 [n, z_dim]; t: [n] in [0, 1] -> float32 [n, z_dim]. Nearly parallel rows are blended linearly.
    """
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a.astype(np.float64) * b).sum(1) / np.maximum(norms, np.finfo(np.float32).tiny)
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.sin(angle)
    straight = sine < 1e-4
    sine = np.where(straight, 1, sine)
    from_a = np.where(straight, 1 - t, np.sin((1 - t) * angle) / sine)
    from_b = np.where(straight, t, np.sin(t * angle) / sine)
    mixed: NDArray[np.float32] = (from_a[:, None] * a + from_b[:, None] * b).astype(np.float32)
    return mixed


def write_interpolation(
    runtime: Runtime,
    seeds: Sequence[int],
    folder: OutputFolder,
    formats: Sequence[str],
    *,
    frames: int,
    request: Request,
    advance: Advance,
) -> list[Path]:
    """Write OUT/interpolation.png (a row from each seed to the next), .gif or .mp4, as `formats` has it.

    The moving ones go through all seeds and back to the first, `frames` from one to the next, and can be looped.
    Returns their paths.
    """
    walk = Walk(runtime, seeds, request)
    paths = [folder.path / f"interpolation.{name}" for name in formats]
    strip, moving = [[p for p in paths if (p.suffix[1:] in MOVIES) == wanted] for wanted in (False, True)]
    for path in strip:
        rows = [walk.images(np.linspace(k, k + 1, STEPS).tolist()) for k in range(len(seeds) - 1)]
        advance(STEPS * len(rows))
        with disk_errors(path):
            write_png(path, contact_sheet(np.concatenate(rows), STEPS))
    if moving:
        with disk_errors(folder.path), ExitStack() as stack:
            movies = [stack.enter_context(open_movie(path, runtime.resolution)) for path in moving]
            for images in _frames(walk, len(seeds), frames, runtime.batch):
                for movie, image in itertools.product(movies, images):
                    movie.append(image)
                advance(len(images))
    return paths


def _frames(walk: Walk, legs: int, frames: int, batch: int) -> Iterator[NDArray[np.uint8]]:
    """All frames of the round trip, a batch at a time."""
    times = [leg + k / frames for leg in range(legs) for k in range(frames)]
    for start in range(0, len(times), batch):
        yield walk.images(times[start : start + batch])


def check_interpolation(
    runtime: Runtime, seeds: Sequence[int], request: Request, formats: Sequence[str]
) -> None:
    """Raise ConfigError where there is no way between the seeds, or the strip would be too large."""
    if len(seeds) < 2:
        raise ConfigError("an interpolation goes from one seed to the next: give at least two seeds.")
    if "png" in formats:
        check_sheet(len(seeds) - 1, STEPS, runtime.resolution)
    c = runtime.conditions(seeds, request)
    if c is not None and not runtime.has_styles:
        runtime.check_conditions((c + np.roll(c, -1, axis=0)) * np.float32(0.5))


def check_style_mix(runtime: Runtime, columns: int, rows: int) -> None:
    """Raise ConfigError where a model has no styles to mix, or the sheet would be too large."""
    if not runtime.has_styles:
        raise runtime.no_styles()
    check_sheet(1 + rows * len(bands(runtime.facts.layers)), 1 + columns, runtime.resolution)


def bands(layers: int) -> dict[str, slice]:
    """The layers of coarse, middle and fine styles, as far as a model of so many layers has them."""
    return {name: slice(*ends) for name, ends in BANDS.items() if ends[0] < layers}


def write_style_mix(
    runtime: Runtime,
    columns: Sequence[int],
    rows: Sequence[int],
    folder: OutputFolder,
    *,
    request: Request,
    advance: Advance,
) -> Path:
    """Write OUT/style-mix.png, figure 3 of Karras et al. 2019, and return its path.

    The top row shows the seeds of `columns`, the left column those of `rows`, once for the coarse styles, once for
    the middle and once for the fine. Each image has these styles of its column and all others of its row.
    """
    path = folder.path / "style-mix.png"
    top, left = (
        runtime.styles(latents(seeds, runtime.z_dim), runtime.conditions(seeds, request), request)
        for seeds in (columns, rows)
    )
    noise = runtime.noise(rows[:1], request)  # one draw for all: what differs are the styles
    r, channels = runtime.resolution, runtime.img_channels
    blank = np.full((1, r, r, channels), 255, np.uint8)
    lines = [np.concatenate([blank, runtime.synthesise(top, noise)])]
    own = runtime.synthesise(left, noise)
    for band in bands(runtime.facts.layers).values():
        for k, style in enumerate(left):
            mixed = np.repeat(style[None], len(columns), axis=0)
            mixed[:, band] = top[:, band]
            lines.append(np.concatenate([own[k : k + 1], runtime.synthesise(mixed, noise)]))
            advance(len(columns))
    with disk_errors(path):
        write_png(path, _with_gaps(contact_sheet(np.concatenate(lines), 1 + len(columns)), r, len(rows)))
    return path


def _with_gaps(sheet: NDArray[np.uint8], r: int, rows: int) -> NDArray[np.uint8]:
    """White lines behind the first column, the first row and each band of `rows` rows."""
    below = [r * (1 + k * rows) for k in range((len(sheet) // r - 1) // rows)]
    for axis, places in ((0, below), (1, [r])):
        sheet = np.insert(sheet, np.repeat(places, _GAP), 255, axis=axis)
    return sheet
