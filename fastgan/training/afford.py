"""Whether a training step fits into memory, said before anything is packed or built; and what would fit."""

import os
from collections.abc import Callable
from dataclasses import replace

import torch

from fastgan.machine import available_memory, require_memory
from fastgan.training.rehearsal import Cost, rehearse
from fastgan.training.settings import RunConfig

_LASTING, _PASSING = 1.15, 1.4
"""What a process takes for a byte of either on a CPU: blocks of many sizes that come and go leave gaps."""
_LIBRARIES = 128 << 20
"""Bytes that torch and its libraries take for themselves once they compute."""
_PARTS = 32
"""The most parts that a batch is advised to go through in; beyond, it had better be smaller."""
_ROOM = 0.8
"""The share of what is free that a smaller batch is advised to take."""
_GROUP = 4  # minibatch stddev's: parts of whole groups give the result of the whole

Again = Callable[[str], str]
"""The user's command with one more option."""


def needed(cost: Cost) -> int:
    """Bytes by which a process grows that takes steps of `cost`."""
    return round(_LASTING * cost.lasting + _PASSING * cost.passing) + _LIBRARIES


def together(cost: Cost, device: torch.device, processes: int) -> int:
    """Bytes that all `processes` take which share the memory of `device`, each with steps of `cost`."""
    return _on_this_device(device, processes) * needed(cost)


def require(
    config: RunConfig,
    device: torch.device,
    precision: str,
    processes: int,
    again: Again,
    cost: Cost | None = None,
) -> Cost:
    """What an iteration of one of `processes` takes; MemoryLimitError where that is not free, with what would fit.

    cost: where it is known already.
    """
    cost = rehearse(config, precision, processes=processes) if cost is None else cost
    sharing = _on_this_device(device, processes)
    require_memory(
        together(cost, device, processes),
        f"a training step of {config.train.batch} images",
        lambda free: _what_fits(config, precision, processes, free // sharing, cost, again),
        free=free_memory(device),
    )
    return cost


def free_memory(device: torch.device) -> int | None:
    """Bytes that training may take on `device`; None where the system does not say."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()


def _on_this_device(device: torch.device, processes: int) -> int:
    """How many processes share the memory of `device`; torchrun says how many this machine has."""
    local = os.environ.get("LOCAL_WORLD_SIZE", "")
    return 1 if device.type == "cuda" else int(local) if local.isdecimal() else processes


def _what_fits(config: RunConfig, precision: str, processes: int, free: int, cost: Cost, again: Again) -> str:
    train = config.train
    excess = needed(cost) / max(free, 1)
    parts = train.accumulate
    while (parts := 2 * parts) <= _PARTS:
        if parts / train.accumulate < excess / 2 or train.batch % (parts * processes * _GROUP):
            continue
        takes = needed(rehearse(_with(config, accumulate=parts), precision, processes=processes))
        if takes <= free:
            return (
                f"in {parts} parts the same step takes about {_gib(takes)}: {again(f'--accumulate {parts}')}"
            )
    batch = processes * train.accumulate
    while 2 * batch < train.batch / max(excess, 1.0):
        batch *= 2
    while batch >= processes * train.accumulate:
        takes = needed(rehearse(_with(config, batch=batch), precision, processes=processes))
        if takes <= _ROOM * free:
            return f"{batch} images a step take about {_gib(takes)}: {again(f'--set train.batch={batch}')}"
        batch //= 2
    return (
        f"not even one image fits, so take smaller images or a smaller model: {again('--resolution 32')}, or "
        f"{again('--preset small')}"
    )


def _with(config: RunConfig, **train: int) -> RunConfig:
    return replace(config, train=replace(config.train, **train))  # type: ignore[arg-type]


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
