"""The command line is an interface: every command, argument, option and default stands in cli_surface.txt.

A change that is meant shows up there for review: `FASTGAN_UPDATE_SURFACE=1 pytest tests/test_cli_surface.py`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fastgan.cli import cli

FROZEN = Path(__file__).with_name("cli_surface.txt")


def kind(info: dict[str, Any]) -> str:
    """The type of a parameter, with its choices or bounds."""
    type_ = info["type"]
    if "choices" in type_:
        return "|".join(str(choice) for choice in type_["choices"])
    bounds = (("from", type_.get("min")), ("to", type_.get("max")))
    return " ".join([type_["name"], *(f"{word} {bound}" for word, bound in bounds if bound is not None)])


def describe(parameter: click.Parameter) -> str:
    """One line a parameter; the same under every click since 8.1."""
    info = parameter.to_info_dict()
    words = ["/".join([*info["opts"], *info["secondary_opts"]])]
    if info.get("is_flag"):
        return f"{words[0]}: flag, default {bool(info['default'])}"
    words.append(kind(info))
    if info["nargs"] != 1:
        words.append(f"nargs {info['nargs']}")
    if info["multiple"]:
        words.append("repeatable")
    empty = info["default"] in (None, (), [])
    words.append("required" if info["required"] else "optional" if empty else f"default {info['default']}")
    return f"{words[0]}: {', '.join(words[1:])}"


def surface(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """The lines of a command and of those below it."""
    yield ctx.command_path + (" (hidden)" if command.hidden else "")
    yield from (f"    {describe(p)}" for p in command.params)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            assert below is not None
            yield from surface(below, click.Context(below, info_name=name, parent=ctx))


def test_the_command_line_is_what_was_frozen() -> None:
    lines = "\n".join(surface(cli, click.Context(cli, info_name="fastgan"))) + "\n"
    if os.environ.get("FASTGAN_UPDATE_SURFACE"):
        FROZEN.write_text(lines, encoding="utf-8")
    assert lines == FROZEN.read_text(encoding="utf-8"), (
        "run with FASTGAN_UPDATE_SURFACE=1 if the change is meant"
    )
