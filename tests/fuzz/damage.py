"""Mutations that any file can meet: bits, pieces and ends of it, and what may lie in its place.

Each is a function of (random, path, others) that changes `path` in place and returns a few words; others: further files
of the example, of other kinds.
"""

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

Damage = Callable[[Random, Path, Sequence[Path]], str]


def _place(random: Random, size: int) -> int:
    """A byte, half of the time near the start, where the headers are."""
    if size <= 1:
        return 0
    return random.randrange(min(size, 256)) if random.random() < 0.4 else random.randrange(size)


def flip_bit(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        return empty(random, path, others)
    at, bit = _place(random, len(content)), random.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {at} of {len(content)} flipped"


def set_bytes(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = bytearray(path.read_bytes())
    places = [_place(random, len(content)) for _ in range(random.randint(2, 12))]
    for at in places:
        if at < len(content):
            content[at] = random.choice((0, 255, 127, 128, 10, 34, random.randrange(256)))
    path.write_bytes(content)
    return f"{len(places)} bytes set, the first at {min(places)}"


def truncate(random: Random, path: Path, others: Sequence[Path]) -> str:
    size = path.stat().st_size
    kept = max(size - random.randint(1, 16), 0) if random.random() < 0.3 else random.randrange(max(size, 1))
    os.truncate(path, kept)
    return f"cut to {kept} of {size} bytes"


def grow(random: Random, path: Path, others: Sequence[Path]) -> str:
    more = random.choice((1, 7, 512, 4096, 70_000))
    kind = random.randrange(3)
    with open(path, "ab") as file:
        file.write(bytes(more) if kind == 0 else random.randbytes(more) if kind == 1 else b"\n" * more)
    return f"{more} bytes of {('zeros', 'noise', 'line ends')[kind]} appended"


def zero(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = bytearray(path.read_bytes())
    at, length = _place(random, len(content)), random.choice((4, 64, 512, 4096))
    content[at : at + length] = bytes(len(content[at : at + length]))
    path.write_bytes(content)
    return f"{length} bytes from {at} on zeroed"


def noise(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = bytearray(path.read_bytes())
    at, length = _place(random, len(content)), random.choice((3, 16, 200))
    content[at : at + length] = random.randbytes(len(content[at : at + length]))
    path.write_bytes(content)
    return f"{length} bytes from {at} on made noise"


def swap(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = path.read_bytes()
    length = max(len(content) // random.choice((3, 9, 50)), 1)
    a, b = sorted(random.randrange(max(len(content) - length, 1)) for _ in range(2))
    if b < a + length:
        b = min(a + length, len(content))
    mixed = content[:a] + content[b : b + length] + content[a + length : b] + content[a : a + length]
    path.write_bytes(mixed + content[b + length :])
    return f"{length} bytes at {a} and {b} swapped"


def repeat(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = path.read_bytes()
    at, length = _place(random, len(content)), random.choice((1, 30, 512, 5000))
    path.write_bytes(content[: at + length] + content[at:])
    return f"{length} bytes from {at} on repeated"


def leave_out(random: Random, path: Path, others: Sequence[Path]) -> str:
    content = path.read_bytes()
    at, length = _place(random, len(content)), random.choice((1, 8, 512))
    path.write_bytes(content[:at] + content[at + length :])
    return f"{length} bytes from {at} on left out"


def empty(random: Random, path: Path, others: Sequence[Path]) -> str:
    path.write_bytes(b"")
    return "emptied"


def all_noise(random: Random, path: Path, others: Sequence[Path]) -> str:
    path.write_bytes(random.randbytes(random.choice((1, 9, 300, 20_000))))
    return "replaced by noise"


def other_kind(random: Random, path: Path, others: Sequence[Path]) -> str:
    choices = [other for other in others if other.suffix != path.suffix]
    texts = (
        b"null",
        b"[]",
        b"{}",
        b"<html><script>alert(1)</script></html>",
        b"\x80\x04N.",
        b"\0" * 100,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
    )
    if choices and random.random() < 0.6:
        other = random.choice(choices)
        shutil.copyfile(other, path)
        return f"replaced by {other.name}"
    content = random.choice(texts)
    path.write_bytes(content)
    return f"replaced by {content[:30]!r}"


def _put(path: Path, make: Callable[[], object]) -> None:
    path.unlink()
    make()


def pipe(random: Random, path: Path, others: Sequence[Path]) -> str:
    _put(path, lambda: os.mkfifo(path))
    return "replaced by a named pipe"


def device(random: Random, path: Path, others: Sequence[Path]) -> str:
    target = random.choice(("/dev/zero", "/dev/null", "/dev/full", "/dev/urandom"))
    _put(path, lambda: path.symlink_to(target))
    return f"replaced by a link to {target}"


def loop(random: Random, path: Path, others: Sequence[Path]) -> str:
    target = random.choice((path.name, "nowhere-at-all", "..", "."))
    _put(path, lambda: path.symlink_to(target))
    return f"replaced by a link to {target}"


def folder(random: Random, path: Path, others: Sequence[Path]) -> str:
    _put(path, path.mkdir)
    return "replaced by a folder"


def listener(random: Random, path: Path, others: Sequence[Path]) -> str:
    here = os.getcwd()
    path.unlink()
    os.chdir(path.parent)  # the whole path may be too long for a socket's name
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)
    return "replaced by a socket"


def unreadable(random: Random, path: Path, others: Sequence[Path]) -> str:
    path.chmod(0)
    return "made unreadable"


def missing(random: Random, path: Path, others: Sequence[Path]) -> str:
    path.unlink()
    return "removed"


def huge(random: Random, path: Path, others: Sequence[Path]) -> str:
    size = random.choice((3 << 30, 40 << 30))
    os.truncate(path, size)
    return f"grown to {size >> 30} GiB without blocks"


CONTENT: dict[str, Damage] = {
    "bit flip": flip_bit,
    "bytes set": set_bytes,
    "cut short": truncate,
    "grown": grow,
    "zeroed": zero,
    "noise": noise,
    "swapped": swap,
    "repeated": repeat,
    "left out": leave_out,
    "emptied": empty,
    "all noise": all_noise,
    "another kind": other_kind,
}
PLACE: dict[str, Damage] = {
    "named pipe": pipe,
    "device": device,
    "link": loop,
    "folder": folder,
    "socket": listener,
    "unreadable": unreadable,
    "missing": missing,
    "huge": huge,
}
