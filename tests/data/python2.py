"""Pickles as Python 2's cPickle wrote them: text is bytes, which Python 3 cannot write any more."""

import struct
from typing import Any

import numpy as np


def dumps(value: Any) -> bytes:
    """A protocol 2 pickle of dicts, lists, ints, text and uint8 arrays, in the opcodes of CIFAR's own files."""
    return b"\x80\x02" + _body(value) + b"."


def _body(value: Any) -> bytes:
    if isinstance(value, str):
        data = value.encode()
        return (
            b"U" + bytes([len(data)]) + data
            if len(data) < 256
            else b"T" + struct.pack("<i", len(data)) + data
        )
    if isinstance(value, bool) or value is None:
        return b"N" if value is None else b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_body, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_body, value)) + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(_body(key) + _body(item) for key, item in value.items()) + b"u"
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.uint8
    data = value.tobytes()
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + _body((0,)) + _body("b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + _body("u1") + _body(0) + _body(1) + b"\x87R"
    dtype += b"(" + b"".join(map(_body, (3, "|", None, None, None, -1, -1, 0))) + b"tb"
    state = _body(1) + _body(value.shape) + dtype + _body(False) + b"T" + struct.pack("<i", len(data)) + data
    return made + b"(" + state + b"tb"
