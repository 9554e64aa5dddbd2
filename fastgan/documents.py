"""Read JSON, JSON lines and TOML that may say anything: limits first, then every value checked against a type.

A type is what an annotation would say: `int`, `float` (an int passes), `str`, `bool`, `None`, `Any`, `A | B`,
`list[T]`, `tuple[A, B]` (a list of that length), `tuple[T, ...]`, `dict[str, T]`, `Literal[...]`, or a TypedDict,
whose further keys pass unchecked.
"""

import json
import math
import os
import tomllib
import types
import typing
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from fastgan.errors import DocumentError
from fastgan.files import DOCUMENT_BYTES, open_regular, read_bytes
from fastgan.text import shown

T = TypeVar("T")
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_LINE_BYTES = 16 << 20  # no line of ours is as long
_ENDLESS = 1 << 30
_DEEPEST = 100
"""Lists and tables within each other: what is nested deeper breaks whoever walks through it later"""


def parse_json(text: str | bytes, kind: type[T], where: str | os.PathLike[str]) -> T:
    """The value of a JSON text, checked to be of type `kind`; `where` names the text in messages.

    Raises DocumentError (a ValueError too): no JSON, nested too deep, numbers that no float holds, another type.
    """
    try:
        content = json.loads(text, parse_constant=_no_constant, parse_int=_whole)
    except RecursionError:
        raise DocumentError(f"{shown(where)} is nested too deep to be read") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError among them
        raise DocumentError(f"{shown(where)} is not valid JSON ({shown(error)})") from None
    _check_depth(content, where)
    return checked(content, kind, where)


def read_json(path: str | os.PathLike[str], kind: type[T], limit: int = DOCUMENT_BYTES) -> T:
    """`parse_json` of a file. Raises DocumentError, and OSError as `files.open_regular`."""
    return parse_json(read_bytes(path, limit), kind, path)


def json_lines(path: str | os.PathLike[str], kind: type[T]) -> Iterator[tuple[bytes, T | None]]:
    """Each line of a file of JSON lines, its end included, with its value: None where it is none of type `kind`.

    Of `kind` must be nothing that may be null. Empty lines are left out, and of an endless one is given its beginning.
    Raises OSError as `files.open_regular`.
    """
    with open_regular(path) as file:
        while line := file.readline(_LINE_BYTES):
            if len(line) == _LINE_BYTES and not line.endswith(b"\n"):
                yield line, None
                if not _pass_over(file):
                    return
            elif line.strip():
                yield line, _value(line, kind, path)


