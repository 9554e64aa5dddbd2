"""Translation by whole pixels, zeros (middle grey) moving in (Zhao et al. 2020, "translation").

torch's own gather would be differentiated into a scatter, which is slow and, on CUDA, not deterministic. But what
moves an image back is the adjoint of what moved it: one copy of rows serves every order.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from fastgan.diffaug import _draw

RANGE = 1 / 8
"""Of the image's height and width, to either side."""


def translate(images: Tensor, down: Tensor, right: Tensor, reach: tuple[int, int]) -> Tensor:
    """Move `images` [N, C, H, W] by `down` and `right` pixels, int64 [N, 1, 1, 1], at most `reach` (down, right)."""
    return _Translate.apply(images, down, right, reach)


class _Translate(Function):
    """out[n, c, i, j] = images[n, c, i - down[n], j - right[n]], 0 beyond the edges."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, down: Tensor, right: Tensor, reach: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(down, right)
        ctx.reach = reach
        n, c, h, w = images.shape
        high, wide = reach
        padded = F.pad(images, (wide, wide, high, high)).contiguous()
        # Each row of the output is `w` consecutive numbers of `padded`: where do they start?
        planes = torch.arange(n * c, device=images.device).view(n, c, 1, 1) * (h + 2 * high)
        rows = planes + high + torch.arange(h, device=images.device)[:, None] - down  # [N, C, H, 1]
        starts = rows * (w + 2 * wide) + wide - right
        return padded.flatten().unfold(0, w, 1).index_select(0, starts.flatten()).view(n, c, h, w)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        down, right = ctx.saved_tensors
        return _Translate.apply(g, -down, -right, ctx.reach), None, None, None


def augment(images: Tensor, p: _draw.Probability) -> Tensor:
    """Move each of `images` [N, C, H, W] with probability `p`, by any whole number of pixels up to the range."""
    chosen = _draw.chosen(images, p)
    high, wide = (round(size * RANGE) for size in images.shape[2:])
    down, right = _draw.integer(images, high), _draw.integer(images, wide)
    return translate(images, down.where(chosen, 0), right.where(chosen, 0), (high, wide))
