"""Which device a user means: one rule for every command and for the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

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


class Group(Protocol):
    """The processes of one job, as one of them sees itself."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def local_rank(self) -> int:
        """Which of those on its machine this is."""


def choose(name: object = "auto", group: Group | None = None) -> torch.device:
    """The torch device that "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N" means here.

    group: of several processes each takes the GPU of its number on its machine, and makes it torch's current one.
    Raises ConfigError for any other name, for a GPU that is not there, and for one GPU for several processes.
    """
    import torch

    kind, index = parse(name)
    shared = group if group is not None and group.size > 1 else None
    if shared and index is not None:
        raise ConfigError(
            f"{named('device', str(name))} cannot serve {shared.size} processes: use cuda, which gives each its own"
        )
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    elif kind == "cuda":
        _check_gpu(index)
    if shared and kind == "cuda":
        index = shared.local_rank
        _check_gpu(index)
        torch.cuda.set_device(index)  # NCCL takes the current one
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