def _pass_over(file: BufferedReader) -> bool:
    """Go to the end of an endless line; whether there is one within a gigabyte."""
    for _ in range(_ENDLESS // _LINE_BYTES):
        rest = file.readline(_LINE_BYTES)
        if not rest or rest.endswith(b"\n"):
            return True
    return False


def read_json_lines(path: str | os.PathLike[str], kind: type[T]) -> tuple[list[T], int]:
    """The values of a file of JSON lines, and how many lines were none of type `kind` and are left out.

    Raises OSError as `files.open_regular`.
    """
    found = [value for _, value in json_lines(path, kind)]
    values = [value for value in found if value is not None]
    return values, len(found) - len(values)


def _value(line: bytes, kind: type[T], where: str | os.PathLike[str]) -> T | None:
    try:
        return parse_json(line, kind, where)
    except DocumentError:
        return None


def parse_toml(text: str, where: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML text. Raises DocumentError: no TOML, nested too deep, numbers that are no numbers."""
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise DocumentError(f"{shown(where)} is nested too deep to be read") from None
    except ValueError as error:  # TOMLDecodeError, int() of too many digits
        raise DocumentError(f"{shown(where)} is not valid TOML ({shown(error)})") from None
    _check_depth(content, where)
    if _has_huge_number(content):
        raise DocumentError(f"{shown(where)} is not valid TOML (a number of more than 300 digits)")
    return checked(content, dict[str, Any], where)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """`parse_toml` of a file. Raises DocumentError, and OSError as `files.open_regular`."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{shown(path)} is not valid TOML ({error})") from None
    return parse_toml(text, path)


def checked(value: Any, kind: type[T], where: str | os.PathLike[str], key: str = "") -> T:
    """`value`, or DocumentError that names the first key in it that is not as the type `kind` says."""
    wrong = _mismatch(value, kind, key)
    if wrong is not None:
        at, expected, found = wrong
        place = f": {shown(at)}" if at else ""
        raise DocumentError(f"{shown(where)}{place} should be {expected}, and is {found}")
    return cast(T, value)


def _check_depth(content: Any, where: str | os.PathLike[str]) -> None:
    """DocumentError for what is nested deeper than `_DEEPEST`, whatever the recursion limit lets a parser read."""
    level = [content]
    for _ in range(_DEEPEST):
        level = [
            item
            for held in level
            if isinstance(held, dict | list)
            for item in (held.values() if isinstance(held, dict) else held)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise DocumentError(f"{shown(where)} is nested too deep to be read")


def _has_huge_number(content: Any) -> bool:
    """Whether a whole number in it is too long for Python to write, as hexadecimal ones may be."""
    left = [content]
    while left:
        held = left.pop()
        if isinstance(held, dict | list):
            left.extend(held.values() if isinstance(held, dict) else held)
        elif isinstance(held, int) and held.bit_length() > 1000:
            return True
    return False


def _no_constant(name: str) -> float:
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[name]


def _whole(digits: str) -> int:
    if len(digits) > 300:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _mismatch(value: Any, kind: Any, key: str) -> tuple[str, str, str] | None:  # noqa: PLR0911  one kind of type a line
    """None where `value` is of type `kind`, else the key, what was expected there, and what is."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return None
    if origin in (Union, types.UnionType):
        tried = [_mismatch(value, one, key) for one in arguments]
        deepest = max((m for m in tried if m is not None), key=lambda m: len(m[0]), default=None)
        if None in tried:
            return None
        if deepest is not None and deepest[0] != key:
            return deepest
        return key, " or ".join(_name(one) for one in arguments), _found(value)
    if origin is Literal:
        return (
            None
            if any(value == one and type(value) is type(one) for one in arguments)
            else (key, _name(kind), _found(value))
        )
    if typing.is_typeddict(kind):
        return _table_mismatch(value, kind, key)
    if origin is dict or kind is dict:
        if not isinstance(value, dict):
            return key, "a table of names and values", _found(value)
        each = (
            ((f"{key}.{name}" if key else name, item, arguments[1]) for name, item in value.items())
            if arguments
            else ()
        )
        return next(filter(None, (_mismatch(item, one, at) for at, item, one in each)), None)
    if origin in (list, tuple) or kind in (list, tuple):
        return _list_mismatch(value, origin, arguments, key)
    return None if _is_plain(value, kind) else (key, _name(kind), _found(value))


def _table_mismatch(value: Any, kind: Any, key: str) -> tuple[str, str, str] | None:
    if not isinstance(value, dict):
        return key, "a table of names and values", _found(value)
    hints = typing.get_type_hints(kind)
    for name, one in hints.items():
        at = f"{key}.{name}" if key else name
        if name in value:
            wrong = _mismatch(value[name], one, at)
            if wrong is not None:
                return wrong
        elif name in kind.__required_keys__:
            return at, _name(one), "missing"
    return None


def _list_mismatch(
    value: Any, origin: Any, arguments: tuple[Any, ...], key: str
) -> tuple[str, str, str] | None:
    if not isinstance(value, list | tuple):
        return key, "a list", _found(value)
    kinds: typing.Iterable[Any] = [Any] * len(value)
    if origin is tuple and (len(arguments) < 2 or arguments[1] is not Ellipsis):
        if len(value) != len(arguments):
            return key, f"a list of {len(arguments)}", f"one of {len(value)}"
        kinds = arguments
    elif arguments:
        kinds = [arguments[0]] * len(value)
    pairs = enumerate(zip(value, kinds, strict=True))
    return next(filter(None, (_mismatch(item, one, f"{key}[{i}]") for i, (item, one) in pairs)), None)


def _is_plain(value: Any, kind: Any) -> bool:
    """Whether a number, text, truth value or nothing is of the class `kind`: true is no number, 10^400 no float."""
    if kind is None or kind is type(None):
        return value is None
    if kind is float and isinstance(value, float):
        return True
    if kind is float:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e308
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, kind)


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_name(one) for one in get_args(kind))
    if kind in _NAMES or kind is None:
        return _NAMES[kind or type(None)]
    return (
        "a list"
        if get_origin(kind) in (list, tuple) or kind in (list, tuple)
        else "a table of names and values"
    )


def _found(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a table of names and values"
    if isinstance(value, int) and value.bit_length() > 1000:  # Python writes no more than 4,300 digits
        return "a number of more than 300 digits"
    text = "null" if value is None else repr(value)
    return shown(text if len(text) <= 60 else f"{text[:57]}...")
