"""Mutations of archives by their structure: zip, tar, gzip, pickles."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.fuzz.documents import STRANGE

CANARY = "FUZZ-CANARY"
"""A file of this name is made by code that was executed"""


def names(random: Random, old: str, box: Path) -> str:
    """Another name for a member of an archive."""
    base = old.rpartition("/")[2]
    return random.choice(
        (
            f"../{base}",
            f"../../../outside/{base}",
            f"{box}/outside/{base}",
            f"/{old}",
            f"./{old}",
            old.replace("/", "\\"),
            f"a//{old}",
            f"x/../{old}",
            STRANGE + base,
            "",
            ".",
            "..",
            "/",
            base,
            old.upper(),
            "n" * 300 + base,
            f"CON/{base}",
            f"{old}/",
            f"__MACOSX/{old}",
            f".{base}",
            "caf\u0065\u0301/" + base,
            f"{old}\n{base}",
            f"a\\..\\..\\{base}",
            f"C:\\{base}",
            f"-rf {base}",
        )
    )


def executed(box: Path) -> bytes:
    """A pickle that makes the canary when it is loaded as any pickle."""
    target = str(box / "outside" / CANARY)
    return b"cos\nsystem\n(S'touch " + target.encode() + b"'\ntR."


def zip_member(random: Random, path: Path, others: Sequence[Path]) -> str:
    box = _box(path)
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    at, name = random.randrange(len(members)), ""
    info, _ = members[at]
    kind = random.choice(
        (
            "name",
            "name",
            "name",
            "twice",
            "link",
            "huge",
            "bomb",
            "encrypted",
            "method",
            "date",
            "comment",
            "folder",
            "many",
            "all names",
        )
    )
    with zipfile.ZipFile(path, "w") as archive:
        for number, (member, data) in enumerate(members):
            if kind == "all names":
                archive.writestr(
                    member.filename.replace("/", "\\") if at % 2 else f"./{member.filename}", data
                )
            elif number != at:
                archive.writestr(member.filename, data)
            elif kind == "name":
                name = names(random, info.filename, box)
                archive.writestr(_info(name), data)
            elif kind == "twice":
                archive.writestr(member.filename, data)
                archive.writestr(member.filename, members[at - 1][1])
            elif kind == "link":
                made = zipfile.ZipInfo(member.filename)
                made.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(made, "/etc/passwd")
            elif kind == "bomb":
                archive.writestr(member.filename, bytes(1 << 28), zipfile.ZIP_DEFLATED)
            elif kind == "folder":
                archive.writestr(member.filename + "/", b"")
            else:
                archive.writestr(member.filename, data)
        if kind == "comment":
            archive.comment = b"PK\x05\x06" * 50
        if kind == "many":
            for number in range(3000):
                archive.writestr(f"more/{number}.txt", b"")
    raw = bytearray(path.read_bytes())
    central = [i for i in range(len(raw) - 4) if raw[i : i + 4] == b"PK\x01\x02"]
    start = central[min(at, len(central) - 1)]
    if kind == "huge":
        raw[start + 24 : start + 28] = struct.pack("<I", random.choice((0xFFFFFFFF, 1 << 30, 0)))
    elif kind == "encrypted":
        raw[start + 8] |= 1
    elif kind == "method":
        raw[start + 10 : start + 12] = struct.pack("<H", random.choice((99, 14, 12, 9)))
    elif kind == "date":
        raw[start + 12 : start + 16] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    return f"member {at}: {kind}{f' {name!r}' if kind == 'name' else ''}"


def _info(name: str) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("x")
    made.filename = name  # the constructor would mend it
    return made


def tar_member(random: Random, path: Path, others: Sequence[Path]) -> str:
    box = _box(path)
    zipped = path.read_bytes()[:2] == b"\x1f\x8b"
    with tarfile.open(path) as archive:
        members = [(info, archive.extractfile(info)) for info in archive]
        read = [(info, file.read() if file else b"") for info, file in members]
    at, name = random.randrange(len(read)), ""
    kind = random.choice(
        (
            "name",
            "name",
            "name",
            "twice",
            "link",
            "hard link",
            "device",
            "pipe",
            "pax",
            "size",
            "bomb",
            "text",
            "no end",
        )
    )
    with tarfile.open(path, "w:gz" if zipped else "w") as archive:
        for number, (info, content) in enumerate(read):
            data = content
            made = tarfile.TarInfo(info.name)
            made.type = info.type
            if number == at:
                _retype(random, made, kind, box)
                if kind == "bomb":
                    data = bytes(1 << 26)
                elif kind == "text":
                    data = random.choice(
                        (
                            b"",
                            b"\xff\xfe",
                            b"[" * 60_000,
                            b'{"label": 1e400}',
                            b'{"label": {}, "attributes": {"a": "b"}}',
                            b"5" * 5000,
                            STRANGE.encode(),
                        )
                    )
            name = made.name if number == at else name
            made.size = len(data) if made.isreg() else 0
            archive.addfile(made, io.BytesIO(data) if made.isreg() else None)
            if number == at and kind == "twice":
                archive.addfile(made, io.BytesIO(data))
    if kind in ("size", "no end"):
        raw = bytearray(gzip.decompress(path.read_bytes()) if zipped else path.read_bytes())
        if kind == "size":
            raw[124:136] = random.choice(
                (b"77777777777\0", b"\x80" + b"\xff" * 11, b"-0000000001\0", b"\xff" * 12)
            )
            total = sum(raw[:148]) + 8 * 32 + sum(raw[156:512])
            raw[148:156] = b"%06o\0 " % total
        else:
            del raw[-9000:]
        path.write_bytes(gzip.compress(bytes(raw)) if zipped else bytes(raw))
    return f"member {at}: {kind}{f' {name!r}' if kind == 'name' else ''}"


def _retype(random: Random, made: tarfile.TarInfo, kind: str, box: Path) -> None:
    types = {
        "link": tarfile.SYMTYPE,
        "hard link": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "pipe": tarfile.FIFOTYPE,
    }
    if kind == "name":
        made.name = names(random, made.name, box)
    elif kind in types:
        made.type = types[kind]
        made.linkname = random.choice(("/etc/passwd", "../../outside/x", made.name, "0.png"))
    elif kind == "pax":
        made.pax_headers = {
            random.choice(("size", "path", "GNU.sparse.size", "mtime", "linkpath", "a\nb")): random.choice(
                ("-1", "nan", "9" * 400, "../x")
            )
        }


def _box(path: Path) -> Path:
    """The case's folder, of which `path` lies in the part called in."""
    return next((parent.parent for parent in path.parents if parent.name == "in"), path.parent)


