"""Pickles of plain data, read without running anything that is in them.

A pickle is a program: loading one with `pickle` may call any function of the machine. Here all that it can reach are
three stand-ins of our own, which record what numpy would have been told; numpy itself sees nothing but finished bytes.
"""

import io
import math
import pickle
from typing import Any

import numpy as np

from fastgan.errors import DataError
from fastgan.text import reason


def load(where: str, content: bytes) -> Any:
    """Dicts with bytes keys, lists, numbers, bytes, and uint8 arrays. Raises DataError for everything else."""
    try:
        return _arrays(_Reader(io.BytesIO(content), encoding="bytes").load())
    except _RefusedError as error:
        raise DataError(
            f"{where} is a pickle that wants to run {error}, which plain data never needs: do not use it"
        ) from None
    except Exception as error:  # hostile bytes may make the unpickler raise anything
        raise DataError(
            f"{where} is cut short or no pickle of plain data ({reason(error)}): download it again"
        ) from error


class _RefusedError(Exception):
    """The pickle names something that may not be called."""


class _Dtype:
    """Records numpy.dtype(kind)."""

    def __init__(self, kind: Any, *_flags: Any) -> None:
        self.kind = kind.decode() if isinstance(kind, bytes) else kind

    def __setstate__(self, state: Any) -> None:
        """Byte order and fields, which single bytes do not have."""


class _Array:
    """Records an array: how numpy's `_reconstruct` makes an empty one, and the state that fills it."""

    def __init__(self, *_what: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def finish(self) -> np.ndarray:
        """The array. Raises ValueError unless it is whole and made of bytes."""
        _version, shape, dtype, fortran, content = self.state
        if not isinstance(dtype, _Dtype) or dtype.kind not in ("u1", "|u1", "uint8"):
            raise ValueError("an array of other than uint8")
        if len(content) != math.prod(shape):
            raise ValueError(f"an array of {len(content)} bytes for {[*shape]}")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _encode(text: str, _encoding: Any) -> bytes:
    """How Python 3 writes bytes into old protocols."""
    return text.encode("latin-1")


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _RefusedError(f"{module}.{name}")
        return _KNOWN[module, name]


def _arrays(value: Any) -> Any:
    """The recorded arrays of a dict's values as arrays."""
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, _Array):
        return value.finish()
    return value
