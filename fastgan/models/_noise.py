"""Pixel noise of generators that take some: a plane a layer, fresh while training, constant afterwards."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastgan import draws

Shape = tuple[int, int, int, int]


def add_constants(generator: nn.Module, shapes: Sequence[Shape]) -> None:
    """The buffers `noise_const_<k>`, which make a trained generator's images the same for the same latent."""
    for k, shape in enumerate(shapes):
        generator.register_buffer(f"noise_const_{k}", torch.randn(shape))


def planes(generator: nn.Module, shapes: Sequence[Shape], like: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """One [N, 1, h, w] a layer from a single draw in train mode, N that of `like`; in eval mode the constants."""
    if not generator.training:
        return [generator.get_buffer(f"noise_const_{k}").to(dtype) for k in range(len(shapes))]
    whole = draws.whole(len(like))
    counts = [whole * height * width for _, _, height, width in shapes]
    drawn = torch.randn(sum(counts), device=like.device).to(dtype).split(counts)
    return [draws.mine(part.view(whole, *shape[1:])) for part, shape in zip(drawn, shapes, strict=True)]
