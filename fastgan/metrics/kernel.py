"""Kernel distance, KID where the features are Inception's (Binkowski et al. 2018, section 4 and appendix A).

The unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) under the kernel
k(x, y) = (x.y / D + 1)^3. It can come out negative: its expectation is 0 for equal distributions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastgan.metrics.checks import check_widths, checked

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020
_WHOLE = 5000  # images: up to here the kernel is computed once for all pairs, 200 MB a matrix at most


@dataclass(frozen=True)
class KernelDistance:
    """The mean over subsets and the standard deviation between them; how they were drawn."""

    mean: float
    std: float
    subsets: int
    subset_size: int


def kernel_distance(
    real: Tensor,
    generated: Tensor,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = SEED,
) -> KernelDistance:
    """MMD^2 between features [N, D], averaged over random subsets, as published numbers are.

    The subsets are torch-fidelity's, draw for draw. Sets of fewer than `subset_size` images take subsets of half of the
    smaller one. Raises MetricError for fewer than 4 images, and features that are NaN, infinite or all alike.
    """
    check_widths(real, generated)
    real, generated = checked(real, "real", at_least=4), checked(generated, "generated", at_least=4)
    size = fitting(len(real), len(generated), subset_size)
    draws = _subsets(len(generated), len(real), subsets, size, seed)
    if max(len(real), len(generated)) <= _WHOLE:
        rr, gg, rg = _kernel(real, real), _kernel(generated, generated), _kernel(real, generated)
        values = [_mmd2(rr[r][:, r], gg[g][:, g], rg[r][:, g]) for g, r in draws]
    else:
        values = [
            _mmd2(
                _kernel(real[r], real[r]),
                _kernel(generated[g], generated[g]),
                _kernel(real[r], generated[g]),
            )
            for g, r in draws
        ]
    return KernelDistance(float(np.mean(values)), float(np.std(values)), subsets, size)


def fitting(n_real: int, n_generated: int, subset_size: int = SUBSET_SIZE) -> int:
    """The subset size that sets of these sizes get."""
    smaller = min(n_real, n_generated)
    return subset_size if smaller >= subset_size else smaller // 2


def _subsets(
    n_generated: int, n_real: int, subsets: int, size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of the generated and of the real set; numpy promises that RandomState's draws never change."""
    random = np.random.RandomState(seed)
    for _ in range(subsets):
        generated = random.choice(n_generated, size, replace=False)
        real = random.choice(n_real, size, replace=False)
        yield torch.from_numpy(generated), torch.from_numpy(real)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mmd2(rr: Tensor, gg: Tensor, rg: Tensor) -> float:
    """The unbiased estimate from kernel matrices [m, m]: pairs of an image with itself are left out."""
    m = len(rr)
    within = (rr.sum() - rr.trace() + gg.sum() - gg.trace()) / (m * (m - 1))
    return float(within - 2 * rg.mean())
