"""What paired seeds say: means with intervals, paired tests, and Holm's correction for having tested many.

Arms of one seed share their real training images and their first weights, and those that train on the same images the
order of batches too, so their difference is free of what these do to both: it is the differences that are tested.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastgan.errors import FastganError

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds and its interval."""

    mean: float
    low: float
    high: float
    p_value: float
    """Of the mean being 0, by a two-sided t-test"""
    n: int


def estimate(values: Sequence[float], grain: float = 0.0) -> Estimate:
    """Mean, 95 % interval of Student's t, and p-value of `values`, one a seed. One seed: an interval without end.

    grain: the steps that values come in, 1 / test images: seeds that agree by rounding are not taken for certainty.
    """
    stats = _stats()
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return Estimate(mean=mean, low=-math.inf, high=math.inf, p_value=1.0, n=n)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    error = max(spread, grain / math.sqrt(12)) / math.sqrt(
        n
    )  # that of what is rounded to the grain, at least
    if error < 1e-12:
        return Estimate(mean=mean, low=mean, high=mean, p_value=1.0 if abs(mean) < 1e-12 else 0.0, n=n)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * error
    p_value = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Estimate(mean=mean, low=mean - half, high=mean + half, p_value=p_value, n=n)


def paired(a: Sequence[float], b: Sequence[float], grain: float = 0.0) -> Estimate:
    """Of a - b, seed by seed: scipy's ttest_rel."""
    return estimate([x - y for x, y in zip(a, b, strict=True)], grain)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: the k-th smallest of m times m - k + 1, made ascending, at most 1."""
    m, highest = len(p_values), 0.0
    adjusted = [0.0] * m
    for rank, index in enumerate(sorted(range(m), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise FastganError("fastgan augment needs scipy: pip install scipy") from error
    return stats