def pickled(random: Random, path: Path, others: Sequence[Path]) -> str:
    """A pickle in the place of a file, most of them of the kind that executes code."""
    from tests.data.python2 import dumps

    box = _box(path)
    kind = random.choice(("code", "code", "list", "labels", "data", "number", "deep"))
    made = {
        "code": lambda: executed(box),
        "list": lambda: dumps([1, 2]),
        "labels": lambda: dumps({"data": [1], "labels": "x", "label_names": 5}),
        "data": lambda: dumps({"data": None, "labels": [10**6], "label_names": ["a", 5]}),
        "number": lambda: b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
        "deep": lambda: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    }[kind]()
    path.write_bytes(gzip.compress(made) if path.suffix == ".gz" else made)
    return f"a pickle: {kind}"


def unpacked(random: Random, path: Path, others: Sequence[Path]) -> str:
    """What a .gz holds, changed: its checksum is right."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    kind = random.choice(("head", "head", "short", "long", "bomb", "any"))
    if kind == "head":
        content[random.randrange(min(16, len(content)))] = random.choice((0, 255, 127, 1))
    elif kind == "short":
        del content[random.randrange(len(content)) :]
    elif kind == "long":
        content += random.randbytes(random.choice((1, 784, 5000)))
    elif kind == "bomb":
        content += bytes(1 << 28)
    else:
        content[random.randrange(len(content))] ^= 0x55
    path.write_bytes(gzip.compress(bytes(content), 1))
    return f"unpacked: {kind}"
