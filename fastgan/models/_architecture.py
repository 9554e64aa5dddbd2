"""What a model must have, as a type checker sees it: it holds every file of this folder to these protocols, below.

Networks are torch modules besides. What they can do beyond the common is a protocol too, and a flag of the class says
that a generator does it, so that settings can be refused before anything is built.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor, nn

from fastgan.models._config import ModelConfig

C = TypeVar("C", bound=ModelConfig)
C_contra = TypeVar("C_contra", bound=ModelConfig, contravariant=True)


class Generator(Protocol):
    """z [N, z_dim], c [N, condition_dim] -> images [N, img_channels, R, R], about [-1, 1], float32 or wider."""

    has_truncation: bool
    """Whether it is a `Styled`."""
    grows: bool
    """Whether it is a `GrowingGenerator`, and its discriminator a `GrowingDiscriminator`."""
    z_dim: int
    condition_dim: int
    """0: it takes no c."""

    @property
    def noise_shapes(self) -> Sequence[tuple[int, int, int, int]]:
        """[1, 1, h, w] of each plane of noise that it takes."""

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float | Tensor = 1.0,
        noise: list[Tensor] | None = None,
    ) -> Tensor:
        """One image for each row of `z`, as the row of `c` asks; truncation and noise mean nothing to some."""


class Styled(Generator, Protocol):
    """Makes images of an intermediate latent w [N, layers, w_dim], towards whose mean truncation pulls."""

    @property
    def mapping(self) -> nn.Module:
        """z, c -> w [N, layers, w_dim]."""

    def layers(self, resolution: int | None = None, /) -> int:
        """How many of w's layers make an image of `resolution`; None: the full one."""

    def truncate(self, w: Tensor, psi: float | Tensor, cutoff: int | Tensor | None = None) -> Tensor:
        """w, pulled towards its mean in the first `cutoff` layers (None: in all): 0 is the mean, 1 changes nothing."""

    def synthesis(
        self,
        w: Tensor,
        noise: list[Tensor] | None = None,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """w [N, layers, w_dim] -> images [N, img_channels, r, r]."""


class Discriminator(Protocol):
    """Images [N, img_channels, R, R] -> features phi, and these with c -> logits [N], or [N, P] of patches."""

    classes: int
    judges_alone: bool
    """Whether real and fake images may be judged as one batch, none of which depends on another."""

    @property
    def auxiliary(self) -> nn.Module | None:
        """The classifier beside the logit, where conditioning is "auxiliary"."""

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, phi [N, ...], float32 or wider."""

    def judge(self, phi: Tensor, c: Tensor | None) -> Tensor:
        """The larger, the more real the images look, and the more like c."""

    def guess(self, phi: Tensor) -> Tensor:
        """What the images show [N, classes + attributes], of one that has the classifier."""

    def own_error(self, phi: Tensor, images: Tensor) -> Tensor | None:
        """A scalar to minimise beside the loss on real images; None: nothing of its own."""


class GrowingGenerator(Generator, Protocol):
    """Runs at any lower resolution from 4 px."""

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float | Tensor = 1.0,
        noise: list[Tensor] | None = None,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """Images of `resolution` (None: the full one), with `alpha` below 1 blended with the one before, doubled."""


class GrowingDiscriminator(Discriminator, Protocol):
    """Sees images of any lower resolution from 4 px."""

    def features(
        self, images: Tensor, *, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """phi of `images` of `resolution` (None: the full one), with `alpha` below 1 blended with those halved."""


class GeneratorClass(Protocol[C_contra]):
    """A class of generators: what they can do is known before there is one."""

    @property
    def has_truncation(self) -> bool:
        """See `Generator`."""

    @property
    def grows(self) -> bool:
        """See `Generator`."""

    def __call__(self, config: C_contra, /) -> Generator:
        """A generator, a torch module, freshly initialised."""


class Architecture(Protocol[C]):
    """A file of this folder."""

    @property
    def Config(self) -> type[C]:  # noqa: N802
        """Its settings."""

    @property
    def Generator(self) -> GeneratorClass[C]:  # noqa: N802
        """Its generators."""

    def Discriminator(self, config: C, /) -> Discriminator:  # noqa: N802
        """A discriminator, a torch module, freshly initialised."""


if TYPE_CHECKING:
    from fastgan.models import dcgan, r3gan, sle, stylegan, swift
    from fastgan.nn import ProjectedDiscriminator

    _dcgan: Architecture[dcgan.Config] = dcgan
    _r3gan: Architecture[r3gan.Config] = r3gan
    _sle: Architecture[sle.Config] = sle
    _swift: Architecture[swift.Config] = swift
    _stylegan: Architecture[stylegan.Config] = stylegan

    def _styled(generator: stylegan.Generator) -> Styled:
        return generator

    def _grows(generator: stylegan.Generator) -> GrowingGenerator:
        return generator

    def _grows_too(discriminator: stylegan.Discriminator) -> GrowingDiscriminator:
        return discriminator

    def _projected(discriminator: ProjectedDiscriminator) -> Discriminator:
        return discriminator
