"""The command that is running, as it would be typed again."""

import click
from click.core import ParameterSource

from fastgan.text import quoted


def command_with(ctx: click.Context, more: str) -> str:
    """`ctx`'s command with what was given on its line, and `more` at its end in the place of what says the same."""
    key = _key(more.split())
    words = ["fastgan", *ctx.command_path.split()[1:]] if " " in ctx.command_path else ["fastgan", "train"]
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = ctx.params[name]
        if isinstance(parameter, click.Argument):
            words.append(quoted(value))
            continue
        for each in value if isinstance(parameter, click.Option) and parameter.multiple else [value]:
            option = parameter.opts[-1]
            given = [option] if parameter.is_flag and each is True else [option, quoted(str(each))]  # type: ignore[attr-defined]
            if _key(given) != key:
                words += given
    return " ".join([*words, more])


def _key(words: list[str]) -> str:
    """What an option decides: of `--set train.batch=8` that is train.batch."""
    return words[1].partition("=")[0] if words[0] == "--set" else words[0]
