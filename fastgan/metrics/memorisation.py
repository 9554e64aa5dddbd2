"""Does the generator copy its training images? Distances to the nearest training image, judged by those of real images.

A generated image is close to some training image even if nothing is copied; how close, real images that are not in the
training set show. Where none are held out, each training image against the others stands for them. A generated image
counts as a copy when it lies closer than all but a share ALPHA of those, in features or in pixels.

Distances are relative: to the nearest image, over the mean to the next NEIGHBOURS (Carlini et al. 2023, section 4.2,
do so for diffusion models), so that plain pictures, to which everything is close, are not taken for copies. Pixels are
compared at SIDE px, with the mirrored training images too.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.brief import brief
from fastgan.errors import MetricError

ALPHA = 0.005
NEIGHBOURS = 10
SIDE = 32
FEWEST = 100  # real images: below it the share ALPHA is less than half an image
_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Distances:
    """Of each image to the training set, in one space."""

    __repr__ = brief

    relative: Tensor
    """float64 [M]: to the nearest, over the mean to the NEIGHBOURS that follow"""
    absolute: Tensor
    """float64 [M]: to the nearest"""
    nearest: Tensor
    """int64 [M]: which that is"""


@dataclass(frozen=True, eq=False)
class Space:
    """The audit in one space."""

    __repr__ = brief

    generated: Distances
    real: Distances
    threshold: float
    """The relative distance below which only a share ALPHA of the real images is"""
    p_value: float
    """How probable at least so many generated images below it are, if they are as the real ones are"""

    @property
    def copies(self) -> Tensor:
        """bool [M]."""
        return self.generated.relative < self.threshold


@dataclass(frozen=True, eq=False)
class Audit:
    """The verdict on M generated images."""

    __repr__ = brief

    features: Space
    pixels: Space
    held_out: int | None
    """Real images that were held out; None: each training image against the others"""
    duplicates: int
    """Training images that were set aside because they are in the set more than once"""

    @property
    def closest(self) -> Tensor:
        """int64 [M]: the generated images, those closest to a training image first."""
        return torch.minimum(self.features.generated.relative, self.pixels.generated.relative).argsort()

    @property
    def copies(self) -> Tensor:
        """int64: the generated images that count as copies, closest first."""
        either = self.features.copies | self.pixels.copies
        return self.closest[either[self.closest]]

    @property
    def p_value(self) -> float:
        """Of both spaces together (Bonferroni)."""
        return min(1.0, 2 * min(self.features.p_value, self.pixels.p_value))

    @property
    def expected(self) -> float:
        """How many images would count as copies if none was one, at most."""
        return 2 * ALPHA * len(self.features.generated.relative)

    @property
    def verdict(self) -> str:
        """One sentence."""
        n, found = len(self.features.generated.relative), len(self.copies)
        counted = f"{found} of {n:,} generated images are as close to a training image as copies are"
        if self.p_value < 0.01:
            return f"it copies training images: {counted}, and {self.expected:.0f} would be by chance"
        return f"no sign of copying: {counted}, and {self.expected:.0f} would be by chance"


def audit(
    train: tuple[Tensor, Tensor],
    generated: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor] | None = None,
) -> Audit:
    """Compare sets given as (features [N, D], images uint8 [N, H, W, C]).

    held_out: real images that were not trained on, if there are any. Raises MetricError for fewer than FEWEST real
    images to judge by.
    """
    features, images = train
    unique = _unique(images)
    features, thumbs = features[unique], thumbnails(images[unique])
    real_features, real_thumbs = (
        (features, thumbs) if held_out is None else (held_out[0], thumbnails(held_out[1]))
    )
    if len(real_features) < FEWEST or len(features) < FEWEST:
        raise MetricError(
            f"the audit needs at least {FEWEST} different real images to judge by, and there are "
            f"{min(len(real_features), len(features))}."
        )
    mirrored = thumbs.flip(2)
    own = held_out is None
    spaces = []
    for queries, reals, against in (
        (generated[0], real_features, (features,)),
        (
            thumbnails(generated[1]).flatten(1),
            real_thumbs.flatten(1),
            (thumbs.flatten(1), mirrored.flatten(1)),
        ),
    ):
        ours = _distances(queries, against)
        theirs = _distances(reals, against, leave_out_self=own)
        spaces.append(_judge(ours, theirs, unique))
    return Audit(
        features=spaces[0],
        pixels=spaces[1],
        held_out=None if own else len(real_features),
        duplicates=len(images) - len(unique),
    )


def thumbnails(images: Tensor) -> Tensor:
    """uint8 [N, H, W, C] -> float32 [N, h, w, C] in 0..1, h and w at most SIDE, by averaging."""
    pixels = images.permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-1] > SIDE:
        pixels = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    return pixels.permute(0, 2, 3, 1)


def _unique(images: Tensor) -> Tensor:
    """int64: the first row of each different image. Two copies in the training set are not memory's fault."""
    flat = images.flatten(1).numpy()
    _, first = np.unique([hash(row.tobytes()) for row in flat], return_index=True)
    return torch.from_numpy(np.sort(first))


def _distances(queries: Tensor, against: tuple[Tensor, ...], *, leave_out_self: bool = False) -> Distances:
    """Each query's distances to the union of the sets `against`, whose rows i all are the same training image."""
    queries, sets = queries.double(), [part.double() for part in against]
    k = min(NEIGHBOURS + 1, len(sets[0]) - leave_out_self)
    relative, absolute, nearest = [], [], []
    for start in range(0, len(queries), _ROWS):
        part = queries[start : start + _ROWS]
        distance = torch.stack([torch.cdist(part, other) for other in sets]).amin(0)  # [rows, N]
        if leave_out_self:
            rows = torch.arange(len(part))
            distance[rows, start + rows] = torch.inf
        found = distance.topk(k, largest=False)
        relative.append(found.values[:, 0] / found.values[:, 1:].mean(1).clamp(min=1e-12))
        absolute.append(found.values[:, 0])
        nearest.append(found.indices[:, 0])
    return Distances(torch.cat(relative), torch.cat(absolute), torch.cat(nearest))


def _judge(generated: Distances, real: Distances, rows: Tensor) -> Space:
    """Thresholds and p-value; `rows` are the training images' numbers before duplicates were set aside."""
    ordered = real.relative.sort().values
    rank = max(1, round(ALPHA * len(ordered)))
    threshold = float(ordered[rank - 1])
    below = int((generated.relative < threshold).sum())
    ours = Distances(generated.relative, generated.absolute, rows[generated.nearest])
    return Space(ours, real, threshold, p_at_least(below, len(generated.relative), rank, len(ordered)))


def p_at_least(k: int, m: int, rank: int, h: int) -> float:
    """P(at least k of m values lie below the rank-th smallest of h others), all m + h drawn alike.

    Exact whatever the distribution: of the smallest k + rank - 1 of all, at most rank - 1 are of the h
    (hypergeometric).
    """
    drawn = k + rank - 1

    def log_choose(n: int, r: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(r + 1) - math.lgamma(n - r + 1)

    total = log_choose(m + h, drawn)
    terms = [
        math.exp(log_choose(h, j) + log_choose(m, drawn - j) - total)
        for j in range(max(0, drawn - m), min(rank - 1, h, drawn) + 1)
    ]
    return min(1.0, sum(terms))
