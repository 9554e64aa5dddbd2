"""What trials are judged by: the metrics of `fastgan eval`, and which way is better."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fastgan.arguments import one_of
from fastgan.metrics.evaluate import METRICS
from fastgan.training.stopping import bare

_OF = {
    "kid": "kid",
    "fid": "fid",
    "is": "is",
    **dict.fromkeys(("precision", "recall", "density", "coverage"), "prdc"),
    "ifid": "ifid",
    "cas": "cas",
    "ppl_w_end": "ppl",
    "lpips-diversity": "lpips-diversity",
}
"""Score -> the metric of `fastgan eval` that gives it"""
_DISTANCES, _LEAST = {"kid", "fid", "ifid", "ppl_w_end"}, 1e-4
_HIGHER = {"is", "precision", "recall", "density", "coverage", "cas", "lpips-diversity"}


@dataclass(frozen=True)
class Metric:
    """A score."""

    name: str
    """Without its protocol: `kid` of `kid[effnet-lite0]`"""

    @classmethod
    def named(cls, name: str) -> "Metric":
        """ConfigError for a name that there is not, with those there are."""
        return cls(one_of(name, "metric", tuple(_OF)))

    @property
    def computed(self) -> str:
        """What computes it: a metric of `fastgan eval`."""
        return _OF[self.name]

    @property
    def while_training(self) -> bool:
        """Whether training can compute it, so that a trial can be stopped by it."""
        return self.computed in METRICS

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """As Optuna says it."""
        return "maximize" if self.name in _HIGHER else "minimize"

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is better."""
        return one > other if self.name in _HIGHER else one < other

    def together(self, scores: Mapping[str, Sequence[float]]) -> float:
        """One score of several runs by set: the mean, and of distances over several sets the geometric mean.

        Sets differ in how near anything comes to them: so each counts by ratios, not by its own scale.
        """
        means = [sum(of) / len(of) for of in scores.values()]
        if len(means) > 1 and self.name in _DISTANCES:
            return math.exp(sum(math.log(max(mean, _LEAST)) for mean in means) / len(means))
        return sum(means) / len(means)

    def of(self, scores: Mapping[str, float]) -> float | None:
        """Its value among scores by their full names."""
        return next((value for name, value in scores.items() if bare(name) == self.name), None)
