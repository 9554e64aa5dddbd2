"""Where a model or folder lies that a call is given in one of several forms."""

from pathlib import Path
from typing import Any

from fastgan import arguments


def path_of(source: Any, parameter: str = "source") -> Path:
    """The path of a `fastgan.Run`, of an opened generator, or of what is a path already.

    Raises ConfigError, which names the parameter, for anything else.
    """
    facts = getattr(source, "facts", None)
    opened: str | None = getattr(facts, "source", None)
    if opened is not None:  # a generator: where it was opened from
        return Path(opened)
    return arguments.path(getattr(source, "path", source), parameter)
