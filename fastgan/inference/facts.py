"""What there is to know about a model that can generate, whatever runs it."""

from dataclasses import dataclass

from fastgan.brief import brief


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What there is to know about a model that can generate, whatever runs it."""

    __repr__ = brief

    source: str
    """The path that was opened."""
    model: str
    """Name of the architecture, as in fastgan/models/."""
    resolution: int
    img_channels: int
    z_dim: int
    has_truncation: bool
    cur_nimg: int | None
    """Real images seen in training, where that is known."""
    data_hash: str | None
    """Content hash of the data set it was trained on, where that is known."""
    fingerprint: str
    """SHA-256 that changes when any weight changes."""
    layers: int = 0
    """Layers with a style of their own, two a resolution from 4 px up; 0 where there are no styles."""
    noise_sizes: tuple[int, ...] = ()
    """Side in pixels of the square of noise that each layer takes; empty where the model takes none."""
    class_names: tuple[str, ...] = ()
    """What the model can be asked for as classes, in the order of its labels; empty where it takes none."""
    attribute_names: tuple[str, ...] = ()
    """What the model can be asked for as attributes."""

    @property
    def condition_dim(self) -> int:
        """Length of a condition vector: one-hot label, attribute values, flags of those known."""
        return len(self.class_names) + 2 * len(self.attribute_names)

    @property
    def words(self) -> str:
        """How messages name the model."""
        return f"{self.source}: this {self.model} model"
