"""A group of commands that tells errors what the options of the command that runs are called."""

from typing import Any

import click

from fastgan import naming


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
            naming.use_options(
                {
                    p.name: max(p.opts, key=len)
                    for p in command.params
                    if isinstance(p, click.Option) and p.name
                }
            )
        return name, command, rest
