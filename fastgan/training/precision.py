"""fp32 or bf16: asked of the processor first, then measured on real steps."""

import time
from collections.abc import Callable

import torch

from fastgan.errors import ConfigError
from fastgan.training.trainer import Trainer

_PATIENCE = 8.0  # seconds of measuring, after which what is known decides


def supported(device: torch.device) -> bool:
    """Whether `device` multiplies bf16 matrices in hardware; elsewhere bf16 is emulated and slow."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, so they may be absent
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names)


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
    if not supported(device):
        return "fp32"
    if device.type == "cuda":
        return "bf16"
    note("measuring whether fp32 or bf16 is faster here")
    seconds = measure({name: make(name) for name in ("fp32", "bf16")})
    best = min(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{name} {value * 1e3:.3g} ms" for name, value in seconds.items())
    note(f"precision {best}: a step without penalty takes {times}")
    return best


def measure(trainers: dict[str, Trainer]) -> dict[str, float]:
    """Seconds of a plain step for each trainer: the best of a few rounds taken in turns, after one to warm up."""
    best = dict.fromkeys(trainers, float("inf"))
    start = time.perf_counter()
    for round_ in range(5):
        for name, trainer in trainers.items():
            real, _ = trainer.feed.batch(0, min(trainer.config.train.batch, 8))
            before = time.perf_counter()
            trainer.step_d(real, False)
            trainer.step_g(len(real))
            best[name] = min(best[name], time.perf_counter() - before) if round_ else best[name]
        if round_ and time.perf_counter() - start > _PATIENCE:
            break
    return best
