"""How far would a number move with other seeds, and with endlessly many images?

Half-samples: the spread of a score over random halves of n images, drawn without replacement, is its standard error at
n (of the variance s^2 / (n / 2) of a half, the s^2 / n that it shares with the whole is taken off). Nothing is drawn
twice, which a bootstrap does and which nearest neighbours and the unbiased kernel distance do not forgive.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fastgan.metrics.frechet import frechet_distance
from fastgan.metrics.moments import Moments, moments
from fastgan.metrics.summary import Summary

HALVES = 20
SIZES = 10
_NORMAL = 1.96  # 95 % of a normal distribution
_SEED = 2020


def half_widths(score: Callable[[Summary], dict[str, float]], generated: Summary) -> dict[str, float]:
    """Half the width of a 95 % interval about each of `score(generated)`, for new seeds and the same reference."""
    random = torch.Generator().manual_seed(_SEED)
    scores: list[dict[str, float]] = []
    for _ in range(HALVES):
        scores.append(score(_subset(generated, generated.n // 2, random)))
    return {name: _NORMAL * float(np.std([each[name] for each in scores], ddof=1)) for name in scores[0]}


def frechet_distance_at_infinity(real: Moments, generated: Tensor) -> float:
    """The Frechet distance extrapolated to endlessly many generated images (Chong & Forsyth 2020, section 3).

    A straight line in 1 / n through the distances of subsets of generated [N, D], from N / 4 to N images; where it
    meets 1 / n = 0. What the finite number of real images adds stays.
    """
    random = torch.Generator().manual_seed(_SEED)
    sizes = np.linspace(len(generated) / 4, len(generated), SIZES).round().astype(int)
    distances = [
        frechet_distance(real, moments(generated[torch.randperm(len(generated), generator=random)[:size]]))
        for size in sizes
    ]
    _slope, at_zero = np.polyfit(1 / sizes, distances, 1)
    return float(at_zero)


def _subset(whole: Summary, size: int, random: torch.Generator) -> Summary:
    """The same random `size` images in every space; moments are of the kept features then."""
    rows = torch.randperm(len(next(iter(whole.features.values()))), generator=random)[:size]
    features = {space: kept[rows] for space, kept in whole.features.items()}
    return replace(
        whole,
        n=size,
        features=features,
        moments={space: moments(features[space]) for space in whole.moments},
    )
