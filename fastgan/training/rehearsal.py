"""What a training step takes, found without taking it: one step on tensors that have shapes and no data.

Networks are built on torch's meta device, and an iteration runs on fake tensors (`FakeTensorMode`), which pass through
the same code as real ones, autograd and its second derivatives included. What is alive at the same time is added up,
storage by storage, and so is the arithmetic of convolutions and matrix products. It takes about a second.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from fastgan.data import Dataset, Feed
from fastgan.training import assemble, growing
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

LARGEST = 2**20
"""Images of a step that are rehearsed at most; what more would take follows from these."""
_DEVICE = torch.device("cpu")  # a rehearsal for CUDA too: the same tensors, autocast to the same dtype


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a training step takes."""

    memory: int
    """Bytes at the most: parameters, averages, gradients, Adam's state, images, activations."""
    flops: int
    """Multiplications and additions of a penalised iteration's convolutions and matrix products."""


def rehearse(config: RunConfig, precision: str, *, processes: int = 1) -> Cost:
    """What an iteration of one of `processes` takes with every term in it, for a `config` that `resolve` has completed.

    precision: fp32 or bf16. Of train.accumulate's micro-batches no more than two are gone through.
    """
    train = config.train
    parts = train.accumulate
    part = max(train.batch // processes // parts, 1)
    shown = min(part, LARGEST)
    images = 4 * config.model["img_channels"] * config.model["resolution"] ** 2
    costs = []
    for phase in growing.phases(train, config.model["resolution"]):
        if phase.fading:
            continue  # the stable phase after it takes as much
        more = phase.batch // train.batch
        tried = replace(
            config, train=replace(train, batch=shown * more * min(parts, 2), accumulate=min(parts, 2))
        )
        found = _one(tried, precision, phase)
        # Real images and fakes of the whole share lie there, whatever the micro-batch.
        waiting = 2 * images * part * more * max(parts - 2, 0)
        costs.append(
            Cost(
                memory=found.memory * part // shown + waiting,
                flops=found.flops * part // shown * parts // min(parts, 2),
            )
        )
    return Cost(memory=max(cost.memory for cost in costs), flops=costs[-1].flops)


def _one(config: RunConfig, precision: str, phase: growing.Phase) -> Cost:
    model, batch = config.model, config.train.batch
    conditions = int(model.get("classes", 0)) + 2 * int(model.get("attributes", 0))
    with torch.device("meta"):
        built = assemble.networks(config, torch.device("meta"))
    with _fake(), _Ledger() as ledger:
        for network in built.values():
            _pretend(network)
        trainer = assemble.make_trainer(config, _feed(config), _DEVICE, precision, built=built)
        trainer.objective.size = phase.arguments(1.0)
        _settle(trainer)
        whole = torch.empty(batch, model["img_channels"], model["resolution"], model["resolution"])
        real = growing.shrink(whole.to(memory_format=torch.channels_last), phase.resolution, 1.0)
        c = torch.zeros(batch, conditions) if conditions else None
        trainer.step_d(real, trainer.objective.penalty is not None, c)
        against = real if trainer.objective.loss.GENERATOR_NEEDS_REAL else None
        trainer.step_g(batch, against, trainer.objective.path_length is not None, c)
    return Cost(memory=ledger.peak, flops=ledger.flops)


@contextmanager
def _fake() -> Iterator[None]:
    """Within, tensors have no data; torch's random numbers are afterwards where they were."""
    state = torch.get_rng_state()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        torch.set_rng_state(state)


def _pretend(network: nn.Module) -> None:
    """Give a network built on the meta device fake tensors, in place."""
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    tensors[name] = nn.Parameter(fake, tensor.requires_grad) if is_parameter else fake


def _feed(config: RunConfig) -> Feed:
    """Two images with as many attributes as the networks take."""
    model, count = config.model, int(config.model.get("attributes", 0))
    shape = (2, model["resolution"], model["resolution"], model["img_channels"])
    known = {"attributes": torch.zeros(2, count), "attribute_names": tuple(map(str, range(count)))}
    dataset = Dataset(
        images=torch.zeros(shape, dtype=torch.uint8), content_hash="", **(known if count else {})
    )
    return Feed(dataset, device=_DEVICE)


def _settle(trainer: Trainer) -> None:
    """What later steps find there: Adam's state, and the gradients of the step before."""
    for optimizer in (trainer.g_optimizer, trainer.d_optimizer):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()


class _Ledger(TorchDispatchMode):
    """Adds up the storages that live at the same time, and arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.flops = self._now = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flops += count(*args, **kwargs, out_val=out)
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return

        def gone(_: object) -> None:
            del self._alive[key]
            self._now -= size

        self._alive[key] = weakref.ref(storage, gone)
        self._now += size
        self.peak = max(self.peak, self._now)
