"""All that a new run would use, settled before anything is written: --dry-run prints it, and a run does it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from fastgan.data import Found, survey
from fastgan.errors import ConfigError
from fastgan.training import afford, assemble, precision, shares, sizes, transfer
from fastgan.training.distributed import ALONE, Processes
from fastgan.training.rehearsal import Cost
from fastgan.training.settings import RunConfig

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that has not begun."""

    config: RunConfig
    """Complete: with the images' size, channels and conditions."""
    found: Found
    """What the source holds."""
    cost: Cost
    """What an iteration takes."""
    precision: str
    """fp32 or bf16, unless measuring says otherwise."""
    measured: int
    """Images of the steps by which the precision is to be measured; 0 where it is settled."""
    why: str | None
    """Why the images get the size that they do, where nobody asked for it."""
    slow: str | None
    """That the budget is over after a few steps, where it is."""
    free: int | None
    """Bytes of memory that are free."""

    def facts(self) -> list[str]:
        """What the settings do not say, a line each."""
        found, model = self.found, self.config.model
        unread = f", and {len(found.bad)} that cannot be read" if found.bad else ""
        known = [f"{model.classes} classes"] if model.classes else []
        known += [f"{model.attributes} attributes"] if model.attributes else []
        free = "" if self.free is None else f", of {self.free / 2**30:.1f} GiB free"
        measured = ", unless fp32 measures clearly faster when training begins" if self.measured else ""
        return [
            f"{found.count} images{unread}, {model.resolution}x{model.resolution}x{model.img_channels}, "
            f"{'conditional on ' + ' and '.join(known) if known else 'unconditional'}",
            *found.notes,
            *([self.why] if self.why else []),
            f"precision {self.precision}{measured}",
            f"memory: a training step takes about {afford.needed(self.cost) / 2**30:.1f} GiB{free}",
            *([self.slow] if self.slow else []),
        ]


def make(
    config: RunConfig,
    device: torch.device,
    *,
    processes: Processes = ALONE,
    progress: Progress | None = None,
    again: afford.Again = str,
) -> Plan:
    """Settle a new run of `config` on `device`: names, settings, images and memory are checked, in this order.

    again: the user's command with one more option, for messages. Errors are those that the run would end with:
    ConfigError, DataError, CheckpointError, MemoryLimitError.
    """
    assemble.resolve(config)
    transfer.check(config.train)
    assemble.check_features(config)
    shares.check(config.train.batch, processes.size, config.train.accumulate)
    data = config.data
    if not data.source:
        raise ConfigError("no images to train on: name a folder, a zip or an .fgd file")
    found = survey(
        data.source,
        resolution=config.model.asked("resolution"),
        channels=config.model.asked("img_channels"),
        fit=data.fit,
        split=data.split,
        kind=data.kind,
        max_pixels=data.max_pixels,
        progress=progress,
    )
    resolution, why = sizes.choose(found, device)
    found = replace(found, resolution=resolution)
    config = assemble.resolve(config, found)
    assemble.check_parts(config)
    rule = precision.usual(config.train.precision, device)
    cost = afford.require(config, device, rule, processes.size, again)
    part = config.train.batch // processes.size // config.train.accumulate
    return Plan(
        config=config,
        found=found,
        cost=cost,
        precision=rule,
        measured=precision.measurable(config.train.precision, device, cost, part),
        why=why,
        slow=afford.too_slow(config, cost, rule) if device.type == "cpu" else None,
        free=afford.free_memory(device),
    )
