"""What a training step takes, found without taking it: one step on tensors that have shapes and no data.

Networks are built on torch's meta device, and an iteration runs on fake tensors (`FakeTensorMode`), which pass through
the same code as real ones, autograd and its second derivatives included. What is alive at the same time is added up,
storage by storage, and so is the arithmetic of convolutions and matrix products. It takes about a second.
"""

import copy
import weakref
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from fastgan import models
from fastgan.data import Dataset, Feed
from fastgan.nn import recompute_blocks
from fastgan.training import assemble, growing
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

LARGEST = 2**20
"""Images of a step that are rehearsed at most; what more would take follows from these."""
_DEVICE = torch.device("cpu")  # a rehearsal for CUDA too: the same tensors, autocast to the same dtype


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a training step takes."""

    lasting: int
    """Bytes of parameters, averages, gradients and Adam's state."""
    passing: int
    """Bytes of images, activations and their gradients, when they are most."""
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
    images = 4 * config.model.img_channels * config.model.resolution**2
    costs = []
    phases = growing.phases(train, config.model.resolution)
    for phase in dict.fromkeys((phases[0], phases[-1])):  # the largest batch, and the largest images
        more = phase.batch // train.batch
        tried = replace(
            config, train=replace(train, batch=shown * more * min(parts, 2), accumulate=min(parts, 2))
        )
        found = _one(tried, precision, phase)
        # Real images and fakes of the whole share lie there, whatever the micro-batch.
        waiting = 2 * images * part * more * max(parts - 2, 0)
        costs.append(
            Cost(
                lasting=found.lasting,
                passing=found.passing * part // shown + waiting,
                flops=found.flops * part // shown * parts // min(parts, 2),
            )
        )
    return replace(costs[-1], passing=max(cost.passing for cost in costs))


def _one(config: RunConfig, precision: str, phase: growing.Phase) -> Cost:
    model, batch = config.model, config.train.batch
    conditions = model.condition_dim
    state = torch.get_rng_state()
    built = _networks(config)
    with FakeTensorMode(allow_non_fake_inputs=True), _Ledger() as ledger:
        for network in built.values():
            _pretend(network)
        trainer = assemble.make_trainer(config, _feed(config), _DEVICE, precision, built=built)
        trainer.objective.size = phase.arguments(1.0)
        _settle(trainer)
        lasting = ledger.now
        ledger.peak = lasting
        whole = torch.empty(batch, model.img_channels, model.resolution, model.resolution)
        real = growing.shrink(whole.to(memory_format=torch.channels_last), phase.resolution, 1.0)
        c = torch.zeros(batch, conditions) if conditions else None
        trainer.step_d(real, trainer.objective.penalty is not None, c)
        against = real if trainer.objective.loss.GENERATOR_NEEDS_REAL else None
        trainer.step_g(batch, against, trainer.objective.path_length is not None, c)
    torch.set_rng_state(state)
    return Cost(lasting=lasting, passing=ledger.peak - lasting, flops=ledger.flops)


def _networks(config: RunConfig) -> dict[str, nn.Module]:
    """Those of `assemble.networks`, on the meta device; not so a projected discriminator, whose features have weights.

    Spectral normalisation, which looks at weights, is left out: what it takes is small.
    """
    projects = config.discriminator.name == "projected"
    with torch.device("meta"):
        generator = models.generator(config.model)
        discriminator = None if projects else models.discriminator(config.model)
    if discriminator is None:
        discriminator = assemble.discriminator(config, _DEVICE)
    if config.train.checkpoint_activations:
        recompute_blocks(generator)
        recompute_blocks(discriminator)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    built: dict[str, Any] = {
        "generator": generator.train(),
        "discriminator": discriminator.train(),
        "average": average,
    }
    return {key: network.to(memory_format=torch.channels_last) for key, network in built.items()}


def _pretend(network: nn.Module) -> None:
    """Give a network fake tensors of the same shapes, in place."""
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    made = nn.Parameter(fake, tensor.requires_grad) if is_parameter else fake
                    tensors[name] = made  # type: ignore[assignment]


def _feed(config: RunConfig) -> Feed:
    """Two images with as many attributes as the networks take."""
    model, count = config.model, config.model.attributes
    shape = (2, model.resolution, model.resolution, model.img_channels)
    dataset = Dataset(
        images=torch.zeros(shape, dtype=torch.uint8),
        attributes=torch.zeros(2, count) if count else None,
        attribute_names=tuple(map(str, range(count))),
        content_hash="",
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
        self.peak = self.flops = self.now = 0
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
            self.now -= size

        self._alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)
