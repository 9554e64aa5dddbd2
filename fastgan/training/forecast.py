"""What is coming, in a line before training: images a second, what the budget comes to, what pictures need, memory.

Where the budget is hopeless, the commands that are not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fastgan.training import afford, outlook, planned, speed
from fastgan.training.afford import Again
from fastgan.training.choices.facts import Facts
from fastgan.training.choices.layered import Layered
from fastgan.training.rehearsal import Cost
from fastgan.training.settings import RunConfig
from fastgan.training.speed import Speeds

_SMALLEST = 32
"""Pixels below which no size is advised."""
_LONGEST = 30 * 86_400.0
"""Seconds above which no budget is advised."""
_FASTER = "small"

Rate = Callable[[RunConfig, int, float], float]
"""Real images a second of settings for images of a side, over so many seconds; 0 where a step does not fit"""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How far a budget goes."""

    img_per_s: float
    """The mean over all of it"""
    nimg: float
    """Real images"""
    measured: bool = True
    """False: at the very most"""

    def share(self, usual_kimg: float | None) -> float:
        """Of what pictures usually need; 1 where that is not known."""
        return 1.0 if usual_kimg is None else self.nimg / (1000 * usual_kimg)

    def said(self, config: RunConfig) -> str:
        """What the budget of `config` comes to, in a sentence."""
        train = config.train
        return outlook.foreseen(
            train.budget,
            train.usual_kimg,
            cur_nimg=0,
            left=train.budget.seconds or 0.0,
            img_per_s=self.img_per_s,
            batch=train.batch * train.d_steps,
            resolution=config.model.resolution,
            measured=self.measured,
        )


def make(config: RunConfig, speeds: Speeds) -> Forecast:
    """The forecast for `config`, which is complete but for portions, at `speeds`."""
    budget = config.train.budget
    if budget.images is not None:
        settled = replace(config, train=planned.settle(config.train))
        seconds = speed.seconds_for(settled, speeds, budget.images)
        return Forecast(
            img_per_s=budget.images / seconds, nimg=float(budget.images), measured=speeds.measured
        )
    seconds = budget.seconds or 0.0
    nimg = speed.reach(config, speeds, seconds)
    return Forecast(img_per_s=nimg / seconds, nimg=nimg, measured=speeds.measured)


def worth_it(config: RunConfig) -> bool:
    """Whether there is anything to foresee: a budget of a few steps is over before it is measured."""
    train = config.train
    return train.budget.images is None or (
        train.budget.images >= outlook.FEW_STEPS * train.batch * train.d_steps
    )


def memory(cost: Cost, free: int | None) -> str:
    """What a step takes, and what there is."""
    there = "" if free is None else f", of {free / 2**30:.1f} GiB free"
    return f"memory: a training step takes about {afford.needed(cost) / 2**30:.1f} GiB{there}"


@dataclass(frozen=True, kw_only=True)
class Advisor:
    """Finds what comes to pictures where a budget does not."""

    layered: Layered | None
    facts: Facts | None
    img_per_s: Rate
    again: Again

    def commands(self, config: RunConfig, forecast: Forecast) -> list[str]:
        """Commands that pictures can be expected of: within the same time, and one that takes longer."""
        usual = config.train.usual_kimg
        if usual is None or outlook.reaches(forecast.share(usual)):
            return []
        if config.train.budget.images is not None:
            return [self.again(f"--budget {outlook.enough(usual)}")]
        longer = outlook.enough_time(usual, forecast.img_per_s)
        advised = [*self._within(config.model.resolution)]
        if (longer.seconds or 0.0) <= _LONGEST:
            advised.append(self.again(f"--budget {longer}"))
        return advised

    def _within(self, resolution: int) -> Iterator[str]:
        """The first of what reaches as much in the same time: smaller images, or the preset that learns fastest."""
        if self.layered is None or self.facts is None:
            return
        size = resolution
        while (size := size // 2) >= _SMALLEST:
            smaller = self.layered.at(size)
            if smaller is not None and self._reaches(smaller, replace(self.facts, resolution=size)):
                yield self.again(f"--resolution {size}")
                return
        other = self.layered.instead(_FASTER)
        if other is not None and self._reaches(other, self.facts):
            yield self.again(f"--preset {_FASTER}")

    def _reaches(self, layered: Layered, facts: Facts) -> bool:
        seconds = facts.seconds or 0.0

        def rate(config: RunConfig) -> float:
            return self.img_per_s(config, facts.largest, seconds)

        config, _ = layered.chosen(facts, rate)
        usual = config.train.usual_kimg
        return usual is not None and outlook.reaches(rate(config) * seconds / (1000 * usual))


def sentence(said: str, commands: list[str]) -> str:
    """`said`, and the `commands` that pictures can be expected of."""
    if not commands:
        return said
    return f"{said}. Too little for pictures; these come to some: {'; '.join(commands)}"
