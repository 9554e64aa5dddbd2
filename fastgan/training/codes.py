"""Latents for real images, from which the generator learns to reconstruct them, first alone and then now and then.

An adversary teaches a generator little in its first minutes, and does not ask for the kinds of images that are missing.
A regression from latents to images does both (GLO, Bojanowski et al. 2018, which learns the latents too). Here a latent
is the image's first principal components, whitened, so that it is distributed about as the latents that images are
generated from, with noise mixed in:

    z = sqrt(SHARE) V^T (x - mean) / std + sqrt(1 - SHARE) n,   n ~ N(0, I)

The noise keeps the generator smooth around each image, and from learning images by heart.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import draws
from fastgan.data import Dataset

SHARE = 0.8
"""Of a latent's variance, what is the image's."""
_SIDE = 32
"""Pixels at most of what principal components are taken of"""
_IMAGES = 8192
"""Images at most, evenly spread over the set"""


class Codes(nn.Module):
    """Images [N, C, R, R] in [-1, 1] -> latents [N, z_dim]. Components beyond those that the images have are noise.

    Those of fewer pixels, as a growing generator makes them, are enlarged.
    """

    mean: Tensor
    """[F], F = C * r * r values of an image made r = min(R, 32) pixels wide"""
    components: Tensor
    """[F, z_dim], each divided by the standard deviation along it; zero where there is none"""

    def __init__(self, dataset: Dataset, z_dim: int, held: Tensor | None = None) -> None:
        """held: int64 [H], images of `dataset` that are not looked at."""
        super().__init__()
        self.side = min(dataset.resolution, _SIDE)
        rows = torch.arange(len(dataset))
        if held is not None and len(held):
            rows = rows[~torch.isin(rows, held)]
        chosen = rows[torch.linspace(0, len(rows) - 1, min(len(rows), _IMAGES)).long()]
        images = torch.cat(
            [_small(dataset.images[part].movedim(-1, 1) / 127.5 - 1, self.side) for part in chosen.split(256)]
        )
        mean = images.mean(0)
        images = images - mean
        count = min(z_dim, *images.shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # pca_lowrank starts from random directions
            _, singular, directions = torch.pca_lowrank(images, count, center=False, niter=4)
        std = singular / len(images) ** 0.5
        components = torch.where(std > 1e-4 * std[:1], directions / std, 0.0)  # [F, count]
        self.register_buffer("mean", mean)
        self.register_buffer("components", F.pad(components, (0, z_dim - count)))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Another latent of the same images at every call, float32."""
        code = (_small(images.float(), self.side) - self.mean) @ self.components
        noise = draws.normal(len(images), code.shape[1], device=images.device)
        known = (self.components != 0).any(0)
        return torch.where(known, SHARE**0.5 * code + (1 - SHARE) ** 0.5 * noise, noise)


def _small(images: Tensor, side: int) -> Tensor:
    """[N, C, R, R] -> [N, C * side * side], by means of squares of pixels; where R is less, each pixel is repeated."""
    if images.shape[-1] < side:
        return F.interpolate(images, size=(side, side)).flatten(1)
    return F.avg_pool2d(images, images.shape[-1] // side).flatten(1)
