"""Arguments of the public functions, of whatever type they come: the value that is meant, or one sentence.

Numbers may be numpy's or 0-d tensors. Truth values are no numbers, and 3.0 is no whole one: both are slips.
"""

import numbers
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastgan.errors import ConfigError
from fastgan.naming import named


def whole_number(value: object, parameter: str, low: int, high: int, *, elsewhere: str = "") -> int:
    """An int in low ... high. Raises ConfigError that names the parameter (`elsewhere`: see `naming.named`)."""
    number = integer(value)
    called = named(parameter, value, elsewhere=elsewhere)
    if number is None:
        raise ConfigError(f"{called} is no whole number: give one from {low} to {high}.")
    if not low <= number <= high:
        raise ConfigError(f"{called} is out of range: give a number from {low} to {high}.")
    return number


def integer(value: object) -> int | None:
    """The int that `value` is, be it Python's, numpy's or a 0-d tensor; None where it is none."""
    if type(value).__name__ in ("bool", "bool_"):  # which have an index, too
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def real_number(value: object, parameter: str, low: float, high: float) -> float:
    """A float in low ... high, both included. Raises ConfigError that names the parameter, for NaN too."""
    number = real(value)
    if number is None:
        raise ConfigError(f"{named(parameter, value)} is no number: give one from {low:g} to {high:g}.")
    if not low <= number <= high:  # also refuses NaN
        raise ConfigError(
            f"{named(parameter, value)} is out of range: give a number from {low:g} to {high:g}."
        )
    return number


def real(value: object) -> float | None:
    """The float that `value` is, be it infinite or NaN; None where it is no number."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return None
    if not isinstance(value, numbers.Real) and getattr(value, "shape", None) != ():
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # a 0-d array of texts; a Fraction beyond all floats
        return None


def one_of(value: object, parameter: str, choices: Sequence[str], *, elsewhere: str = "") -> str:
    """One of some texts. Raises ConfigError that names the parameter and what there is."""
    if isinstance(value, str) and value in choices:
        return value
    called = named(parameter, value, elsewhere=elsewhere)
    raise ConfigError(f"{called} is unknown: choose one of {', '.join(choices)}.")


def text(value: object, parameter: str) -> str:
    """A text. Raises ConfigError that names the parameter for anything else."""
    if not isinstance(value, str):
        raise ConfigError(f"{named(parameter, value)} is no name: give a text.")
    return value


def path(value: object, parameter: str) -> Path:
    """A path of text, bytes or a path object. Raises ConfigError that names the parameter."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise ConfigError(f"{named(parameter, value)} is no path: give the name of a file or folder.")
    name = os.fsdecode(value)
    if "\0" in name or not name:
        raise ConfigError(
            f"{named(parameter, value)} names no file: it is empty, or holds a character of code 0."
        )
    return Path(name)


def several(value: object, parameter: str) -> tuple[Any, ...]:
    """The items of a list, tuple or other iterable; a text or path alone is one item, not its letters.

    Raises ConfigError that names the parameter for what has no items.
    """
    if isinstance(value, str | bytes | os.PathLike):
        return (value,)
    try:
        return tuple(value)  # type: ignore[arg-type]
    except TypeError:  # a 0-d array or tensor is said to be iterable, and is not
        raise ConfigError(f"{named(parameter, value)} is no list: give several, as in [...].") from None


def flag(value: object, parameter: str) -> bool:
    """True or False, numpy's too. Raises ConfigError for all else, such as "no", which Python takes for true."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise ConfigError(f"{named(parameter, value)} is neither True nor False: give one of them.")
