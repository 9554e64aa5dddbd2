"""What an op is tested and timed on: named input makers that know neither device nor dtype."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


class Maker:
    """Makes a case's inputs on one device, in one dtype and memory format, from one seed."""

    def __init__(
        self,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        memory_format: torch.memory_format = torch.contiguous_format,
        requires_grad: bool = False,
        seed: int = 0,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.memory_format = memory_format
        self.requires_grad = requires_grad
        self._rng = torch.Generator().manual_seed(seed)

    def _leaf(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        return tensor.to(self.device, dtype).requires_grad_(self.requires_grad)

    def image(self, *shape: int) -> Tensor:
        """An activation: normal values off zero, in the maker's dtype and memory format."""
        values = torch.randn(shape, generator=self._rng, dtype=torch.float64)
        values = (
            values + 0.01 * values.sign()
        )  # clear of the kink of leaky ReLU, where gradcheck is not defined
        if len(shape) == 4:
            values = values.contiguous(memory_format=self.memory_format)
        return self._leaf(values, self.dtype)

    def parameter(self, *shape: int) -> Tensor:
        """A small parameter (style, bias): kept in float32 while activations are bf16 or fp16, as in training."""
        values = 0.5 * torch.randn(shape, generator=self._rng, dtype=torch.float64)
        return self._leaf(values, accumulation_dtype(self.dtype))

    def uniform(self, *shape: int) -> Tensor:
        """Values in [0, 1), in the accumulation dtype."""
        values = torch.rand(shape, generator=self._rng, dtype=torch.float64)
        return self._leaf(values, accumulation_dtype(self.dtype))


@dataclass(frozen=True)
class Case:
    """One call of an op: `op(*inputs(maker), **kwargs)`."""

    id: str
    inputs: Callable[[Maker], tuple[Any, ...]]
    kwargs: dict[str, Any] = field(default_factory=dict)


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Sums, statistics and small parameters: float64 for float64, float32 for every other dtype."""
    return torch.float64 if dtype == torch.float64 else torch.float32
