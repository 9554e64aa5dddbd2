"""A step's batch, cut among processes and into micro-batches, with the result of the whole."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, TypeVarTuple

import torch
from torch import Tensor, nn

from fastgan import draws
from fastgan.errors import ConfigError
from fastgan.training.distributed import Processes

Tensors = TypeVarTuple("Tensors")


class Shares:
    """Cuts a batch of `batch` into equal shares: one a process, each of them `accumulate` micro-batches.

    Gradients and losses are means over samples, so theirs over the batch is the mean over shares; random numbers are
    those of the whole batch (`draws`). What looks at several samples at once sees a share: batch norm normalises within
    one, as in torch's DistributedDataParallel, and minibatch stddev is the same as long as a share is a multiple of its
    group. Running statistics, the floating-point buffers of `modules`, move once a batch, by the mean over shares.
    """

    def __init__(
        self,
        processes: Processes,
        accumulate: int,
        batch: int,
        modules: Sequence[nn.Module],
        device: torch.device,
    ) -> None:
        self.processes, self.accumulate, self.device = processes, accumulate, device
        self.count = processes.size * accumulate
        check(batch, processes.size, accumulate)
        self._modules = modules

    def _buffers(self, *, floating: bool) -> list[Tensor]:
        return [b for module in self._modules for b in module.buffers() if b.is_floating_point() == floating]

    def slice(self, start: int, n: int) -> tuple[int, int]:
        """Where this process's part of the batch of `n` that starts at position `start` does, and its length."""
        n //= self.processes.size
        return start + self.processes.rank * n, n

    def cut(self, *tensors: *Tensors) -> AbstractContextManager[Iterator[tuple[*Tensors]]]:
        """This process's part of the batch, `tensors` [n, ...] or None, as micro-batches to go through in turn.

        `with shares.cut(real, c) as shares: for real, c in shares: ...`
        """
        return closing(self._each(tensors))

    def _each(self, tensors: tuple[*Tensors]) -> Generator[tuple[*Tensors], None, None]:
        """Each micro-batch; what the body of the loop draws and how it moves buffers is the share's own."""
        first = self.processes.rank * self.accumulate
        if self.accumulate == 1:
            with draws.share(first, self.count):
                yield tensors
            return
        parts = [self._chunks(tensor) for tensor in tensors]
        buffers, others = self._buffers(floating=True), self._buffers(floating=False)
        start, before = [b.clone() for b in buffers], [b.clone() for b in others]
        moved = [torch.zeros_like(b) for b in buffers]
        random = self._random()
        for k, micro in enumerate(zip(*parts, strict=True)):
            if k:
                self._restore(random)
                _move([*buffers, *others], [*start, *before])
            with draws.share(first + k, self.count):
                yield micro
            moved = [m + (b - s) for m, b, s in zip(moved, buffers, start, strict=True)]
        _move(buffers, start, moved, self.accumulate)

    def _chunks(self, tensor: Any) -> Sequence[Any]:  # Any: what a TypeVarTuple holds has no other type
        return [None] * self.accumulate if tensor is None else tensor.chunk(self.accumulate)

    @contextmanager
    def merged(self, sums: Sequence[Tensor]) -> Iterator[None]:
        """An iteration: after it, buffers have moved by the mean over processes, and `sums` by their sum."""
        if self.processes.size == 1:
            yield
            return
        buffers = self._buffers(floating=True)
        start, before = [b.clone() for b in buffers], [s.clone() for s in sums]
        yield
        moved = [b - s for b, s in zip(buffers, start, strict=True)]
        added = [s - b for s, b in zip(sums, before, strict=True)]
        self.processes.sum_([*moved, *added])
        _move(buffers, start, moved, self.processes.size)
        _move(sums, before, added, 1)

    def _random(self) -> tuple[Tensor, Tensor | None]:
        cuda = self.device.type == "cuda"
        return torch.get_rng_state(), torch.cuda.get_rng_state(self.device) if cuda else None

    def _restore(self, state: tuple[Tensor, Tensor | None]) -> None:
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1], self.device)


@torch.no_grad()
def _move(
    buffers: Sequence[Tensor], start: Sequence[Tensor], moved: Sequence[Tensor] | None = None, shares: int = 1
) -> None:
    """buffers = start + moved / shares; what has not moved keeps its bits."""
    for k, buffer in enumerate(buffers):
        buffer.copy_(start[k] if moved is None else start[k] + moved[k] / shares)


def check(batch: int, processes: int, accumulate: int) -> None:
    """ConfigError unless a batch can be cut into that many equal shares."""
    count = processes * accumulate
    if batch % count:
        ways = f"{processes} processes" if processes > 1 else ""
        micro = (
            f"{accumulate} micro-batches{' each' if ways else ''} (train.accumulate)"
            if accumulate > 1
            else ""
        )
        raise ConfigError(
            f"train.batch = {batch} cannot be cut into equal parts for {' with '.join(filter(None, (ways, micro)))}: "
            f"{batch // count * count or count} or {(batch // count + 1) * count} can"
        )
