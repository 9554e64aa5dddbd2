"""What an error calls a parameter: its own name for who calls Python, the option's for who runs a command.

A check is written once, with the parameter's name: f"leave {named('classes')} away" reads "leave `classes` away"
in Python and "leave --class away" in `fastgan generate`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from fastgan.text import quoted

_commands: list[Mapping[str, str]] = []
"""Option by parameter of each command that runs, the innermost last. Of the process: errors come from its threads."""
_NOTHING = object()
_LONGEST = 60  # characters of a value: an array may be given where a number is meant


def named(parameter: str, value: object = _NOTHING, *, elsewhere: str = "") -> str:
    """`classes` (in backquotes) or --class; with a value seed=-1 or --seed -1.

    elsewhere: a command that has the option, for where the one that runs has not: "--kind of fastgan data pack".
    """
    if not _commands:
        return f"`{parameter}`" if value is _NOTHING else f"{parameter}={in_a_line(repr(value))}"
    options = _commands[-1]
    option = options.get(parameter, f"--{parameter.replace('_', '-')}")
    text = (
        option
        if value is _NOTHING
        else f"{option} {in_a_line(quoted(value) if isinstance(value, str) else str(value))}"
    )
    return f"{text} of {elsewhere}" if elsewhere and parameter not in options else text


def resuming(run: object, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """What goes on with a training run: `fastgan train --resume RUN`, or the call of Python where no command runs."""
    if _commands:
        return f"fastgan train --resume {quoted(str(run))}" + "".join(
            f" --set {key}={value}" for key, value in settings.items()
        )
    changed = ", ".join(f'"{key}": {value}' for key, value in settings.items())
    return f"fastgan.train(resume={str(run)!r}{f', settings={{{changed}}}' if changed else ''})"


def in_a_line(text: str) -> str:
    """At most _LONGEST characters of it."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


@contextmanager
def command_line() -> Iterator[None]:
    """While a command runs, errors speak of options."""
    _commands.append({})
    try:
        yield
    finally:
        _commands.pop()


def use_options(options: Mapping[str, str]) -> None:
    """The command that runs has these: parameter -> option. Nothing where no command runs."""
    if _commands:
        _commands[-1] = options
