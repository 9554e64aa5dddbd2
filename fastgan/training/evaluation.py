"""Metrics while training: what an evaluator is given, and which checkpoint is the best by what it says."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fastgan.errors import ConfigError
from fastgan.pixels import to_uint8
from fastgan.seeds import latents
from fastgan.training.stopping import bare
from fastgan.training.trainer import Trainer

Sampler = Callable[[int, int], Tensor]
"""(start, n) -> uint8 [n, R, R, C]: what the averaged generator makes of the seeds start .. start + n - 1."""
Evaluate = Callable[[Sampler], Mapping[str, float]]
"""Metrics by name, as `kid` or `fid[inception-v3-fid]`, of the images that the sampler gives."""

_HIGHER = {"is", "precision", "recall", "density", "coverage", "prdc"}
_BATCH = 64


def sampler(trainer: Trainer, between: Callable[[], None] = lambda: None) -> Sampler:
    """Gives the images that `fastgan generate` would make of the same seeds, a batch at a time.

    A conditional model's show what images of the data do, drawn by their position. between: called before each batch;
    what it raises ends the evaluation.
    """

    def sample(start: int, n: int) -> Tensor:
        parts = []
        for at in range(start, start + n, _BATCH):
            between()
            seeds = range(at, min(at + _BATCH, start + n))
            c = trainer.encode(trainer.feed.conditions(at, len(seeds)))
            parts.append(to_uint8(trainer.sample(torch.from_numpy(latents(seeds, trainer.z_dim)), c).cpu()))
        return torch.cat(parts)

    return sample


def decisive(wanted: str, metrics: Mapping[str, float]) -> str:
    """The name in `metrics` that `best` goes by: `wanted`, or with "auto" the first. ConfigError if it is absent."""
    names = [name for name in metrics if wanted in ("auto", name, bare(name))]
    if not names:
        raise ConfigError(
            f"train.best_metric = {wanted!r} is not among the metrics that are computed: {', '.join(metrics) or 'none'}"
        )
    return names[0]


def better(best: dict[str, Any] | None, name: str, value: float) -> bool:
    """Whether `value` of metric `name` beats `best` (`{"metric": ..., "value": ...}`, None: nothing yet).

    Lower is better but for inception score, precision, recall, density and coverage. What is not finite never wins,
    and a best by another metric is no rival.
    """
    if not math.isfinite(value):
        return False
    if best is None or best["metric"] != name:
        return True
    return value > best["value"] if bare(name) in _HIGHER else bool(value < best["value"])
