"""The trainer's steps as CUDA graphs: forward, both backward passes and the optimiser in one launch.

A GAN of this size keeps a GPU waiting for Python: hundreds of short kernels a step, thousands in a penalised one. A
graph for each kind of step replaces them: the discriminator's plain and its penalised step (a lazy penalty's own pass
and optimiser step included), and the generator's, with path length and without. They share one memory pool, for no
tensor of one is read after another has run; what lasts (parameters, buffers, Adam's state) is made before, by plain
runs on the side stream.

What is random is drawn inside the graphs from torch's default generator. A replay reads the generator's seed and offset
as they are then and advances the offset as the plain step does, so seeding every iteration gives the same numbers
with and without graphs, and resumption stays exact. The average stays outside: its beta changes with every
iteration, and its launch is queued while the replay still runs.
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol, overload

import torch
from torch import Tensor

from fastgan import ops
from fastgan.errors import FastganError
from fastgan.training.objective import Losses
from fastgan.training.settings import TrainConfig

Step = Callable[[], Losses]
WARM_UP = 2
"""Plain runs before a capture: the first makes lasting tensors and picks algorithms, the second is as all others."""


class Steps(Protocol):
    """The two steps of an iteration; a trainer has them."""

    def step_d(self, real: Tensor, penalise: bool, c: Tensor | None = None) -> Losses:
        """A discriminator step on `real` [N, C, R, R], which show `c` [N, condition_dim]."""

    def step_g(
        self, n: int, real: Tensor | None = None, smooth: bool = False, c: Tensor | None = None
    ) -> Losses:
        """A generator step on `n` fakes of `c`, against `real` [n, C, R, R] where the loss wants them."""


class Recorder(Protocol):
    """What runs and records steps: CUDA here, a stand-in on machines without a GPU."""

    def warm_up(self, step: Step) -> Losses:
        """Run `step` in the place where it will be captured."""

    def capture(self, step: Step) -> tuple[Callable[[], None], Losses]:
        """Record `step` without running it: what runs it, and where it will leave its losses."""


class Cuda:
    """Captures on a side stream of `device`, all into one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        torch.cuda.synchronize(device)  # graphs that this replaces have run before their memory goes
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()
        self._ends = deque(torch.cuda.Event(blocking=True) for _ in range(2))

    def warm_up(self, step: Step) -> Losses:
        """Run `step` on the side stream, between what the current stream has done and what it will do."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            losses = step()
        current.wait_stream(self.stream)
        return losses

    def capture(self, step: Step) -> tuple[Callable[[], None], Losses]:
        """Record `step`. Other threads may go on using CUDA: the feed's pins memory for the next batch."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            losses = step()
        return lambda: self._replay(graph), losses

    def _replay(self, graph: torch.cuda.CUDAGraph) -> None:
        """Replay once all replays but the last are done: else Python would queue seconds of work, and its batches."""
        self._ends.rotate()
        self._ends[0].synchronize()
        graph.replay()
        self._ends[0].record(torch.cuda.current_stream(self.device))


class StepGraphs:
    """The steps of `plain`, each run plainly `WARM_UP` times, then captured, and replayed from then on.

    Real images go through one buffer of a fixed address, conditions through another. A replay overwrites the losses of
    the one before it.
    """

    def __init__(self, plain: Steps, make_recorder: Callable[[], Recorder]) -> None:
        self._plain, self._make_recorder = plain, make_recorder
        self.forget()

    def forget(self) -> None:
        """Begin anew: what the graphs read and write has been replaced, as by loading a checkpoint."""
        self._recorder = self._make_recorder()
        self._held: dict[str, Tensor] = {}
        self._warm: dict[Hashable, int] = {}
        self._captured: dict[Hashable, tuple[Callable[[], None], Losses]] = {}

    def step_d(self, real: Tensor, penalise: bool, c: Tensor | None = None) -> Losses:
        """As the trainer's; the batch must always be as large as the first."""
        held = self._hold("real", real), self._hold("c", c)
        return self._run(("d", penalise), lambda: self._plain.step_d(held[0], penalise, held[1]))

    def step_g(
        self, n: int, real: Tensor | None = None, smooth: bool = False, c: Tensor | None = None
    ) -> Losses:
        """As the trainer's; `real` and `c` as large as the discriminator's."""
        held = self._hold("real", real), self._hold("c", c)
        return self._run(("g", n, smooth), lambda: self._plain.step_g(n, held[0], smooth, held[1]))

    @overload
    def _hold(self, name: str, given: Tensor) -> Tensor: ...

    @overload
    def _hold(self, name: str, given: Tensor | None) -> Tensor | None: ...

    def _hold(self, name: str, given: Tensor | None) -> Tensor | None:
        """`given` at the address that the graphs read; steps follow each other, so one serves them all."""
        if given is None:
            return None
        if name not in self._held:
            self._held[name] = torch.empty_like(given)
        return self._held[name].copy_(given)

    def _run(self, name: Hashable, step: Step) -> Losses:
        runs = self._warm.get(name, 0)
        if runs < WARM_UP:
            self._warm[name] = runs + 1
            return self._recorder.warm_up(step)
        if name not in self._captured:
            self._captured[name] = self._capture(step)
        replay, losses = self._captured[name]
        replay()
        return losses

    def _capture(self, step: Step) -> tuple[Callable[[], None], Losses]:
        try:
            return self._recorder.capture(step)
        except RuntimeError as error:
            first = error.__context__ or error  # ending a broken capture raises once more
            raise FastganError(
                f"this model's steps cannot be captured as CUDA graphs ({str(first).splitlines()[0]}): "
                "switch them off with --set train.cuda_graphs=off"
            ) from error


def wanted(train: TrainConfig, device: torch.device, processes: int = 1) -> bool:
    """Whether to capture: never off CUDA, nor where the random generator is set back, which no graph can hold.

    That is between micro-batches, and where activations are computed again. "auto" only in one process, for a capture
    with NCCL in it is untested, and only with our kernels, for plain torch in their place waits.
    """
    rewinds = train.accumulate > 1 or train.checkpoint_activations
    if device.type != "cuda" or train.cuda_graphs == "off" or rewinds:
        return False
    return train.cuda_graphs == "on" or (processes == 1 and ops.backend("cuda") == "native")
