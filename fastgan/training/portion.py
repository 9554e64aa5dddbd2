"""A length of training as a portion of the planned images: "2.5%" in the place of a number of kimg."""

import re

from fastgan.config import said
from fastgan.errors import ConfigError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)
_MOST = 10.0


class Portion(float):
    """So many planned runs: 0.025 of "2.5%". `fastgan.training.planned` makes thousands of images of it."""

    @classmethod
    def parse(cls, text: object, where: str) -> "Portion":
        """Read "2.5%"; ConfigError for all else, and for more than 1000%."""
        match = _PERCENT.fullmatch(text.strip()) if isinstance(text, str) else None
        portion = float(match[1]) / 100 if match else _MOST + 1
        if portion > _MOST:
            raise ConfigError(
                f"{where} = {said(text)} must be thousands of images, or a portion of the planned images from 0% to "
                f'{_MOST:.0%}, as in 10 or "2.5%"'
            )
        return cls(portion)

    def __str__(self) -> str:
        """The text that `parse` reads back."""
        return f"{100 * float(self):.12g}%"

    __repr__ = __str__
