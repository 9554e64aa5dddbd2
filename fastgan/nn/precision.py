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


def has_fast_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bf16 matrices in hardware; elsewhere bf16 is emulated and slow."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, so they may be absent
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names)
