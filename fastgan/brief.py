"""Short texts for objects that hold arrays: a type and a shape for each, never its numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

_LONGEST = 60  # characters of one value
_MOST = 4  # items of a list or table that are looked at


def brief(thing: Any) -> str:
    """`Inputs(z=float32 [4, 100], c=None)`: the `__repr__` of a dataclass or named tuple that holds arrays."""
    if dataclasses.is_dataclass(thing):
        names = [field.name for field in dataclasses.fields(thing) if field.repr]
    else:
        names = [*thing._fields]
    held = ", ".join(f"{name}={_value(getattr(thing, name))}" for name in names)
    return f"{type(thing).__qualname__}({held})"


def _value(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{str(dtype).removeprefix('torch.')} {[*shape]}"
    if isinstance(value, Mapping):
        if len(value) > _MOST:
            return f"{{{len(value)} items}}"
        return f"{{{', '.join(f'{key!r}: {_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        ends = "[]" if isinstance(value, list) else "()"
        inside = f"{len(value)} items" if len(value) > _MOST else ", ".join(map(_value, value))
        return f"{ends[0]}{inside}{ends[1]}"
    text = repr(value)
    return (
        text
        if len(text) <= _LONGEST or hasattr(value, "__dataclass_fields__")
        else f"{text[: _LONGEST - 3]}..."
    )
