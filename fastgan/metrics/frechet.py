"""Frechet distance between two sets of features: FID, where the features are Inception's.

    d^2 = |mu_r - mu_g|^2 + Tr(S_r + S_g - 2 (S_r S_g)^(1/2))          (Heusel et al. 2017, eq. 6; Dowson & Landau 1982)

With S_r = A A^T and S_g = B B^T, the eigenvalues of S_r S_g are the squared singular values of A^T B, so

    Tr (S_r S_g)^(1/2) = |A^T B|_*                                     (the nuclear norm: the sum of singular values)

which needs no square root of a matrix that is not symmetric, and so meets no imaginary part to throw away. A is the
centred features over sqrt(n - 1) where there are fewer images than dimensions, else V sqrt(L) of S_r = V L V^T.
Singular values are found to eps times the largest one, where eigenvalues of the product would lose half the digits
in the square root: rank-deficient sets are as exact as others.
"""

import torch
from torch import Tensor

from fastgan.errors import MetricError
from fastgan.metrics.checks import check_widths, checked
from fastgan.metrics.moments import Moments, moments


def frechet_distance(real: Tensor | Moments, generated: Tensor | Moments) -> float:
    """d^2 between features [N, D], or their moments; both in the same feature space.

    Biased upwards in small sets, by a term of the order D / n (Binkowski et al. 2018, section 4). Raises MetricError
    for fewer than 2 images, other widths, and features that are NaN, infinite or all alike.
    """
    mean_r, factor_r = _mean_and_factor(real, "real")
    mean_g, factor_g = _mean_and_factor(generated, "generated")
    check_widths(mean_r, mean_g)
    traces = factor_r.square().sum() + factor_g.square().sum()
    overlap = torch.linalg.svdvals(factor_r.T @ factor_g).sum()
    distance = float((mean_r - mean_g).square().sum() + (traces - 2 * overlap))
    return max(distance, 0.0)  # of equal sets rounding leaves some -1e-16 of the traces


def _mean_and_factor(of: Tensor | Moments, what: str) -> tuple[Tensor, Tensor]:
    """The mean [D], and a factor [D, R] of the covariance: S = factor factor^T."""
    if isinstance(of, Tensor):
        features = checked(of, what)
        n, dimensions = features.shape
        if n < dimensions:
            mean = features.mean(0)
            return mean, (features - mean).T / (n - 1) ** 0.5
        of = moments(features)
    return of.mean, _factor(of.covariance, what)


def _factor(covariance: Tensor, what: str) -> Tensor:
    """V sqrt(L) without the directions in which there is nothing but rounding."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    rounding = eigenvalues[-1] * len(eigenvalues) * torch.finfo(torch.float64).eps
    if not eigenvalues[-1] > 0:
        raise MetricError(f"the {what} features have no variance: the images are all alike.")
    if eigenvalues[0] < -100 * rounding:
        raise MetricError(
            f"the covariance of the {what} features has the eigenvalue {float(eigenvalues[0]):.3g}: it is not one."
        )
    kept = eigenvalues > rounding
    return vectors[:, kept] * eigenvalues[kept].sqrt()
