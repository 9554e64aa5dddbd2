"""fp32 or bf16: asked of the processor first, then measured on real steps."""

import time
from collections.abc import Callable

import torch

from fastgan.errors import ConfigError
from fastgan.nn.precision import has_fast_bf16
from fastgan.training.trainer import Trainer

_PATIENCE = 4.0  # seconds that measuring may take, about


def choose(
    asked: str, device: torch.device, make: Callable[[str], Trainer], note: Callable[[str], None]
) -> str:
    """The precision to train in: what was `asked`, or for "auto" the faster on this device.

    `make(precision)` builds a trainer to measure with, which is thrown away. `note` is told why.
    """
    if asked == "bf16" and device.type not in ("cpu", "cuda"):
        raise ConfigError(f"train.precision = 'bf16' is not possible on {device.type}: use fp32")
    if asked != "auto":
        return asked
    if not has_fast_bf16(device):
        return "fp32"
    if device.type == "cuda":
        return "bf16"
    note("measuring whether fp32 or bf16 is faster here")
    seconds = measure({name: make(name) for name in ("fp32", "bf16")})
    best = min(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items())
    note(f"precision {best}: a step without penalty takes {times}")
    return best


def measure(trainers: dict[str, Trainer]) -> dict[str, float]:
    """Seconds that a plain step takes each trainer, at the largest batch up to theirs that patience allows.

    A model so large that 4 images take seconds is judged by its very first step; any other is warmed up, and
    the best of three rounds, taken in turns, counts.
    """
    first = {name: _step(trainer, 4) for name, trainer in trainers.items()}
    if sum(first.values()) > _PATIENCE / 4:
        return first
    small = sum(_step(trainer, 4) for trainer in trainers.values())
    n = max(int(_PATIENCE / 3 / small), 1) * 4  # minibatch stddev wants whole groups
    rounds = [{name: _step(trainer, n) for name, trainer in trainers.items()} for _ in range(3)]
    return {name: min(times[name] for times in rounds) for name in trainers}


def _step(trainer: Trainer, n: int) -> float:
    """Seconds of a discriminator and a generator step on at most `n` images and at most a batch."""
    batch = trainer.feed.batch(0, min(trainer.config.train.batch, n))
    real, c = batch.images, trainer.encode(batch)
    start = time.perf_counter()
    trainer.step_d(real, False, c)
    trainer.step_g(len(real), real if trainer.objective.loss.GENERATOR_NEEDS_REAL else None, c=c)
    return time.perf_counter() - start
