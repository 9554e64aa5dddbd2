"""A choice: settings, and why they are so."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastgan.config import merge

Tables = dict[str, Any]
"""Settings by table and key"""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Settings that are chosen together."""

    settings: Mapping[str, Any]
    """By dotted names, as train.batch"""
    why: str = ""
    """Empty where there is nothing to say"""

    def __str__(self) -> str:
        named = ", ".join(f"{key} = {value}" for key, value in self.settings.items())
        return f"{named}: {self.why}"

    def open_beside(self, given: Mapping[str, Any]) -> "Choice":
        """What is left of it where the `given` tables are settled."""
        taken = dotted(given)
        return Choice(settings={k: v for k, v in self.settings.items() if k not in taken}, why=self.why)


def dotted(tables: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """The values of nested tables by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        found |= dotted(value, f"{within}{key}.") if isinstance(value, Mapping) else {f"{within}{key}": value}
    return found


def tables(choices: Iterable[Choice]) -> Tables:
    """The settings that `choices` make; of those that name the same one, the first."""
    made: Tables = {}
    for choice in reversed([*choices]):
        for name, value in choice.settings.items():
            table, _, key = name.partition(".")
            made = merge(made, {table: {key: value}})
    return made


def sentences(choices: Iterable[Choice]) -> Iterator[str]:
    """A line for each choice that has a reason."""
    return (str(choice) for choice in choices if choice.why and choice.settings)
