"""Settings of the images: the table [data] of config.toml. Standard library only."""

from dataclasses import dataclass
from typing import Literal

from fastgan.config import require


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from and how they are shown."""

    source: str = ""
    """Folder, zip or packed .fgd; the command line's SOURCE."""
    fit: Literal["crop", "pad"] = "crop"
    """What is not square: "crop" it centrally, or "pad" it with black (transparent with 4 channels)."""
    split: Literal["train", "val", "test", "extra", "all"] | None = None
    """Which official part of the set; "none": train where it has parts."""
    kind: str | None = None
    """How to read the source, where it could be read in several ways: cifar, folder ... (see fastgan/data/sources/)."""
    mirror: bool = False
    """Show each image flipped left to right half of the time."""
    flip_vertical: bool = False
    """Show each image flipped top to bottom half of the time, where images have no up: cells, satellites."""
    rotate: float = 0.0
    """Show each image turned by up to so many degrees either way, uniformly: 180 is any way round."""
    scale: float = 0.0
    """Show each image zoomed by a factor from 1 / (1 + scale) to 1 + scale: 0.1 is up to a tenth larger or smaller."""
    conditional: Literal["none", "auto", "labels", "attributes", "both"] = "none"
    """What images can be asked for by: the data's class labels, its attributes (values as they are), both, or all that
    it has ("auto"). model.classes and model.attributes follow from it."""
    max_bad: int | float | str = 0.01
    """How many unreadable images are skipped before training refuses to start: "1%", 0.01, or a count such as 5."""
    max_pixels: int | None = None
    """Images of more pixels are skipped as unreadable; "none": fastgan.data.decode.MAX_PIXELS, 89 million."""
    holdout: float = 0.0
    """Share of the images, drawn by train.seed, that is never trained on: r_v in the log then shows overfitting."""

    def __post_init__(self) -> None:
        require(
            0 <= self.rotate <= 180, f"data.rotate = {self.rotate} must lie in [0, 180], degrees either way"
        )
        require(0 <= self.scale <= 1, f"data.scale = {self.scale} must lie in [0, 1], as in 0.1")
        require(
            self.max_pixels is None or 1 <= self.max_pixels < 1 << 40,
            f"data.max_pixels = {self.max_pixels} must be a number of pixels, such as 200000000",
        )
        require(0 <= self.holdout < 1, f"data.holdout = {self.holdout} must lie in [0, 1), as in 0.05")
