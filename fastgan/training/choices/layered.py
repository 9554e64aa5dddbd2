"""A preset under what is given, and its choices for a set of images on a machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastgan.config import build, merge, preset
from fastgan.data import Found
from fastgan.training import checkpoint
from fastgan.training.choices import choose
from fastgan.training.choices.choice import Choice, Tables
from fastgan.training.choices.facts import Facts
from fastgan.training.choices.opened import opened
from fastgan.training.settings import RunConfig

Rate = Callable[[RunConfig], float]
"""Real images a second at which a configuration, complete but for the images' geometry, is trained"""


@dataclass(frozen=True, kw_only=True)
class Layered:
    """A preset, and the settings that were given over it."""

    preset: str
    given: Mapping[str, Any]
    """As tables"""

    @property
    def merged(self) -> Tables:
        """The settings before anything is chosen."""
        return merge(preset(self.preset), self.given)

    def facts(self, config: RunConfig, found: Found, device: str) -> Facts:
        """What is known; `config` is the preset with all that is given."""
        asked = config.model.asked("resolution")
        packed = found.median is None and asked is None
        facts = self.facts_of(config, found.count, found.resolution, device)
        return replace(facts, packed=packed, resolution=asked)

    def facts_of(
        self, config: RunConfig, images: int, side: int, device: str, *, keeps_size: bool = False
    ) -> Facts:
        """The same of so many `images` of `side` pixels. keeps_size: that they have whatever comes."""
        start = config.train.init_from
        return Facts(
            images=images,
            side=side,
            budget=config.train.budget,
            device=device,
            packed=keeps_size,
            resolution=side if keeps_size else None,
            conditional=config.data.conditional != "none",
            projected=config.discriminator.name == "projected",
            start=checkpoint.describe(start)["config"]["model"] if start else None,
        )

    def chosen(self, facts: Facts, rate: Rate | None = None) -> tuple[RunConfig, list[Choice]]:
        """The settings, and what of them was chosen. rate: measures."""

        def speed(tables: Mapping[str, Any]) -> float:
            return rate(build(RunConfig, tables)) if rate is not None else 0.0

        found, choices = self.tables(facts, None if rate is None else speed)
        return build(RunConfig, found), choices

    def tables(
        self, facts: Facts, speed: Callable[[Mapping[str, Any]], float] | None = None
    ) -> tuple[Tables, list[Choice]]:
        """The same as tables of settings."""
        return choose.choose(self.preset, self.given, facts, speed)

    def reasons(self, facts: Facts, choices: list[Choice]) -> list[str]:
        """What there is to say of them."""
        said = [str(choice) for choice in choices if choice.why]
        return [*choose.attention(self.preset, facts.images), *said]

    def at(self, resolution: int) -> "Layered | None":
        """The same for images of another size; None where nothing is known of it."""
        if opened(self.preset).usual(resolution) is None:
            return None
        model = {**self.given.get("model", {}), "resolution": resolution}
        return replace(self, given={**self.given, "model": model})

    def instead(self, preset: str) -> "Layered | None":
        """Another preset under what is given; None where settings are given that are about this one."""
        if preset == self.preset or self.given.keys() & {"loss", "discriminator"}:
            return None
        model = self.given.get("model", {})
        if model.keys() - {"resolution"}:
            return None
        return replace(self, preset=preset)


def unmeasured(name: str, given: Mapping[str, Any], images: int, side: int, device: str) -> Tables:
    """The settings of a preset for so many `images`, which keep their `side`; what follows from the speed is left.

    device: cpu or cuda. The same on every machine.
    """
    layered = Layered(preset=name, given=given)
    facts = layered.facts_of(build(RunConfig, layered.merged), images, side, device, keeps_size=True)
    return layered.tables(facts)[0]
