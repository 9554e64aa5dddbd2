"""Mutations of safetensors files: their metadata, header and numbers."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.documents import SCRIPT, STRANGE, text_of, value_changed

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}


def _split(path: Path) -> tuple[dict[str, Any], bytearray]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])


def _join(path: Path, head: dict[str, Any], body: bytes) -> None:
    text = text_of(head).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def metadata(random: Random, path: Path, others: Sequence[Path]) -> str:
    """A value of the metadata, or a value inside of the JSON that a value is."""
    head, body = _split(path)
    table = head.get("__metadata__") or {}
    if not table:
        head["__metadata__"] = {"fastgan": "5"}
        _join(path, head, body)
        return "metadata where there was none"
    key = random.choice(list(table))
    kind = random.random()
    if kind < 0.7:
        try:
            content, said = value_changed(random, json.loads(table[key]))
            table[key] = text_of(content)
        except ValueError:
            table[key] = random.choice(
                ("", "null", "5", "-1", "9" * 5000, "[" * 90_000, STRANGE, SCRIPT, "nan")
            )
            said = f"became {table[key][:20]!r}"
    elif kind < 0.8:
        del table[key]
        said = "was taken out"
    elif kind < 0.9:
        table[key] = random.choice(("", "null", "{}", "[]", "5", "x", "[" * 90_000, STRANGE))
        said = f"became {table[key][:20]!r}"
    else:
        head["__metadata__"], said = random.choice(({}, {"format": "pt"}, {key: table[key]})), "alone"
    _join(path, head, body)
    return f"metadata {key}: {said}"


def header(random: Random, path: Path, others: Sequence[Path]) -> str:
    """The name, type, shape or place of a tensor."""
    head, body = _split(path)
    names = [name for name in head if name != "__metadata__"]
    name = random.choice(names)
    about = head[name]
    kind = random.choice(
        ("rename", "remove", "shape", "flat", "type", "offsets", "add", "length", "huge", "empty", "twice")
    )
    start, end = about["data_offsets"]
    if kind == "rename":
        head[random.choice((name + "x", STRANGE, "g." + name, "", "__class__"))] = head.pop(name)
    elif kind == "remove" and end == len(body):
        del head[name]
        del body[start:end]
    elif kind == "shape":
        about["shape"] = random.choice(
            ([*about["shape"], 1], [1, *about["shape"]], about["shape"][::-1], [-1], [2**62, 2**62], [0], [])
        )
    elif kind == "flat":
        about["shape"] = [(end - start) // WIDTHS.get(about["dtype"], 4)]
    elif kind == "type":
        old = WIDTHS.get(about["dtype"], 4)
        same = [
            n
            for n, width in {**WIDTHS, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "F8_E4M3": 1, "C64": 8}.items()
            if width == old and n != about["dtype"]
        ]
        about["dtype"] = random.choice([*same, "F4", "X"])
    elif kind == "offsets":
        about["data_offsets"] = random.choice(
            ([start, end + 4], [start + 4, end], [0, 0], [end, start], [0, 2**63], [-4, end])
        )
    elif kind == "add":
        head["more.weight"] = {"dtype": "F32", "shape": [3], "data_offsets": [len(body), len(body) + 12]}
        body += bytes(12)
    elif kind == "huge":
        head["more.weight"] = {
            "dtype": "F32",
            "shape": [1 << 40, 0],
            "data_offsets": [len(body), len(body)],
        }
    elif kind == "empty":
        head, body = {"__metadata__": head.get("__metadata__", {})}, bytearray()
    if kind == "length":
        content = bytearray(path.read_bytes())
        content[:8] = struct.pack("<Q", random.choice((0, 1, 2**63, 2**40, len(content), 100_000_001)))
        path.write_bytes(content)
    elif kind == "twice":
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        text = (
            content[8 : 8 + length].rstrip()[:-1]
            + b',"'
            + name.encode()
            + b'":'
            + json.dumps(about).encode()
            + b"}"
        )
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    else:
        _join(path, head, bytes(body))
    return f"tensor {name}: {kind}"


def data(random: Random, path: Path, others: Sequence[Path]) -> str:
    """Numbers of a tensor: what no header tells."""
    head, body = _split(path)
    names = [
        n for n in head if n != "__metadata__" and head[n]["data_offsets"][1] > head[n]["data_offsets"][0]
    ]
    name = random.choice(names)
    start, end = head[name]["data_offsets"]
    kind = random.choice(("nan", "inf", "bit", "bit", "zeros", "huge", "noise"))
    width = WIDTHS.get(head[name]["dtype"], 4)
    at = start + random.randrange((end - start) // width) * width
    if kind in ("nan", "inf", "huge"):
        number = {"nan": float("nan"), "inf": float("inf"), "huge": 3e38}[kind]
        packed = {"F32": "<f", "F64": "<d"}.get(head[name]["dtype"])
        body[at : at + width] = struct.pack(packed, number) if packed else b"\xff" * width
    elif kind == "bit":
        body[at + random.randrange(width)] ^= 1 << random.randrange(8)
    elif kind == "zeros":
        body[start:end] = bytes(end - start)
    else:
        body[start:end] = random.randbytes(end - start)
    _join(path, head, bytes(body))
    return f"tensor {name}: {kind}"
