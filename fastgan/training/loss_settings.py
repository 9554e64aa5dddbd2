"""Settings of what is minimised: the tables [loss] and [discriminator] of config.toml. Standard library only."""

import math
from dataclasses import dataclass
from typing import Literal

from fastgan.config import require


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What generator and discriminator are trained against."""

    name: str = "nonsaturating"
    """The adversarial loss: nonsaturating, saturating, hinge, lsgan, wasserstein or rpgan (see fastgan/losses/)."""
    penalty: str = "none"
    """Gradient penalty on the discriminator: none, gp, r1 (at real images), r2 (at fakes) or r1+r2."""
    penalty_weight: float = 10.0
    """lambda of gp (the loss gains lambda * GP), gamma of the others (it gains gamma / 2 * R1)."""
    penalty_weight_end: float | None = None
    """The weight that penalty_weight falls (or rises) to along half a cosine, over train.decay_kimg; or none."""
    penalty_interval: int = 1
    """Penalise every so many iterations; above 1 in a pass of its own, scaled as in StyleGAN2, appendix B."""
    clip: float | None = None
    """With the loss wasserstein: hold every weight of the discriminator within +-clip (WGAN takes 0.01); or none."""
    path_length: float = 0.0
    """Path length regularisation of the generator (stylegan), in units of StyleGAN2's own weight; 0 is off."""
    path_length_interval: int = 4
    """Regularise path lengths every so many iterations; above 1 in a pass of its own, as lazy penalties."""
    reconstruction: float = 0.0
    """What the generator's mean absolute error counts for where it reconstructs real images from latents that are
    made of their principal components (fastgan/training/codes.py); 0 is off."""
    reconstruction_interval: int = 4
    """Reconstruct every so many iterations, in a pass of its own that counts as often."""
    auxiliary_weight: float = 1.0
    """With model.conditioning = "auxiliary": what the classifier's loss counts for, in both networks."""
    spectral_norm: bool = False
    """Divide every weight of the discriminator by its largest singular value. Batch norm, if any, stays in."""

    def __post_init__(self) -> None:
        clip = self.clip
        require(
            clip is None or 0 < clip < math.inf, f'loss.clip = {clip} must be above 0 and finite, or "none"'
        )
        require(
            clip is None or self.name == "wasserstein",
            f"loss.clip belongs to the loss wasserstein, not to {self.name}: leave it out, or take that loss",
        )
        require(
            0 <= self.penalty_weight < math.inf,
            f"loss.penalty_weight = {self.penalty_weight} must not be negative",
        )
        end = self.penalty_weight_end
        require(
            end is None or (0 <= end < math.inf and self.penalty_weight > 0),
            f"loss.penalty_weight_end = {end} must not be negative, and loss.penalty_weight must be above 0",
        )
        require(
            0 <= self.path_length < math.inf, f"loss.path_length = {self.path_length} must not be negative"
        )
        for key in ("auxiliary_weight", "reconstruction"):
            require(
                0 <= getattr(self, key) < math.inf,
                f"loss.{key} = {getattr(self, key)} must not be negative",
            )
        for key in ("penalty_interval", "path_length_interval", "reconstruction_interval"):
            require(getattr(self, key) >= 1, f"loss.{key} = {getattr(self, key)} must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Who judges the images."""

    name: Literal["own", "projected"] = "own"
    """The model's own discriminator, or one on frozen pretrained features (Projected GAN), for any model."""
    features: str = "effnet-lite0"
    """projected: the pretrained network, effnet-lite0, or an .onnx file."""
    size: int | None = None
    """projected: the side that images are resized to, a multiple of 32 pixels; or none: theirs, within 64 to 256."""
    width: int = 64
    """projected: channels of the finest mixed features; its discriminators end with four times as many."""

    def __post_init__(self) -> None:
        size = self.size
        require(
            size is None or (32 <= size <= 1024 and size % 32 == 0),
            f'discriminator.size = {size} must be a multiple of 32 from 32 to 1024, or "none"',
        )
        require(
            1 <= self.width <= 1024,
            f"discriminator.width = {self.width} must be a whole number from 1 to 1024",
        )
