"""Good pixels are never lost over metadata: what is wrong with it is left out, the orientation used if it is there."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fastgan.data.decode import BadImageError, decode, quiet, read_header
from tests.data.images import encoded, noise

_Y, _X = np.mgrid[:16, :24]
PICTURE = np.stack([_X * 10, _Y * 15, (_X + _Y) * 6], -1).astype(np.uint8)
UPRIGHT, TURNED = PICTURE[:, 4:20], np.rot90(PICTURE, -1)[4:20]
SIX = (0x112, 3, 1, struct.pack("<H", 6))


def directory(*entries: tuple[int, int, int, bytes], base: int = 0) -> bytes:
    """A TIFF directory at 8: (tag, type, count, value), as EXIF has it; values too long for their place follow."""
    at, later, body = base + 8 + 2 + 12 * len(entries) + 4, b"", struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHI", tag, kind, count)
        body += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", at + len(later))
        later += value if len(value) > 4 else b""
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(4) + later


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    whole = encoded(PICTURE, "JPEG", quality=95).getvalue()
    before = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments
    )
    return whole[:2] + before + whole[2:]


def jpeg_exif(exif: bytes) -> bytes:
    return jpeg((0xE1, b"Exif\0\0" + exif))


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def png(*chunks: bytes, behind: bool = False) -> bytes:
    whole = encoded(PICTURE).getvalue()
    at = len(whole) - 12 if behind else 33
    return whole[:at] + b"".join(chunks) + whole[at:]


def webp(exif: bytes) -> bytes:
    return encoded(PICTURE, "WEBP", lossless=True, exif=exif).getvalue()


def tiff(*more: tuple[int, int, int, bytes]) -> bytes:
    raw = PICTURE.tobytes()
    entries = [
        (256, 3, 1, b"\x18\0"), (257, 3, 1, b"\x10\0"), (258, 3, 3, struct.pack("<3H", 8, 8, 8)),
        (259, 3, 1, b"\1\0"), (262, 3, 1, b"\2\0"), (277, 3, 1, b"\3\0"), (278, 3, 1, b"\x10\0"),
        (279, 4, 1, struct.pack("<I", len(raw))), (273, 4, 1, bytes(4)), *more,
    ]  # fmt: skip
    start = len(directory(*entries))
    entries = [(273, 4, 1, struct.pack("<I", start)) if entry[0] == 273 else entry for entry in entries]
    return directory(*sorted(entries)) + raw


LONG = zlib.compress(bytes(b"x" * (3 << 20)))
BOTH_WAYS = {  # name -> (file, whether it is to be turned)
    "exif": (jpeg_exif(directory(SIX)), True),
    "software is a number": (jpeg_exif(directory(SIX, (0x131, 5, 1, b"\1\0\0\0\1\0\0\0"))), True),
    "resolution is a text": (jpeg_exif(directory(SIX, (0x11A, 2, 8, b"abcdefg\0"), (0x128, 3, 1, b"\2\0"))), True),
    "resolution is bytes": (jpeg_exif(directory(SIX, (0x11A, 7, 8, b"abcdefgh"), (0x128, 3, 1, b"\2\0"))), True),
    "unknown type": (jpeg_exif(directory(SIX, (0x131, 99, 1, b"xxxx"))), True),
    "a count of 4 billion": (jpeg_exif(directory(SIX, (0x131, 2, 0xFFFFFFFF, b"xxxxxxxx"))), True),
    "exif cut short": (jpeg_exif(directory(SIX, (0x131, 2, 400, b"x" * 400))[:24]), True),
    "exif in a circle": (jpeg_exif(directory(SIX, (0x8769, 4, 1, struct.pack("<I", 8)))), True),
    "no exif at all": (jpeg_exif(b"garbage"), False),
    "orientation 99": (jpeg_exif(directory((0x112, 3, 1, b"\x63\0"))), False),
    "orientation is a text": (jpeg_exif(directory((0x112, 2, 2, b"6\0"))), False),
    "profile": (jpeg((0xE2, b"ICC_PROFILE\0\1")), False),
    "profile and exif": (jpeg((0xE2, b"ICC_PROFILE\0\1"), (0xE1, b"Exif\0\0" + directory(SIX))), True),
    "xmp": (jpeg((0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"')), True),
    "photoshop": (jpeg((0xED, b"Photoshop 3.0\0008BIM\4\4")), False),
    "several pictures": (jpeg((0xE2, b"MPF\0garbage")), False),
    "several pictures, none there": (jpeg((0xE2, b"MPF\0" + directory((0xB001, 4, 1, b"\2\0\0\0")))), False),
    "adobe cut short": (jpeg((0xEE, b"Adobe")), False),
    "jfif cut short": (jpeg((0xE0, b"JFIF\0")), False),
    "png exif": (png(chunk(b"eXIf", directory(SIX))), True),
    "png exif that is none": (png(chunk(b"eXIf", b"nonsense")), False),
    "png exif with another checksum": (png(chunk(b"eXIf", directory(SIX), 5)), True),
    "png text of 3 MB": (png(chunk(b"zTXt", b"k\0\0" + LONG)), False),
    "png text of 3 MB, and exif": (png(chunk(b"eXIf", directory(SIX)), chunk(b"iTXt", b"k\0\1\0\0\0" + LONG)), True),
    "png text behind the pixels": (png(chunk(b"zTXt", b"k\0\0" + LONG), behind=True), False),
    "png text cut short behind the pixels": (png(chunk(b"tEXt", b"x" * 99), behind=True)[:-80], False),
    "png profile": (png(chunk(b"iCCP", b"n\0\5")), False),
    "png profile of 3 MB": (png(chunk(b"iCCP", b"n\0\0" + LONG)), False),
    "png density": (png(chunk(b"pHYs", b"a")), False),
    "png gamma": (png(chunk(b"gAMA", b"a")), False),
    "png animation": (png(chunk(b"acTL", b"")), False),
    "png raw profile": (png(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  4\nzz\n")), False),
    "png unknown chunk": (png(chunk(b"caBX", b"xx", 7)), False),
    "webp exif": (webp(b"Exif\0\0" + directory(SIX, (0x131, 3, 1, b"\1\0"))), True),
    "webp exif that is none": (webp(b"nonsense"), False),
    "webp exif cut short": (webp(b"Exif\0\0" + directory(SIX, (0x131, 2, 9, b"abcdefgh\0")))[:-3], True),
    "tiff": (tiff(SIX), True),
    "tiff software": (tiff(SIX, (305, 3, 1, b"\1\0")), True),
    "tiff xmp is a number": (tiff(SIX, (700, 3, 1, b"\1\0")), True),
    "tiff profile": (tiff((34675, 3, 1, b"\1\0")), False),
}  # fmt: skip


@pytest.mark.parametrize("what", BOTH_WAYS)
def test_good_pixels_are_never_lost_over_metadata(what):
    content, is_turned = BOTH_WAYS[what]
    with quiet():
        header = read_header(io.BytesIO(content))
        pixels, side = decode(io.BytesIO(content), 16, 3)
    assert (header.short_side, header.long_side, side) == (16, 24, 16)
    np.testing.assert_allclose(pixels.astype(int), TURNED if is_turned else UPRIGHT, atol=14)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_pixels_that_are_cut_short_stay_an_error_whatever_the_metadata(kind, keep):
    exif = {} if kind == "TIFF" else {"exif": b"Exif\0\0nonsense"}
    whole = encoded(noise(64, 64), kind, **exif).getvalue()
    if kind == "PNG":  # refused at once for its text
        whole = whole[:33] + chunk(b"zTXt", b"k\0\0" + LONG) + whole[33:]
    if kind == "JPEG":
        whole = whole[:2] + b"\xff\xe2\0\x10ICC_PROFILE\0\1" + whole[2:]
    pixels = 3500 if kind == "PNG" else 0
    with quiet(), pytest.raises(BadImageError):
        decode(io.BytesIO(whole[: pixels + int(keep * (len(whole) - pixels))]), 16, 3)


def test_the_second_picture_of_a_stereo_photo_is_left_out():
    file = encoded(PICTURE, "MPO", save_all=True, append_images=[Image.fromarray(255 - PICTURE)], quality=95)
    np.testing.assert_allclose(decode(file, 16, 3)[0].astype(int), UPRIGHT, atol=14)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind):
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 200, 0))
    file = encoded(first, kind, save_all=True, append_images=[second], lossless=True)
    assert (decode(file, 8, 3)[0] == (200, 0, 0)).all()


def test_heic_is_read_and_turned():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x112] = 6
    for options, expected in (({}, UPRIGHT), ({"exif": exif.tobytes()}, TURNED)):
        file = encoded(PICTURE, "HEIF", quality=-1, **options)
        np.testing.assert_allclose(decode(file, 16, 3)[0].astype(int), expected, atol=14)
