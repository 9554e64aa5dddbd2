"""What people did before GANs, under the same protocol: does the generator beat it?

Each baseline has `sample(start, n) -> uint8 [n, H, W, C]`, as a generator has, and image i depends on i alone.
- augmentation: training images, flipped, turned, scaled, shifted and recoloured a little;
- gaussian: a normal distribution in the space of the principal components;
- mixture: a Gaussian mixture there (needs scikit-learn);
- patches: each cell of a grid from another training image, at its own place.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.errors import MetricError

Sample = Callable[[int, int], Tensor]
VARIANCE = 0.98  # that the principal components keep
MOST_COMPONENTS = 256
MIXTURE = 16  # Gaussians
GRID = 8  # patches a side
_FITTED = 5000  # images at most that the principal components are found from


def augmentation(images: Tensor) -> Sample:
    """Flip, turn by 10 degrees, scale by 10 %, shift by 6 %, brightness and contrast by 15 %, each at most."""

    def sample(start: int, n: int) -> Tensor:
        made = []
        for index in range(start, start + n):
            random = torch.Generator().manual_seed(index)
            row = int(torch.randint(len(images), (), generator=random))
            angle, scale, dx, dy, bright, contrast, side = (2 * torch.rand(7, generator=random) - 1).tolist()
            turn, zoom = math.radians(10 * angle), 1.1**scale
            cos, sin, flip = zoom * math.cos(turn), zoom * math.sin(turn), 1 if side < 0 else -1
            matrix = torch.tensor([[flip * cos, -sin, 0.12 * dx], [flip * sin, cos, 0.12 * dy]])
            x = images[row].permute(2, 0, 1).float()[None]
            grid = F.affine_grid(matrix[None], list(x.shape), align_corners=False)
            x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
            x = (x - x.mean()) * (1 + 0.15 * contrast) + x.mean() * (1 + 0.15 * bright)
            made.append(x[0].permute(1, 2, 0))
        return _bytes(torch.stack(made))

    return sample


class _Components:
    """Images as coordinates along their principal components."""

    def __init__(self, images: Tensor) -> None:
        some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:_FITTED]
        flat = images[some].flatten(1).float()
        self.shape = tuple(images.shape[1:])
        self.mean = flat.mean(0)
        centred = flat - self.mean
        # The smaller of the two Gram matrices has the same spectrum.
        eigenvalues, vectors = torch.linalg.eigh((centred @ centred.T).double())
        share = eigenvalues.flip(0).cumsum(0) / eigenvalues.sum()
        count = min(int((share < VARIANCE).sum()) + 1, MOST_COMPONENTS)
        deviations = eigenvalues[-count:].clamp(min=1e-9).sqrt()
        self.axes = (vectors[:, -count:] / deviations).float().T @ centred  # [count, H W C], orthonormal
        self.coordinates = centred @ self.axes.T  # [N, count]

    def images(self, coordinates: Tensor) -> Tensor:
        return _bytes((coordinates.float() @ self.axes + self.mean).unflatten(1, self.shape))


def gaussian(images: Tensor) -> Sample:
    """A normal distribution over the principal components that hold VARIANCE of the variance."""
    space = _Components(images)
    return lambda start, n: space.images(_normal(start, n, space.axes.shape[0]) * space.coordinates.std(0))


def mixture(images: Tensor) -> Sample:
    """MIXTURE Gaussians with diagonal covariances there. MetricError where scikit-learn is not installed."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise MetricError("the baseline mixture needs scikit-learn: pip install scikit-learn.") from error
    space = _Components(images)
    count = min(MIXTURE, len(images) // 2)
    fitted = GaussianMixture(count, covariance_type="diag", random_state=0, reg_covar=1e-3).fit(
        space.coordinates.double().numpy()
    )
    means, deviations = (torch.from_numpy(a) for a in (fitted.means_, np.sqrt(fitted.covariances_)))
    shares = torch.from_numpy(fitted.weights_).cumsum(0)

    def sample(start: int, n: int) -> Tensor:
        noise = _normal(start, n, means.shape[1] + 1)  # the last one chooses the Gaussian
        chosen = torch.bucketize(torch.special.ndtr(noise[:, -1]), shares).clamp(max=count - 1)
        return space.images(means[chosen] + deviations[chosen] * noise[:, :-1])

    return sample


def patches(images: Tensor) -> Sample:
    """A GRID x GRID mosaic of training images."""
    side = images.shape[1]
    edges = torch.linspace(0, side, min(GRID, side) + 1).round().long()
    cell = torch.bucketize(torch.arange(side), edges[1:], right=True)  # [side]: which of the cells
    y, x = torch.arange(side)[:, None], torch.arange(side)[None]

    def sample(start: int, n: int) -> Tensor:
        made = []
        for index in range(start, start + n):
            random = torch.Generator().manual_seed(index)
            rows = torch.randint(len(images), (len(edges) - 1, len(edges) - 1), generator=random)
            made.append(images[rows[cell[:, None], cell[None]], y, x])
        return torch.stack(made)

    return sample


BASELINES: dict[str, Callable[[Tensor], Sample]] = {
    "augmentation": augmentation,
    "gaussian": gaussian,
    "mixture": mixture,
    "patches": patches,
}


def _normal(start: int, n: int, width: int) -> Tensor:
    """float64 [n, width]; row i depends on start + i alone."""
    return torch.stack(
        [
            torch.randn(width, generator=torch.Generator().manual_seed(index), dtype=torch.float64)
            for index in range(start, start + n)
        ]
    )


def _bytes(pixels: Tensor) -> Tensor:
    return pixels.round().clamp(0, 255).to(torch.uint8)
