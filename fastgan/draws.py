"""Random numbers of a batch of which a call sees a share: the same ones however the batch is cut.

Training cuts a batch among processes, and in each of them into micro-batches. A share draws what the whole batch
would, and keeps its own rows: then training on the shares is training on the batch. Outside `share` a batch is whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_share = (0, 1)  # for all threads: backward passes, which may draw again, run in threads of their own


@contextmanager
def share(index: int, of: int) -> Iterator[None]:
    """Calls within see share `index` of `of` equal shares of their batch."""
    global _share  # noqa: PLW0603
    before, _share = _share, (index, of)
    try:
        yield
    finally:
        _share = before


def whole(n: int) -> int:
    """Samples of the batch of which this share has `n`."""
    return n * _share[1]


def mine(drawn: Tensor) -> Tensor:
    """This share's rows of what was `drawn` for the batch: [whole(n), ...] -> [n, ...], a view."""
    index, of = _share
    return drawn if of == 1 else drawn.unflatten(0, (of, -1))[index]


def normal(n: int, *shape: int, device: torch.device | str | None = None) -> Tensor:
    """Standard normal, float32 [n, *shape]."""
    return mine(torch.randn(whole(n), *shape, device=device))


def normal_like(x: Tensor) -> Tensor:
    """Standard normal in the shape [n, ...], dtype and memory format of `x`."""
    index, of = _share
    return torch.randn_like(x) if of == 1 else torch.randn_like(torch.cat([x.detach()] * of)).chunk(of)[index]


def uniform(n: int, *shape: int, device: torch.device | str | None = None) -> Tensor:
    """Uniform in [0, 1), float32 [n, *shape]."""
    return mine(torch.rand(whole(n), *shape, device=device))


def integers(low: int, high: int, n: int, *shape: int, device: torch.device | str | None = None) -> Tensor:
    """From low to high - 1, each as likely, int64 [n, *shape]."""
    return mine(torch.randint(low, high, (whole(n), *shape), device=device))
