"""`--json`, the same in every command: standard output is one JSON document and nothing else.

What is said beside it, bars and notes among it, goes to standard error. Where a command fails, the document is
{"error": "the sentence that standard error has too"}, and the exit code says the rest.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from os import PathLike
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
OPTION = "--json"


def json_option(function: F) -> F:
    """The option --json of a command, as its parameter `as_json`."""
    text = "Print one JSON document, and all else to standard error."
    return click.option(OPTION, "as_json", is_flag=True, help=text)(function)


def show(content: Any) -> None:
    """Print a document."""
    click.echo(json.dumps(plain(content), indent=2, allow_nan=False))


@contextmanager
def document(as_json: bool) -> Iterator[dict[str, Any]]:
    """A table to fill, printed at the end where JSON is asked for; what is printed meanwhile is for standard error."""
    content: dict[str, Any] = {}
    if not as_json:
        yield content
        return
    with redirect_stdout(sys.stderr):
        yield content
    show(content)


def asked(arguments: Sequence[str]) -> bool:
    """Whether these arguments of a command ask for JSON, be they right or wrong."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return OPTION in own


def plain(value: Any) -> Any:
    """`value` in JSON's own types: numbers that are none are null, paths are texts."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, PathLike) else value
