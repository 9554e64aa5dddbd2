"""Commands that tell errors what their options are called."""

from typing import Any

import click

from fastgan import naming
from fastgan.errors import ArgumentError


def options(command: click.Command) -> dict[str, str]:
    """What each parameter of a command is called by who runs it: `--class`, or `SOURCE`."""
    names = {}
    for parameter in command.params:
        if parameter.name:
            short = f"-{parameter.name}"
            option = short if short in parameter.opts else max(parameter.opts, key=len)
            names[parameter.name] = option if option.startswith("-") else parameter.human_readable_name
    return names


class Group(click.Group):
    """A check deep below says `named("classes")`, and its message reads `--class`: see fastgan/naming.py."""

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it; until the command has ended, errors speak of options."""
        with naming.command_line():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, and remember the command's options by the names of its parameters."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            naming.use_options(options(command))
        return name, command, rest


class Command(click.Command):
    """A command that calls Python with its parameters, wherever it is run from."""

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it; errors speak of options, and arguments that do not go together are click's to tell."""
        with naming.command_line():
            naming.use_options(options(self))
            try:
                return super().invoke(ctx)
            except ArgumentError as error:
                raise click.UsageError(str(error), ctx) from error
