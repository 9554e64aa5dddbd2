"""All that a new run would use, settled before anything is written: --dry-run prints it, and a run does it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from fastgan.data import Found, survey
from fastgan.errors import ConfigError
from fastgan.training import afford, assemble, forecast, planned, precision, shares, sizes, transfer
from fastgan.training.choices.facts import Facts
from fastgan.training.choices.layered import Layered
from fastgan.training.distributed import ALONE, Processes
from fastgan.training.gauge import Gauge
from fastgan.training.rehearsal import Cost
from fastgan.training.settings import RunConfig

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that has not begun."""

    config: RunConfig
    """Complete: with the images' size, channels and conditions, and with kimg in the place of portions."""
    found: Found
    """What the source holds."""
    cost: Cost
    """What an iteration takes."""
    precision: str
    """fp32 or bf16, unless measuring says otherwise."""
    measured: int
    """Images of the steps by which the precision is to be measured; 0 where it is settled."""
    reasons: tuple[str, ...]
    """What was chosen, and why: a sentence each."""
    why: str | None
    """Why the images get the size that they do, where nobody asked for it, and it was not chosen."""
    outlook: str | None
    """What the budget comes to; None where it is over after a few steps."""
    img_per_s: float | None
    """Real images a second on average, as measured; None where nothing was."""
    free: int | None
    """Bytes of memory that are free."""

    def coming(self) -> str:
        """What is coming, in one line."""
        memory = forecast.memory(self.cost, self.free)
        return memory if self.outlook is None else f"{self.outlook}; {memory}"

    def notes(self) -> list[str]:
        """What to say before the run begins, a line each."""
        return [*self.reasons, *([self.why] if self.why else []), self.coming()]

    def facts(self) -> list[str]:
        """What the settings do not say, a line each."""
        found, model = self.found, self.config.model
        unread = f", and {len(found.bad)} that cannot be read" if found.bad else ""
        known = [f"{model.classes} classes"] if model.classes else []
        known += [f"{model.attributes} attributes"] if model.attributes else []
        measured = ", unless fp32 measures clearly faster when training begins" if self.measured else ""
        return [
            f"{found.count} images{unread}, {model.resolution}x{model.resolution}x{model.img_channels}, "
            f"{'conditional on ' + ' and '.join(known) if known else 'unconditional'}",
            *found.notes,
            *self.reasons,
            *([self.why] if self.why else []),
            f"precision {self.precision}{measured}",
            self.coming(),
        ]


def make(
    config: RunConfig,
    device: torch.device,
    *,
    layered: Layered | None = None,
    processes: Processes = ALONE,
    progress: Progress | None = None,
    again: afford.Again = str,
) -> Plan:
    """Settle a new run of `config` on `device`: names, settings, images, choices and memory, in this order.

    layered: the preset and what was given over it, of which `config` was made; what the preset leaves open is then
    chosen. again: the user's command with one more option, for messages. Errors are those that the run would end with:
    ConfigError, DataError, CheckpointError, MemoryLimitError.
    """
    assemble.resolve(config)
    transfer.check(config.train)
    assemble.check_features(config)
    shares.check(config.train.batch, processes.size, config.train.accumulate)
    planner = _Planner(
        config=config,
        layered=layered,
        found=_survey(config, progress),
        gauge=Gauge(device, processes.size),
        again=again,
    )
    return planner.plan()


@dataclass(kw_only=True)
class _Planner:
    """Settles a run whose names and images are known."""

    config: RunConfig
    layered: Layered | None
    found: Found
    gauge: Gauge
    again: afford.Again

    def plan(self) -> Plan:
        device, processes = self.gauge.device, self.gauge.processes
        facts = None if self.layered is None else self.layered.facts(self.config, self.found, device.type)
        reasons = [] if facts is None or self.layered is None else self._choose(self.layered, facts)
        train = self.config.train
        shares.check(train.batch, processes, train.accumulate)
        asked = self.config.model.asked("resolution")
        resolution, why = (asked, None) if asked is not None else sizes.choose(self.found, device)
        draft = self._complete(self.config, resolution, portions=True)
        assemble.check_parts(draft)
        rule = self.gauge.precision(draft)
        cost = afford.require(draft, device, rule, processes, self.again, self.gauge.cost(draft))
        ahead = forecast.make(draft, self.gauge.speeds(draft)) if forecast.worth_it(draft) else None
        config = self._complete(self._planned(ahead), resolution)
        return Plan(
            config=config,
            found=replace(self.found, resolution=config.model.resolution),
            cost=cost,
            precision=rule,
            measured=precision.measurable(
                train.precision, device, cost, train.batch // processes // train.accumulate
            ),
            reasons=tuple(reasons),
            why=why,
            outlook=None if ahead is None else self._said(draft, ahead, facts),
            img_per_s=None if ahead is None else ahead.img_per_s,
            free=afford.free_memory(device),
        )

    def _complete(self, config: RunConfig, side: int, *, portions: bool = False) -> RunConfig:
        """`config` for the images, of `side` pixels where it does not say otherwise."""
        asked = config.model.asked("resolution")
        return assemble.resolve(config, replace(self.found, resolution=asked or side), portions=portions)

    def _img_per_s(self, config: RunConfig, side: int, seconds: float) -> float:
        return self.gauge.img_per_s(self._complete(config, side, portions=True), seconds)

    def _choose(self, layered: Layered, facts: Facts) -> list[str]:
        """Choose what is open; the reasons."""
        seconds = facts.seconds or 1.0

        def rate(config: RunConfig) -> float:
            return self._img_per_s(config, facts.largest, seconds)

        self.config, choices = layered.chosen(facts, rate)
        return layered.reasons(facts, choices)

    def _planned(self, ahead: forecast.Forecast | None) -> RunConfig:
        """The settings with the kimg that are planned for."""
        train = self.config.train
        if train.planned_kimg is not None:
            return self.config
        kimg = planned.of_budget(train.budget, ahead.nimg if ahead else 0.0)
        return replace(self.config, train=replace(train, planned_kimg=kimg))

    def _said(self, draft: RunConfig, ahead: forecast.Forecast, facts: Facts | None) -> str:
        """What the budget comes to, and where that is too little, what is not."""
        advisor = forecast.Advisor(
            layered=self.layered, facts=facts, img_per_s=self._img_per_s, again=self.again
        )
        return forecast.sentence(ahead.said(draft), advisor.commands(draft, ahead))


def _survey(config: RunConfig, progress: Progress | None) -> Found:
    data = config.data
    if not data.source:
        raise ConfigError("no images to train on: name a folder, a zip or an .fgd file")
    return survey(
        data.source,
        resolution=config.model.asked("resolution"),
        channels=config.model.asked("img_channels"),
        fit=data.fit,
        split=data.split,
        kind=data.kind,
        max_pixels=data.max_pixels,
        progress=progress,
    )
