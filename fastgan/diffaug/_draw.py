"""Random numbers for a batch of images, one a sample: [N, 1, 1, 1], on the images' device.

Drawn in float32 whatever the images are, so that the same seed means the same transforms at every precision.
"""

from torch import Tensor

from fastgan import draws

Probability = float | Tensor
"""p in [0, 1]: a number, or a 0-dim tensor on the images' device, which a CUDA graph reads anew at each replay."""


def uniform(images: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform in [low, high), in the images' dtype."""
    drawn = draws.uniform(images.shape[0], 1, 1, 1, device=images.device)
    return (low + (high - low) * drawn).to(images.dtype)


def normal(images: Tensor) -> Tensor:
    """Standard normal, in the images' dtype."""
    return draws.normal(images.shape[0], 1, 1, 1, device=images.device).to(images.dtype)


def integer(images: Tensor, most: int) -> Tensor:
    """A whole number from -most to most, each as likely, int64."""
    return draws.integers(-most, most + 1, images.shape[0], 1, 1, 1, device=images.device)


def chosen(images: Tensor, p: Probability) -> Tensor:
    """True with probability p: never at 0, always at 1."""
    return draws.uniform(images.shape[0], 1, 1, 1, device=images.device) < p


def coin(images: Tensor) -> Tensor:
    """True half of the time."""
    return chosen(images, 0.5)
