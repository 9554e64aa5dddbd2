"""What choices are made by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastgan.config import Duration

Speed = Callable[[Mapping[str, Any]], float]
"""Real images a second that tables of settings are trained at here; 0 for a step that does not fit into memory"""

LARGEST = {"cpu": 64, "cuda": 256}
"""The largest side that is chosen for images of any size where the time is not known. Twice the side costs four times
as long for an image, and needs more of them: on two CPU cores 64 px take minutes to an hour (docs/training.md)."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The images, the machine, and what is asked for."""

    images: int
    side: int
    """Pixels: of a packed set its own, else the power of two nearest to the images' median side"""
    budget: Duration
    device: str = "cpu"
    """cpu, or cuda"""
    packed: bool = False
    """Whether the images have this side on disk"""
    resolution: int | None = None
    """That which is asked for, or which the images keep"""
    conditional: bool = False
    """On classes or attributes"""
    projected: bool = False
    """Whether the discriminator looks through pretrained features"""
    start: Mapping[str, Any] | None = None
    """The settings of the model to start from (train.init_from)"""

    @property
    def largest(self) -> int:
        """The side where time does not decide."""
        most = self.side if self.packed else LARGEST.get(self.device, LARGEST["cuda"])
        return min(self.side, most)

    @property
    def seconds(self) -> float | None:
        """The budget, where it is in time."""
        return self.budget.seconds

    def counted(self) -> str:
        """How many images there are, in words."""
        return f"{self.images:,} image{'' if self.images == 1 else 's'}"
