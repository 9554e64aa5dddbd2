"""The `fastgan` command: a group whose commands are the files of fastgan/commands/.

Adding a command is adding a file there with a click command named `command`. Command modules import only
click and the standard library at their top (a test enforces it), so listing them all costs milliseconds.
"""

import difflib
import importlib
import pkgutil

import click

from fastgan import commands
from fastgan.commands._group import Group


class CommandFolder(Group):
    """A group that finds its commands on disk and imports one only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the files in fastgan/commands/, without importing them; a leading underscore hides one."""
        return sorted(m.name for m in pkgutil.iter_modules(commands.__path__) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import fastgan.commands.`cmd_name` and return its `command`; None where there is no such file."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{commands.__name__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest names in the message for a name that does not exist."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}."
            ctx.fail(f"no such command '{name}': {hint}")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"fastgan {version('fastgan')}")
    except PackageNotFoundError:
        click.echo("fastgan (run from a source tree, not installed)")
    ctx.exit()


@click.group(
    cls=CommandFolder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="`fastgan COMMAND --help` shows a command's options with an example.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Train a GAN on a folder of images, fast; then generate, export and measure.

    \b
      fastgan doctor                                      what this machine can do
      fastgan data pack ./photos -o photos.fgd --size 64  any source to one checked file
      fastgan train photos.fgd --preset stylegan          one line to a trained model
      fastgan generate runs/0001 -n 1000 -o out/          as many images as you like
      fastgan export runs/0001 --onnx model.onnx          runs wherever ONNX Runtime does
    """
