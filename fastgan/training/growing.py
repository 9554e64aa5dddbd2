"""Progressive growing (Karras et al. 2018, section 2; schedule and minibatches as in Karras et al. 2019).

Training begins at a low resolution and doubles it again and again. A new resolution is faded in: for `fade_kimg`
thousand images the new layers' image is blended with that of the resolution before, doubled, by an alpha that rises
from 0 to 1; then it is trained for `grow_kimg` thousand more. Phase and alpha follow from `cur_nimg` alone.

Layers of resolutions to come get no gradient, so their average stays what they are; at growth nothing is to be copied.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.config import require
from fastgan.training.settings import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training at one resolution and batch size, faded in or stable, of a whole number of iterations."""

    resolution: int
    """Height and width of the images that the networks make and see."""
    grows: bool
    """Whether the resolution is new: the optimisers begin anew (Karras et al. 2018, appendix A.1)."""
    fading: bool
    """Whether the resolution is faded in all along."""
    batch: int
    """Images a step."""
    d_steps: int
    """Discriminator steps an iteration."""
    start: int
    """`cur_nimg` of its first iteration."""
    first: int
    """The number of its first iteration."""
    iterations: int | None
    """How many there are; None in the last phase, which has no end."""

    @property
    def iteration_nimg(self) -> int:
        """Real images an iteration shows."""
        return self.batch * self.d_steps

    @property
    def end(self) -> float:
        """`cur_nimg` at which the next phase begins."""
        return float("inf") if self.iterations is None else self.start + self.iterations * self.iteration_nimg

    def iteration(self, cur_nimg: int) -> int:
        """The number of the iteration that starts at `cur_nimg`, counted over all phases."""
        return self.first + (cur_nimg - self.start) // self.iteration_nimg

    def alpha(self, cur_nimg: int) -> float:
        """How far the resolution is faded in, 0 to 1."""
        return (cur_nimg - self.start) / (self.end - self.start) if self.fading else 1.0

    def arguments(self, alpha: float | Tensor) -> dict[str, Any]:
        """What generator and discriminator are called with; nothing once they are whole, as without growing."""
        if self.iterations is None:
            return {}
        return {"resolution": self.resolution, "alpha": alpha if self.fading else 1.0}

    def facts(self, cur_nimg: int) -> dict[str, float]:
        """What the log should show; nothing without growing."""
        whole = self.iterations is None and not self.first
        return {} if whole else {"resolution": self.resolution, "alpha": round(self.alpha(cur_nimg), 4)}

    def shown(self, cur_nimg: int) -> int:
        """The resolution that a generator taken at `cur_nimg` has: the newest that is at least half faded in."""
        return self.resolution if self.alpha(cur_nimg) >= 0.5 else self.resolution // 2


def check(train: TrainConfig, resolution: int) -> None:
    """ConfigError unless training can grow from train.grow_from to `resolution`."""
    start = train.grow_from
    if start is not None:
        require(
            start < resolution,
            f"train.grow_from = {start} must be below the images' {resolution} px: take {resolution // 2} or less, or "
            'leave it out ("none")',
        )


def phases(train: TrainConfig, resolution: int) -> tuple[Phase, ...]:
    """All phases of a run whose images have `resolution`; one without end where nothing grows.

    The batch doubles with each halving of the resolution, up to train.grow_batch: the paper's 256 at 8 px to 32 at 64.
    It is a multiple of train.batch, so that it can be cut into shares wherever that can.
    """
    made: list[Phase] = []
    size = train.grow_from or resolution
    start = first = 0
    while True:
        batch = train.batch * max(min(resolution // size, train.grow_batch // train.batch), 1)
        grows = bool(made)
        lengths: list[tuple[bool, float | None]] = (
            [(True, train.fade_kimg)] if grows and train.fade_kimg else []
        )
        lengths.append((False, train.grow_kimg if size < resolution else None))
        for fading, kimg in lengths:
            count = None if kimg is None else -(-round(1000 * kimg) // (batch * train.d_steps))
            phase = Phase(
                resolution=size,
                grows=grows,
                fading=fading,
                batch=batch,
                d_steps=train.d_steps,
                start=start,
                first=first,
                iterations=count,
            )
            made.append(phase)
            if count is None:
                return tuple(made)
            start, first, grows = start + count * phase.iteration_nimg, first + count, False
        size *= 2


def at(plan: tuple[Phase, ...], cur_nimg: int) -> Phase:
    """The phase that the iteration at `cur_nimg` belongs to."""
    return next(phase for phase in plan if cur_nimg < phase.end)


def shrink(images: Tensor, resolution: int, alpha: float) -> Tensor:
    """Real images as a network of `resolution` should see them: [N, C, R, R] -> [N, C, resolution, resolution].

    Each pixel is the mean of those that it covers. While the resolution is faded in, it is blended with the images of
    half the resolution, doubled by nearest neighbour, as the generator's are.
    """
    if images.shape[-1] != resolution:
        images = F.avg_pool2d(images, images.shape[-1] // resolution)
    if alpha == 1.0:
        return images
    smaller = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2.0, mode="nearest")
    return torch.lerp(smaller, images, alpha)


def enlarge(images: Tensor, resolution: int) -> Tensor:
    """[N, C, r, r] -> [N, C, resolution, resolution] by nearest neighbour: every grid of a run has one size."""
    factor = resolution // images.shape[-1]
    return images if factor == 1 else F.interpolate(images, scale_factor=float(factor), mode="nearest")
