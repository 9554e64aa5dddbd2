"""Which device a user means: one rule for every command and for the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastgan.errors import ConfigError
from fastgan.naming import named
from fastgan.text import shown

if TYPE_CHECKING:
    import torch

_INDEXED = re.compile(r"([a-z]+)(?::([0-9]{1,4}))?")


def parse(name: object, kinds: tuple[str, ...] = ("cuda",)) -> tuple[str, int | None]:
    """The kind and the index of "auto", "cpu", or one of `kinds`, with or without an index as in "cuda:1".

    name: text, or a torch.device. Raises ConfigError for all else.
    """
    match = _INDEXED.fullmatch(str(name))
    if match and (match[1] in kinds or (match[1] in ("auto", "cpu") and match[2] is None)):
        return match[1], None if match[2] is None else int(match[2])
    known = ["auto", "cpu", *(text for kind in kinds for text in (kind, f"{kind}:N"))]
    given = str(name) if len(str(name)) <= 40 else f"{str(name)[:37]}..."
    raise ConfigError(
        f"{shown(named('device', given))} is unknown: choose {', '.join(known[:-1])} or {known[-1]}."
    )


def choose(name: object = "auto") -> torch.device:
    """The torch device that "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N" means here.

    Raises ConfigError for any other, and for a GPU that is not there.
    """
    import torch

    kind, index = parse(name)
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda":
        _check_gpu(index)
    return torch.device(kind) if index is None else torch.device(kind, index)


def _check_gpu(index: int | None) -> None:
    import torch

    asked = named("device", "cuda" if index is None else f"cuda:{index}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        why = "this torch is a CPU build" if torch.version.cuda is None else "fastgan doctor says why"
        raise ConfigError(f"{asked} asks for a GPU that torch does not see here ({why}): choose cpu or auto.")
    if index is not None and index >= count:
        there = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise ConfigError(f"{asked} is not there: this machine has {there}.")
