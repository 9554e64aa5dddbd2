"""What a reader is: an example, the commands that read it, the files that are changed, and the oracle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz import oracles

if TYPE_CHECKING:
    from tests.fuzz.case import Case

Oracle = Callable[["Case"], str | None]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One kind of file that fastgan reads, and what reads it."""

    example: Callable[[Path], None] | None = None
    """Fills an empty folder"""
    shared: tuple[str, ...] = ()
    """Parts of `runs` whose content the example has, instead"""
    commands: tuple[tuple[str, ...], ...]
    """{in}: the folder of the example. They are taken in turn."""
    files: tuple[str, ...] = ("**/*",)
    """Patterns below the example: which files are changed"""
    oracle: Oracle = oracles.anything
    writes: tuple[str, ...] = ("out/", "cache/", "home/")
    """What of the box a command may change"""
    leaves: tuple[str, ...] = ()
    """What may stay in out/ when a command refuses"""
    codes: tuple[int, ...] = (0, 2)
    cache: str = ""
    """Folder of the example that is the cache"""
    weight: int = 2
    study: bool = False
    """Whether classifiers are trained, of which fewer kinds are tried then"""
    seconds: int = 25
    """Of computing, after which a command counts as hanging"""

    @property
    def is_quick(self) -> bool:
        """Whether its example is made in seconds."""
        return set(self.shared) <= {"data", "tiny", "trained", "generated", "scored", "scored_cache"}
