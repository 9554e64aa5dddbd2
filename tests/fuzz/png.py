"""Mutations of a PNG by its chunks, with checksums that are right."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random

_PNG = b"\x89PNG\r\n\x1a\n"


def chunk(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise ValueError("no PNG")
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    kind = random.choice(
        (
            "size",
            "depth",
            "lost",
            "twice",
            "order",
            "text",
            "exif",
            "profile",
            "palette",
            "unknown",
            "empty",
            "animation",
            "bomb",
        )
    )
    header = chunks[0][1]
    more = {
        "text": (b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * (3 << 20))),
        "exif": (
            b"eXIf",
            random.choice(
                (
                    b"",
                    b"II*\0\x08\0\0\0\xff\xff",
                    b"Exif\0\0" + b"\xff" * 40,
                    b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x01\0\x06\0\0",
                )
            ),
        ),
        "profile": (b"iCCP", b"x\0\0" + random.choice((b"", b"\xff" * 50, zlib.compress(bytes(200))))),
        "palette": (b"PLTE", b"\x01\x02"),
        "unknown": (random.choice((b"ABCD", b"abcd")), b"hello"),
        "animation": (b"acTL", struct.pack(">II", 0xFFFFFFF, 0)),
    }.get(kind)
    if kind == "size":
        width, height = random.choice(
            ((0, 16), (16, 0), (2**31 - 1, 2**31 - 1), (30_000, 30_000), (16, 17), (1, 1), (2**32 - 1, 1))
        )
        chunks[0] = (b"IHDR", struct.pack(">II", width, height) + header[8:])
    elif kind == "depth":
        chunks[0] = (
            b"IHDR",
            header[:8]
            + bytes(random.choice(((3, 2), (16, 3), (8, 7), (1, 2), (16, 6), (8, 4))))
            + header[10:],
        )
    elif kind == "lost":
        del chunks[random.randrange(len(chunks))]
    elif kind == "twice":
        chunks.insert(1, random.choice(chunks))
    elif kind == "order":
        random.shuffle(chunks)
    elif kind == "empty":
        chunks = [(name, b"" if name == b"IDAT" else data) for name, data in chunks]
    elif kind == "bomb":
        chunks = [(name, zlib.compress(bytes(1 << 26)) if name == b"IDAT" else data) for name, data in chunks]
    elif more:
        chunks.insert(1, more)
    path.write_bytes(
        _PNG
        + b"".join(
            struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
        )
    )
    return f"chunks: {kind}"
