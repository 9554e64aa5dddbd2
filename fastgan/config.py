"""Settings: frozen keyword-only dataclasses <-> TOML + dotted overrides. Standard library only.

A run's settings come in layers, later ones winning: defaults, a preset (`fastgan/presets/NAME.toml`), a TOML
file, `--set table.key=value`. `build` checks the result and says in one sentence what it does not like.
"""

import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastgan import documents
from fastgan.errors import ConfigError, DocumentError
from fastgan.text import shown

T = TypeVar("T")
DEFAULT_PRESET = "small"
PRESETS = Path(__file__).with_name("presets")
CHOOSE = "choose"
"""The table of a preset that is no setting: fastgan/training/choices/ reads it"""
_UNITS = {
    "s": ("seconds", 1),
    "m": ("seconds", 60),
    "h": ("seconds", 3600),
    "img": ("images", 1),
    "kimg": ("images", 1000),
}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
_LONGEST = 1e15
"""Seconds or images below which a length of training lies"""
_LARGEST = 2**63
"""Whole numbers lie below it: torch counts in 64 bits"""


@dataclass(frozen=True)
class Duration:
    """A length of training: so many seconds, or so many images shown. Exactly one of the two is set."""

    seconds: float | None = None
    images: int | None = None

    @classmethod
    def parse(cls, text: object, where: str = "duration") -> "Duration":
        """Read `90s`, `10m`, `2h`, `250img` or `50kimg`; ConfigError otherwise, and for a number without its unit."""
        match = _LENGTH.fullmatch(_digits(text).strip().replace("_", "").lower())
        number = float(match[1]) if match else 0.0
        if match is not None and not match[2] and 0 < number < _LONGEST:
            forms = f"{match[1]}m (minutes), {match[1]}h (hours), {match[1]}kimg (thousands of images) or {match[1]}img"
            raise ConfigError(f"{where} = {said(text)} has no unit: write {forms}")
        kind, factor = _UNITS.get(match[2], ("", 0)) if match else ("", 0)
        if match is None or not kind or not 0 < number * factor < _LONGEST:
            known = "90s, 10m, 2h, 250img or 50kimg"
            raise ConfigError(f"{where} = {said(text)} is not a length of training: write {known}")
        if kind == "seconds":
            return cls(seconds=number * factor)
        return cls(images=max(round(number * factor), 1))

    def __str__(self) -> str:
        """The shortest text that `parse` reads back as the same length."""
        if self.images is not None:
            return f"{self.images // 1000}kimg" if self.images % 1000 == 0 else f"{self.images}img"
        assert self.seconds is not None
        unit = next((u for u in "hm" if self.seconds % _UNITS[u][1] == 0), "s")
        return f"{self.seconds / _UNITS[unit][1]:.12g}{unit}"


def said(value: object) -> str:
    """`value` as Python writes it, safe to print and no longer than a line."""
    if isinstance(value, str) and len(value) > 60 and value.isdecimal():
        return f"a number of {len(value):,} digits"
    try:
        text = shown(repr(value))
    except (ValueError, RecursionError):  # Python writes no number of more than 4,300 digits
        return "something too large to be shown"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _digits(value: object) -> str:
    """`value` as text; of a number that Python would not write, something that is no number."""
    return said(value) if isinstance(value, int) else str(value)


def require(condition: bool, sentence: str) -> None:
    """Raise ConfigError(sentence) unless `condition` holds."""
    if not condition:
        raise ConfigError(sentence)


def build(cls: type[T], mapping: Mapping[str, Any], where: str = "") -> T:
    """Make a `cls` (a dataclass) of `mapping`, checking names, types and values.

    An int serves as a float and a list as a tuple; the text "none" is None where None is allowed. `where` is
    the table's name for the messages. Unknown keys, wrong types and impossible values raise ConfigError. A field whose
    metadata hold `build`, a function of a value and its name, is what that makes of the value.
    """
    known = {f.name: f for f in dataclasses.fields(typing.cast("Any", cls)) if f.init}
    hints = typing.get_type_hints(cls)
    for key in mapping:
        require(key in known, _unknown(key, known, where))
    for key, f in known.items():
        lacking = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        require(not lacking or key in mapping, f"{_dotted(where, key)} must be set")
    values = {}
    for key, value in mapping.items():
        made, name = known[key].metadata.get("build"), _dotted(where, key)
        values[key] = made(value, name) if made else _convert(value, hints[key], name)
    try:
        return cls(**values)
    except ValueError as error:  # dataclasses written elsewhere may refuse a value in Python's own way
        raise ConfigError(f"{where or cls.__name__}: {error}") from error


def to_mapping(config: Any) -> dict[str, Any]:
    """The inverse of `build`: plain tables, lists, numbers and text that TOML and JSON both can hold.

    A field whose metadata hold `table`, the inverse of its `build`, is what that makes of the value.
    """
    return {
        f.name: f.metadata.get("table", _plain)(getattr(config, f.name)) for f in dataclasses.fields(config)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, Duration):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(type(value), "parse"):
        return str(value)
    return "none" if value is None else value


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _unknown(key: str, known: Iterable[str], where: str) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {_dotted(where, close[0])}" if close else f"known here: {', '.join(names)}"
    return f"unknown setting {_dotted(where, key)} ({hint})"


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, options, where)
    if origin is tuple:
        return _convert_tuple(value, options, where)
    if hasattr(hint, "parse"):  # a Duration, or another length of training
        return hint.parse(value, where)
    if dataclasses.is_dataclass(hint):
        require(isinstance(value, Mapping), f"{where} = {said(value)} must be a table: write [{where}]")
        return build(typing.cast("type[Any]", hint), value, where)
    if origin is Literal:
        require(value in options, f"{where} = {said(value)} must be one of {', '.join(map(str, options))}")
    elif hint is float and type(value) is int:
        require(abs(value) < 1e308, f"{where} = {said(value)} must be a number below 1e308")
        return float(value)
    elif (expected := origin or hint) in _KINDS:
        # A bool is an int to Python, but true is no whole number to a user.
        fits = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
        huge = expected is int and isinstance(value, str) and value.isdecimal() and len(value) > 18
        below = " below 2**63" if huge else ""
        require(fits, f"{where} = {said(value)} must be {_KINDS[expected]}{below}")
        small = expected is not int or abs(value) < _LARGEST
        require(small, f"{where} = {said(value)} must be a whole number below 2**63")
    return value


