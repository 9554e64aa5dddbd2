"""The small CNN: what one would train from scratch on a few hundred images, in seconds.

3x3 convolutions, each with batch norm, ReLU and a halving by maxima, down to 4 px; dropout; one linear layer. On 200
digits it gets 94 %, where the same with strides for maxima and a mean over the last map gets 72 %.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastgan.machine import at_most, require_memory
from fastgan.naming import named
from fastgan.pixels import to_float
from fastgan.study.labelled import Labelled
from fastgan.study.recipes import Recipe
from fastgan.study.task import Task

Predict = Callable[[Tensor], Tensor]
"""uint8 [N, H, W, C] -> probabilities float32 [N, K], on the CPU"""
_EVALUATED = 256  # images at a time
_PIXEL_BYTES = 64  # of each pixel: float32 planes, channels_last, and the first two maps


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long, with what: alike for every arm."""

    steps: int
    batch: int
    device: torch.device
    bf16: bool = False


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """What is tuned on validation images."""

    lr: float
    decay: float
    """AdamW's weight decay; of a linear head, the weight of its squared weights, halved"""


TRIALS = (Hyper(lr=3e-3, decay=1e-2), Hyper(lr=1e-3, decay=1e-2), Hyper(lr=3e-3, decay=0.3))


class SmallCNN(nn.Sequential):
    """[N, C, S, S] -> logits [N, K]."""

    def __init__(self, channels: int, size: int, outputs: int, width: int = 16) -> None:
        stages: list[nn.Module] = []
        side, inside, outside = size, channels, width
        while side > 4 or not stages:
            stride = 2 if side >= 48 else 1  # most of the time would go into the first, largest map
            stages += [
                nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            side = -(-side // (2 * stride))
            inside, outside = outside, min(2 * outside, 4 * width)
        super().__init__(*stages, nn.Flatten(), nn.Dropout(0.3), nn.Linear(inside * side * side, outputs))


def check_memory(side: int) -> None:
    """Raise MemoryLimitError where images of `side` px are too large for a classifier on a CPU."""
    each = _EVALUATED * _PIXEL_BYTES
    require_memory(
        each * side * side,
        f"a classifier of images of {side} px",
        f"give {named('size')} {power_below(int(at_most(each) ** 0.5))} or less",
    )


def power_below(side: int) -> int:
    """The largest power of two up to `side`, and at least 8."""
    return int(2 ** max(3, side.bit_length() - 1))


def fit(
    task: Task,
    batches: Iterator[Labelled],
    shape: tuple[int, int],
    hyper: Hyper,
    training: Training,
    seed: int,
    recipe: Recipe | None,
) -> Predict:
    """Train a SmallCNN on images of `shape` (side, channels); its first weights are those of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallCNN(shape[1], shape[0], task.outputs)
    network.to(training.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimise(task, network, network.parameters(), batches, to_float, hyper, training, seed, recipe)
    return predictor(task, network, to_float, training)


def optimise(
    task: Task,
    network: nn.Module,
    parameters: Iterator[nn.Parameter],
    batches: Iterator[Labelled],
    prepare: Callable[[Tensor], Tensor],
    hyper: Hyper,
    training: Training,
    seed: int,
    recipe: Recipe | None,
) -> None:
    """AdamW with a short warm-up and half a cosine, for training.steps batches. prepare: pixels -> [-1, 1] planes."""
    network.train()
    trained = list(parameters)
    adam = torch.optim.AdamW(trained, hyper.lr, weight_decay=hyper.decay, fused=True)
    warm = max(training.steps // 20, 1)
    cosine = torch.optim.lr_scheduler.OneCycleLR(
        adam, hyper.lr, total_steps=training.steps + 1, pct_start=min(warm / training.steps, 0.3)
    )
    random = torch.Generator().manual_seed(30_000 + seed)
    device = training.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(40_000 + seed)  # dropout
        for _ in range(training.steps):
            batch = next(batches)
            x = prepare(batch.images.to(device))
            if recipe is not None:
                x = recipe(x, random)
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=training.bf16):
                logits = network(x)
            loss = task.loss(logits.float(), batch.targets.to(device))
            adam.zero_grad()
            loss.backward()
            adam.step()
            cosine.step()


def predictor(
    task: Task, network: nn.Module, prepare: Callable[[Tensor], Tensor], training: Training
) -> Predict:
    """The trained network as a function of images."""
    network.eval()

    def predict(images: Tensor) -> Tensor:
        parts = []
        for part in images.split(_EVALUATED):
            x = prepare(part.to(training.device)).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():  # in fp32: it is the answer that counts
                parts.append(task.probabilities(network(x)).cpu())
        return torch.cat(parts)

    return predict
