"""What configurations take on this machine, and how fast it trains them: each is measured once."""

from dataclasses import replace

import torch

from fastgan.training import afford, planned, precision, speed
from fastgan.training.rehearsal import Cost, rehearse
from fastgan.training.settings import RunConfig
from fastgan.training.speed import Speeds


class Gauge:
    """Measures configurations that `assemble.resolve` has completed, for `processes` that train together.

    Portions of the planned images may be left in them, which what is measured does not depend on.
    """

    def __init__(self, device: torch.device, processes: int) -> None:
        self.device, self.processes = device, processes
        self._costs: dict[RunConfig, Cost] = {}
        self._speeds: dict[RunConfig, Speeds] = {}

    def precision(self, config: RunConfig) -> str:
        """The one that is the rule here."""
        return precision.usual(config.train.precision, self.device)

    def cost(self, config: RunConfig) -> Cost:
        """What an iteration takes."""
        if config not in self._costs:
            settled, rule = _settled(config), self.precision(config)
            self._costs[config] = rehearse(settled, rule, processes=self.processes)
        return self._costs[config]

    def speeds(self, config: RunConfig) -> Speeds:
        """Images a second at the resolutions that it goes through."""
        if config not in self._speeds:
            settled, cost, rule = _settled(config), self.cost(config), self.precision(config)
            self._speeds[config] = speed.measure(settled, self.device, rule, cost, processes=self.processes)
        return self._speeds[config]

    def fits(self, config: RunConfig) -> bool:
        """Whether an iteration fits into memory."""
        free = afford.free_memory(self.device)
        return free is None or afford.together(self.cost(config), self.device, self.processes) <= free

    def img_per_s(self, config: RunConfig, seconds: float) -> float:
        """The mean over so many `seconds` of training; 0 where an iteration does not fit into memory."""
        return speed.reach(config, self.speeds(config), seconds) / seconds if self.fits(config) else 0.0


def _settled(config: RunConfig) -> RunConfig:
    return replace(config, train=planned.settle(config.train))
