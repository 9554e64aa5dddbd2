"""Training in several processes, as torchrun starts them: one leads, the others follow, all take every step.

The first process runs the session: clock, log, checkpoints, display. It announces what all must do together (`lead`),
and the others wait for that (`follow`). Gradients are summed over the processes after each backward pass, not within
it, so penalties and their second derivatives are those of one process with the whole batch. Parameters and optimisers
stay the same everywhere, to the last bit; nothing in a checkpoint depends on how many processes there were.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from fastgan.errors import ConfigError, FastganError
from fastgan.text import whole
from fastgan.training import signals

T = TypeVar("T")
ANSWER = timedelta(minutes=10)
"""How long a process may take over its part of a step. One that ends is noticed at once, by its closed connection."""
PATIENCE = timedelta(days=7)
"""How long the others wait while the first packs images, saves, or measures a metric."""
_TEARDOWN = 10  # seconds until a process that has failed is ended by the system
_ORDERS = ("end", "step", "take_losses", "spread")


class Crew(Protocol):
    """What follows the first process's orders; a trainer does."""

    def step(self) -> None:
        """An iteration."""

    def take_losses(self) -> dict[str, float]:
        """Means since the last call."""

    def spread(self) -> None:
        """Take over the first process's state."""


class ProcessLostError(FastganError):
    """Another process of this training has ended or does not answer."""


class Processes:
    """The processes of a training run, `size` in number, of which this one is `rank`; one alone by default."""

    rank, size, local_rank = 0, 1, 0

    def lead(self, order: str) -> None:
        """In the first process: have the others do `order` ("step", "take_losses", "spread") too."""

    def follow(self, crew: Crew) -> int | None:
        """In any other: do as the first says, until it says "end"; returns the signal that stopped it, if any."""
        raise NotImplementedError

    def dismiss(self, signum: int | None) -> None:
        """In the first process: let the others go."""

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Sum each tensor over the processes, in place; all processes get the same bits."""

    def spread_(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values, in place."""

    def first(self, function: Callable[[], T]) -> T:
        """What `function` returns in the first process, where alone it is called; an error ends all."""
        return function()

    def in_turn(self, function: Callable[[], T]) -> T:
        """`function()` in the first process, and once it is done in the others; an error ends all."""
        return function()


ALONE = Processes()


class _Together(Processes):
    """Through torch.distributed: NCCL for what lies on a GPU, gloo for the rest."""

    def __init__(self) -> None:
        store, self.rank, self.size = next(iter(dist.rendezvous("env://", timeout=ANSWER)))
        self.local_rank = _number("LOCAL_RANK", self.rank)
        self._store = dist.PrefixStore("fastgan", store)
        nccl = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",
            store=store,
            rank=self.rank,
            world_size=self.size,
            timeout=ANSWER,
        )
        self._patient = dist.new_group(backend="gloo", timeout=PATIENCE)

    def lead(self, order: str) -> None:
        if self.rank:
            return
        self._order(order)
        if order == "step" and (signum := self._heard(None)):
            signal.raise_signal(signum)  # another process was asked to stop: as if this one had been

    def follow(self, crew: Crew) -> int | None:
        with signals.graceful(self.rank, self.size) as stop:
            while (order := self._order())[0] != "end":
                if order[0] == "step":
                    self._heard(stop.signum)
                getattr(crew, order[0])()
            return order[1] or None

    def dismiss(self, signum: int | None) -> None:
        self._order("end", signum or 0)

    def _order(self, order: str = "end", value: int = 0) -> tuple[str, int]:
        """Broadcast the first process's order. It does not touch the GPU, whose queue stays full meanwhile."""
        message = torch.tensor([_ORDERS.index(order), value])
        with self._watched():
            dist.broadcast(message, 0, group=self._patient)
        index, value = message.tolist()
        return _ORDERS[index], value

    def _heard(self, signum: int | None) -> int:
        """The signal that any process has received, or 0."""
        message = torch.tensor(signum or 0)
        with self._watched():
            dist.all_reduce(message, dist.ReduceOp.MAX)
        return int(message)

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        self._flat(tensors, dist.all_reduce)

    def spread_(self, tensors: Iterable[Tensor]) -> None:
        self._flat(tensors, lambda flat: dist.broadcast(flat, 0))

    @torch.no_grad()
    def _flat(self, tensors: Iterable[Tensor], collective: Callable[[Tensor], object]) -> None:
        """One call of `collective` for all tensors of a kind, instead of one a tensor."""

        def kind(tensor: Tensor) -> tuple[str, str]:
            return str(tensor.device), str(tensor.dtype)

        for _, group in groupby(sorted(tensors, key=kind), kind):
            members = list(group)
            flat = torch.cat([tensor.reshape(-1) for tensor in members])
            with self._watched():
                collective(flat)
            parts = flat.split([tensor.numel() for tensor in members])
            torch._foreach_copy_(
                members, [part.view(tensor.shape) for part, tensor in zip(parts, members, strict=True)]
            )

    def first(self, function: Callable[[], T]) -> T:
        value: list[Any] = [None]
        with self._all_or_none():
            if self.rank == 0:
                value = [function()]
        with self._watched():
            dist.broadcast_object_list(value, 0, group=self._patient)
        return value[0]

    def in_turn(self, function: Callable[[], T]) -> T:
        for turn in (True, False):
            with self._all_or_none():
                if (self.rank == 0) is turn:
                    value = function()
        return value

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Where one process fails all end, and the first of those that did says why."""
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
        failed: list[bool] = [False] * self.size
        with self._watched():
            dist.all_gather_object(failed, failure is not None, group=self._patient)
        if failure is not None and failed.index(True) == self.rank:
            raise failure
        if any(failed):
            raise SystemExit(2)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # each backend words it differently
            raise ProcessLostError(
                f"another of the {self.size} training processes has ended or does not answer: "
                "start training again with --resume, which goes on from the last checkpoint"
            ) from error

    def speaks(self) -> bool:
        """Whether this process is the first that has something to say about the end of all."""
        try:
            return self._store.compare_set("last words", "", str(self.rank)).decode() == str(self.rank)
        except RuntimeError:  # who kept the store is gone
            return True


def _number(name: str, default: int) -> int:
    """A number that a launcher has put into the environment; ConfigError for what is none."""
    text = os.environ.get(name, "") or str(default)
    number = whole(text)
    if number is None:
        raise ConfigError(f"{name}={text[:40]!r} in the environment is no number: set it, or unset it")
    return number


def several() -> bool:
    """Whether torchrun, or another launcher that sets the same variables, has started more than this process."""
    keys = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return all(key in os.environ for key in keys) and _number("WORLD_SIZE", 1) > 1


def reason(error: BaseException) -> BaseException:
    """`error`, or the loss of a process on whose way here torchrun's signal to end came."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ProcessLostError):
        cause = cause.__context__
    return cause or error


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that were started together with this one; a failure of any ends all, in seconds, with one message.

    Raises SystemExit where another process gives the reason.
    """
    if not several():
        yield ALONE
        return
    if not dist.is_available():
        raise FastganError(
            "this build of torch has no torch.distributed: train in one process, without torchrun"
        )
    processes = _Together()
    try:
        yield processes
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's comes at once: the reason first
        signal.alarm(_TEARDOWN)  # NCCL may wait at exit for an answer that never comes
        if isinstance(error, SystemExit) or processes.speaks():
            why = reason(error)
            raise why from why.__cause__
        raise SystemExit(2) from None
    dist.destroy_process_group()
