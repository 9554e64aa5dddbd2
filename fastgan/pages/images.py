"""Images inside a page, as data: addresses."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 1024  # pixels: what is larger than a screen is made smaller


def address(content: bytes, kind: str) -> str:
    """The bytes of an image file of the format `kind` (png, webp) as a data: address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def small_address(image: "Image") -> str:
    """`image`, made smaller in place if above 1024 px, as WebP of quality 90 or, where Pillow lacks that, PNG.

    Raises OSError and the other errors of Pillow where `image` cannot be decoded.
    """
    from PIL import features

    kind = "webp" if features.check("webp") else "png"
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 90, "method": 4} if kind == "webp" else {}))
    return address(buffer.getvalue(), kind)