_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
}


def _convert_union(value: Any, options: tuple[Any, ...], where: str) -> Any:
    if value is None or (value == "none" and type(None) in options):
        return None
    failures = []
    for option in options:
        if option is not type(None):
            try:
                return _convert(value, option, where)
            except ConfigError as error:
                failures.append(error)
    raise failures[0]


def _convert_tuple(value: Any, options: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    require(isinstance(value, (list, tuple)), f"{where} = {said(value)} must be a list, as in [1, 2]")
    if len(options) == 2 and options[1] is Ellipsis:
        options = (options[0],) * len(value)
    require(len(options) == len(value), f"{where} must hold {len(options)} values, not {len(value)}")
    return tuple(
        _convert(item, option, f"{where}[{i}]")
        for i, (item, option) in enumerate(zip(value, options, strict=True))
    )


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; ConfigError names the file and, for a syntax error, the line."""
    try:
        return _each_text(documents.read_toml(path), _with_bytes)
    except OSError as error:
        raise ConfigError(f"cannot read the settings {path}: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigError(str(error)) from error


def with_units(cls: type, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """`mapping` for `build`, where lengths without a unit are what they were in older files: numbers of images."""
    tables, hints = dict(mapping), typing.get_type_hints(cls)
    for key, value in mapping.items():
        hint = hints.get(key)
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            tables[key] = with_units(typing.cast("type[Any]", hint), value)
        elif hint is Duration or Duration in typing.get_args(hint):
            plain = type(value) is int or (isinstance(value, str) and value.replace("_", "").isdecimal())
            tables[key] = f"{_digits(value)}img" if plain else value
    return tables


def to_toml(mapping: Mapping[str, Any]) -> str:
    """Write tables of text, numbers, booleans and lists as TOML, which reads back as the same mapping."""
    lines = [
        f"{key} = {_toml_value(value)}" for key, value in mapping.items() if not isinstance(value, Mapping)
    ]
    for name, table in mapping.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines).lstrip("\n") + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        text = json.dumps(_without_bytes(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        return _SHIFTED.sub(lambda match: f"\\U{ord(match[0]):08X}", text)
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value) if isinstance(value, bool) else repr(value)


# A path may hold bytes that are no UTF-8; Python keeps byte E9 as U+DCE9 (surrogateescape), which TOML does not know.
# In the file it stands as U+10DCE9, of a range that Unicode leaves to private use.
_SHIFT = 0x100000
_BYTES = re.compile("[\udc80-\udcff]")
_SHIFTED = re.compile("[\U0010dc80-\U0010dcff]")


def _without_bytes(text: str) -> str:
    # A path that does hold such a character has it as the bytes that it is in the path.
    text = _SHIFTED.sub(lambda match: match[0].encode().decode("ascii", "surrogateescape"), text)
    return _BYTES.sub(lambda match: chr(ord(match[0]) + _SHIFT), text)


def _with_bytes(text: str) -> str:
    text = _SHIFTED.sub(lambda match: chr(ord(match[0]) - _SHIFT), text)
    return text.encode(errors="surrogateescape").decode(
        errors="surrogateescape"
    )  # bytes that are UTF-8 after all


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, list) else value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over` laid on top, table by table."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
        )
    return merged


def overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Tables from `a.b=value` texts; a value is read as TOML where it can be, else as text (`10m`)."""
    tables: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        keys = path.strip().split(".")
        require(
            bool(equals) and all(keys) and len(keys) < 9,
            f"--set {said(pair)} must read table.key=value, as in --set train.batch=32",
        )
        try:
            parsed = documents.parse_toml(f"value = {text}", f"--set {path}")
        except DocumentError:
            parsed = {}
        value = parsed["value"] if list(parsed) == ["value"] else text.strip()
        for key in reversed(keys[1:]):
            value = {key: value}
        tables = merge(tables, {keys[0]: value})
    return tables


def pairs(tables: Mapping[str, Any], within: str = "") -> list[str]:
    """The inverse of `overrides`: `a.b=value` for each value in `tables`."""
    found = []
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found += pairs(value, f"{within}{key}.")
        else:
            found.append(f"{within}{key}={_toml_value(_plain(value))}")
    return found


def preset_names() -> list[str]:
    """The presets on disk."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset(name: str) -> dict[str, Any]:
    """The tables of a preset's settings; an unknown name is a ConfigError that lists the known ones."""
    return {table: values for table, values in _read_preset(name).items() if table != CHOOSE}


def preset_choices(name: str) -> dict[str, Any]:
    """The table [choose] of a preset: what of its settings is open to choice, and by what; empty where nothing is."""
    found: dict[str, Any] = _read_preset(name).get(CHOOSE, {})
    return found


def _read_preset(name: str) -> dict[str, Any]:
    names = preset_names()
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.75)
    hint = f" (did you mean {close[0]}?)" if close else ""
    require(name in names, f"unknown preset {name!r}{hint}; there are {', '.join(names)}")
    return read_toml(PRESETS / f"{name}.toml")
