"""Words on standard output and error, from the commands."""

import sys
from typing import Any

import click

from fastgan.text import shown


def say(text: str, *, err: bool = False) -> None:
    """Print one line: names in it that hold ends of lines make no second one."""
    click.echo(shown(text), err=err)


def styled(text: str, **style: Any) -> None:
    """Print a part of a line, of our own words alone, in a style of click's."""
    click.echo(click.style(text, **style), nl=False, file=getattr(sys.stdout, "unescaped", None))
