"""Settings that all models share: what their images are, and what they are conditioned on."""

from dataclasses import dataclass

from fastgan.models import _checks
from fastgan.nn import CONDITIONINGS


@dataclass(frozen=True, kw_only=True)
class Images:
    """Base of every model's Config."""

    resolution: int = 64
    """Height and width of the images: a power of two from 8 to 4096."""
    img_channels: int = 3
    """Channels of the images, 1 to 4."""
    classes: int = 0
    """Classes that images are asked for by; 0: none. Training takes it from the data (data.conditional)."""
    attributes: int = 0
    """Attributes that images are asked for by; 0: none. From the data, too."""
    conditioning: str = "projection"
    """How the discriminator uses conditions: "projection" (Miyato & Koyama 2018), or "auxiliary", a classifier beside
    the logit (Odena et al. 2017)."""

    def __post_init__(self) -> None:
        _checks.images(self.resolution, self.img_channels)
        _checks.integer("classes", self.classes, 0, 65536)
        _checks.integer("attributes", self.attributes, 0, 65536)
        _checks.choice("conditioning", self.conditioning, CONDITIONINGS)

    @property
    def condition_dim(self) -> int:
        """Length of the condition vector c (fastgan.nn.conditions.encode); 0: unconditional."""
        return self.classes + 2 * self.attributes
