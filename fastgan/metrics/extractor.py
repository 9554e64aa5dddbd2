"""What a feature extractor is; the extractors themselves are `fastgan.metrics.extractors`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.errors import MetricError
from fastgan.metrics import periodic
from fastgan.naming import named


@dataclass(frozen=True, kw_only=True, eq=False)
class Extractor:
    """A frozen network with everything that has to be alike for two numbers to be comparable.

    A network may have several feature spaces. Each has its own name, which becomes part of the names of the numbers
    computed in it.
    """

    name: str
    network: Callable[[Tensor], Mapping[str, Tensor]]
    """uint8 [N, H, W, C] on `device` -> {space: float [N, D]}; row i depends on image i alone"""
    spaces: Mapping[str, str]
    """Metric -> the name of the space it is computed in; without "is" there is no classifier"""
    weights_sha256: str
    resizer: str
    """In words, with its settings"""
    pixel_range: str
    """What the network is fed with, in words"""
    device: torch.device
    taps: Callable[[Tensor], list[Tensor]] | None = None
    """[N, H, W, C] in 0..255, uint8 or float, on `device` -> feature maps [N, c, h, w] from fine to coarse"""

    def __call__(self, images: Tensor) -> Mapping[str, Tensor]:
        """The feature spaces of uint8 [N, H, W, C], on `device`."""
        # cuDNN would otherwise round convolutions to TF32, a thousand times coarser than fp32.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            return self.network(images.to(self.device))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """The feature maps of [N, H, W, C] in 0..255, for an extractor with `taps`."""
        assert self.taps is not None
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            return self.taps(images.to(self.device))

    def space(self, metric: str) -> str:
        """The space that `metric` is computed in; MetricError if this network has none for it.

        periodic looks at the pixels themselves, whatever the network.
        """
        if metric == "periodic":
            return periodic.SPACE
        if metric not in self.spaces:
            raise MetricError(
                f"the extractor {self.name} is no classifier, so it cannot give {metric}: leave it out of "
                f"{named('metrics')}, "
                f"or take {named('extractor', 'effnet-lite0')} or inception-v3-fid."
            )
        return self.spaces[metric]
