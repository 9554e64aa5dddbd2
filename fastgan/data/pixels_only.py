"""Image files without their metadata, for those whose pixels are good and whose metadata no library can read.

What is left out holds no pixels: EXIF, XMP, colour profiles, thumbnails, texts, times, densities. The orientation is
read first, by a reader that minds nothing else.
"""

import io
import struct
from typing import BinaryIO, Literal

from PIL import ExifTags, Image

Order = Literal["little", "big"]
_ORDERS: dict[bytes, Order] = {b"II*\0": "little", b"MM\0*": "big"}
_WHOLE = {1: 1, 3: 2, 4: 4}
"""Types of whole numbers in TIFF and EXIF -> bytes"""
_ORIENTATIONS = range(1, 9)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_JPEG_KEPT = {0xE0: 14, 0xEE: 12}
"""Application segments that tell how colours are stored (JFIF, Adobe), and the least length that makes sense"""
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_TIFF_KEPT = {
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332,
    338, 339, 347, 512, 513, 514, 530, 531, 532,
}  # fmt: skip
"""Tags of TIFF 6.0 and its supplements without which pixels cannot be told"""


def orientation(image: Image.Image) -> int:
    """How an image is to be turned, 1 (not at all) to 8, as EXIF counts; 1 where nothing that can be read says it."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # metadata may make PIL raise anything
        found = None
    if isinstance(found, int) and found in _ORIENTATIONS:
        return found
    exif = image.info.get("exif")
    return orientation_of(exif) if isinstance(exif, bytes) else 1


def orientation_of(exif: bytes) -> int:
    """`orientation` by the first directory of an EXIF block, whatever else is in it."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = _ORDERS.get(exif[:4])
    if order is None:
        return 1
    start = int.from_bytes(exif[4:8], order)
    for entry in _entries(exif, start, order):
        tag, kind, count = (int.from_bytes(entry[a:b], order) for a, b in ((0, 2), (2, 4), (4, 8)))
        if tag == ExifTags.Base.Orientation and count == 1 and kind in _WHOLE:
            found = int.from_bytes(entry[8 : 8 + _WHOLE[kind]], order)
            return found if found in _ORIENTATIONS else 1
    return 1


def _entries(content: bytes, start: int, order: Order) -> list[bytes]:
    """The entries of a TIFF directory, as far as they are there."""
    end = start + 2 + 12 * int.from_bytes(content[start : start + 2], order)
    return [content[at : at + 12] for at in range(start + 2, min(end, len(content) - 11), 12)]


def pixels_only(file: BinaryIO) -> tuple[BinaryIO, int] | None:
    """The image in `file` without metadata, and its orientation; None for formats in which they are not told apart.

    Damage to the pixels stays as it is, for the decoder to find.
    """
    file.seek(0)
    content = file.read()
    if content.startswith(_PNG):
        plain, turned = _png(content)
    elif content.startswith(b"\xff\xd8"):
        plain, turned = _jpeg(content)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        plain, turned = _webp(content)
    elif content[:4] in (b"II*\0", b"MM\0*"):
        plain, turned = _tiff(content), 1  # the tag is kept, and PIL turns the image itself
    else:
        return None
    return io.BytesIO(plain), turned


def _png(content: bytes) -> tuple[bytes, int]:
    kept, turned, at, kind = [_PNG], 1, len(_PNG), b""
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if kind in _PNG_KEPT:
            kept.append(content[at:end])
        elif kind == b"eXIf":
            turned = orientation_of(content[at + 8 : end - 4])
        at = end
    if at > len(content) and kind not in _PNG_KEPT:  # metadata behind the pixels that are cut short
        kept.append(b"\0\0\0\0IEND\xaeB`\x82")
    return b"".join(kept), turned


def _jpeg(content: bytes) -> tuple[bytes, int]:
    kept, turned, at = [content[:2]], 1, 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:  # the pixels begin
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at:end]
        is_application = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if segment[4:10] == b"Exif\0\0" and turned == 1:
            turned = orientation_of(segment[4:])
        if not is_application or len(segment) - 4 >= _JPEG_KEPT.get(marker, len(segment)):
            kept.append(segment)
        at = end
    return b"".join([*kept, content[at:]]), turned


def _webp(content: bytes) -> tuple[bytes, int]:
    kept, turned, at = [], 1, 12
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, at)
        end = at + 8 + length + length % 2
        if kind == b"VP8X" and length >= 10:  # its first byte says which metadata follow: none
            kept.append(content[at : at + 8] + bytes([content[at + 8] & 0x12]) + content[at + 9 : end])
        elif kind in _WEBP_KEPT:
            kept.append(content[at:end])
        elif kind == b"EXIF":
            turned = orientation_of(content[at + 8 : end])
        at = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body, turned


def _tiff(content: bytes) -> bytes:
    order = _ORDERS[content[:4]]
    start = int.from_bytes(content[4:8], order)
    kept = [
        entry for entry in _entries(content, start, order) if int.from_bytes(entry[:2], order) in _TIFF_KEPT
    ]
    directory = len(kept).to_bytes(2, order) + b"".join(kept) + bytes(4)  # and no directory after it
    return content[:start] + directory + content[start + len(directory) :]
