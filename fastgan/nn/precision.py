"""Which dtype a layer computes in, so that autocast never costs a hidden copy and sums stay in float32."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which a convolution of `x` would run: autocast's where that is on, else `x`'s own."""
    kind = x.device.type
    if x.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return x.dtype
    return torch.get_autocast_dtype(kind)


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on `x`'s device; nothing at all where it is off, so exporters see no context."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32 if it is bfloat16 or float16, else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
