"""A case: a command, what it met, and what it came to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz import results
from tests.fuzz.mutate import Mutation
from tests.fuzz.reader import Reader
from tests.fuzz.sandbox import Ended

FAULTS = ("traceback", "hang", "crash", "memory", "escape", "wrong result", "bad sentence", "mess", "harness")
FINE = ("same", "other", "refused")


@dataclass(kw_only=True)
class Case:
    """A command and what it met."""

    name: str
    reader: Reader
    arguments: list[str]
    mutation: Mutation
    box: Path
    ended: Ended
    before: dict[str, Any]
    """What the same command gave with nothing changed"""
    example: Path
    _result: dict[str, Any] = field(default_factory=dict)

    def result(self) -> dict[str, Any]:
        """What it gave."""
        if not self._result:
            self._result = results.gather(self.box)
        return self._result

    def said_more(self) -> bool:
        """Whether it noted something that it does not without the damage."""
        notes = {line for line in self.ended.err.splitlines() if not line.startswith(("scan ", "decode "))}
        return bool(notes - set(self.before["err"].splitlines()))

    def changed(self) -> bool:
        """Whether the changed file has other bytes than the example's."""
        one, other = self.box / "in" / self.mutation.file, self.example / self.mutation.file
        return not one.is_file() or one.read_bytes() != other.read_bytes()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a case came to."""

    reader: str
    number: int
    kind: str
    """Of the mutation"""
    came: str
    """One of FINE or FAULTS"""
    why: str = ""
    file: str = ""
    text: str = ""
    command: str = ""
    code: int | None = None
    seconds: float = 0.0
    err: str = ""
