"""A generator for the tests of conditions: its images show what they were asked for.

Read row by row, the first z_dim pixels show z and the next show c, an entry of 0 as -1 and of 1 as 1; the rest is grey.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastgan.models._config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    resolution: int = 8
    img_channels: int = 1
    z_dim: int = 8
    classes: int = 0
    attributes: int = 0


class Generator(nn.Module):
    has_truncation = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim = config.z_dim
        self.condition_dim = config.classes + 2 * config.attributes
        self.noise_shapes: list[tuple[int, int, int, int]] = []
        self.gain = nn.Parameter(torch.full((), 0.25))

    def forward(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: object = 1.0, noise: object = None
    ) -> Tensor:
        if (c is None) == bool(self.condition_dim):
            raise ValueError("c is missing")
        pixels = [z * self.gain]
        if c is not None:
            pixels.append(2 * c - 1)
        rest = self.config.resolution**2 - sum(p.shape[1] for p in pixels)
        flat = nn.functional.pad(torch.cat(pixels, 1), (0, rest))
        return flat.view(-1, 1, self.config.resolution, self.config.resolution)
