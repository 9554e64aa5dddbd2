"""Settings that all models share: what their images are, and what they are conditioned on."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from fastgan.models import _checks
from fastgan.nn import CONDITIONINGS


class Undecided(int):
    """A default that is replaced by what the data have, where nobody asks for a value."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Base of every model's Config; `models.configure` makes one of a table."""

    resolution: int = Undecided(64)
    """Height and width of the images: a power of two from 8 to 4096."""
    img_channels: int = Undecided(3)
    """Channels of the images, 1 to 4."""
    classes: int = Undecided(0)
    """Classes that images are asked for by; 0: none. Training takes it from the data (data.conditional)."""
    attributes: int = Undecided(0)
    """Attributes that images are asked for by; 0: none. From the data, too."""
    conditioning: str = "projection"
    """How the discriminator uses conditions: "projection" (Miyato & Koyama 2018), or "auxiliary", a classifier beside
    the logit (Odena et al. 2017)."""
    z_dim: int = 128
    """Length of the latent vector."""

    def __post_init__(self) -> None:
        _checks.images(self.resolution, self.img_channels)
        _checks.integer("classes", self.classes, 0, 65536)
        _checks.integer("attributes", self.attributes, 0, 65536)
        _checks.choice("conditioning", self.conditioning, CONDITIONINGS)
        _checks.integer("z_dim", self.z_dim, 1, 65536)

    @property
    def name(self) -> str:
        """The model's: the file of fastgan/models/ that this Config stands in."""
        return type(self).__module__.rpartition(".")[2]

    def asked(self, key: str) -> int | None:
        """What was asked of resolution, img_channels, classes or attributes; None where it is left to the data."""
        value: int = getattr(self, key)
        return None if isinstance(value, Undecided) else value

    @property
    def undecided(self) -> dict[str, Any]:
        """What is left to the data, with its default."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: int(value) for key, value in values.items() if isinstance(value, Undecided)}

    def decided(self) -> Self:
        """The same with the defaults of all that the data were to decide."""
        return replace(self, **self.undecided)

    @property
    def condition_dim(self) -> int:
        """Length of the condition vector c (fastgan.nn.conditions.encode); 0: unconditional."""
        return self.classes + 2 * self.attributes
