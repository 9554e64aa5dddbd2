"""Classical augmentation: what is done to the training images of a classifier, and which of it suits the data.

A digit is no longer itself when it is mirrored, a solar cell is; so the recipe is chosen on validation images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How far an image may be changed; each change is uniform up to its limit, both ways."""

    name: str
    turn: float = 0.0
    """Degrees"""
    zoom: float = 0.0
    """Scale by 1 / (1 + zoom) to 1 + zoom"""
    shift: float = 0.0
    """Share of the side: with `zoom` this is a random crop"""
    flip: bool = False
    """Left to right, half of the time"""
    jitter: float = 0.0
    """Brightness added (of a range of 2) and contrast multiplied"""

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """images float32 [N, C, H, W] in [-1, 1] -> the same shape; `random` is on the CPU. Mirrored beyond edges."""
        n = len(images)
        draws = (2 * torch.rand(n, 7, generator=random) - 1).to(images.device)
        angle = math.radians(self.turn) * draws[:, 0]
        size = (1 + self.zoom) ** draws[:, 1]
        side = torch.where(draws[:, 2] < 0, -1.0, 1.0) if self.flip else torch.ones_like(size)
        cos, sin = angle.cos() / size, angle.sin() / size
        dx, dy = 2 * self.shift * draws[:, 3], 2 * self.shift * draws[:, 4]
        matrix = torch.stack(
            [torch.stack([side * cos, -side * sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1
        )  # [N, 2, 3]
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        if not self.jitter:
            return moved
        bright, contrast = (self.jitter * draws[:, k, None, None, None] for k in (5, 6))
        colour, alpha = (moved[:, :3], moved[:, 3:]) if moved.shape[1] == 4 else (moved, None)
        mean = colour.mean((1, 2, 3), keepdim=True)
        colour = ((colour - mean) * (1 + contrast) + mean + bright).clamp(-1, 1)
        return colour if alpha is None else torch.cat([colour, alpha], 1)


_FLIP = Recipe(name="flip", flip=True)
_CROP = Recipe(name="crop", shift=0.06)
_TURN = Recipe(name="turn, scale, crop", turn=10.0, zoom=0.12, shift=0.08)
RECIPES = (
    _FLIP,
    Recipe(name="jitter", jitter=0.25),
    replace(_FLIP, name="flip, jitter", jitter=0.25),
    _CROP,
    replace(_CROP, name="crop, flip", flip=True),
    _TURN,
    replace(_TURN, name="turn, scale, crop, flip", flip=True),
    replace(_TURN, name="turn, scale, crop, jitter", jitter=0.25),
    Recipe(name="turn, scale, crop, flip, jitter", flip=True, jitter=0.25, turn=20.0, zoom=0.2, shift=0.12),
)


def choose(score: Callable[[Recipe], float]) -> tuple[Recipe, dict[str, float]]:
    """The recipe with the best score (of equal ones the first), and all scores by name."""
    scores = {recipe.name: score(recipe) for recipe in RECIPES}
    best = max(RECIPES, key=lambda recipe: scores[recipe.name])
    return best, scores


def named(name: str) -> Recipe:
    """The recipe of that name."""
    return next(recipe for recipe in RECIPES if recipe.name == name)
