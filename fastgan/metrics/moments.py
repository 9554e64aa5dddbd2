"""Mean and covariance of features that stream by, in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.brief import brief
from fastgan.errors import MetricError
from fastgan.metrics.checks import check_finite


@dataclass(frozen=True, eq=False)
class Moments:
    """The first two moments of n feature vectors."""

    __repr__ = brief

    n: int
    mean: Tensor
    """float64 [D]"""
    covariance: Tensor
    """float64 [D, D], normalised by n - 1"""

    def __post_init__(self) -> None:
        if self.n < 2:
            raise MetricError(f"a covariance needs at least 2 images, and there are {self.n}.")


class Streaming:
    """Moments of batches, one after the other: what is kept does not grow with the number of images.

    Two passes over each batch, then the pairwise update of Chan, Golub & LeVeque (1979, eq. 2.1), which stays accurate
    where a running sum of squares cancels.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, features: Tensor, what: str = "given") -> None:
        """Take in features [N, D]; MetricError where one is NaN or infinite."""
        check_finite(features, what)
        batch = features.double()
        n, mean = len(batch), batch.mean(0)
        if not n:
            return
        if not self.n:
            self.mean = torch.zeros_like(mean)
            self.scatter = mean.new_zeros(len(mean), len(mean))
        centred, delta = batch - mean, mean - self.mean
        total = self.n + n
        self.scatter += centred.T @ centred + torch.outer(delta, delta) * (self.n * n / total)
        self.mean = self.mean + delta * (n / total)
        self.n = total

    def result(self) -> Moments:
        """The moments of all that was added, on the CPU; MetricError below 2 images."""
        return Moments(self.n, self.mean.cpu(), (self.scatter / max(self.n - 1, 1)).cpu())


def moments(features: Tensor) -> Moments:
    """Moments of features [N, D]."""
    stream = Streaming()
    stream.add(features)
    return stream.result()
