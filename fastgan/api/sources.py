"""What a call takes as a model or a folder: a path, what has one, or a model that is open."""

import os
from pathlib import Path
from typing import Any, Protocol

from fastgan import arguments
from fastgan.inference import hub
from fastgan.inference.runtime import Runtime


class HasPath(Protocol):
    """Something on disk, such as a run."""

    @property
    def path(self) -> Path:
        """Where it is."""


Model = str | os.PathLike[str] | HasPath | Runtime
"""A run, a checkpoint, a release or an .onnx file by its path, or hf://user/name; a `fastgan.Run`; what `fastgan.load`
gave"""


def source_of(model: Model, parameter: str = "model") -> Path | Runtime:
    """The open model, or the path of one that is not. ConfigError for what is neither."""
    if isinstance(model, Runtime):
        return model
    return hub.fetched(arguments.path(getattr(model, "path", model), parameter))


def path_of(source: Any, parameter: str = "source") -> Path:
    """The path of a `fastgan.Run`, of an opened generator, or of what is a path already.

    Raises ConfigError, which names the parameter, for anything else.
    """
    facts = getattr(source, "facts", None)
    opened: str | None = getattr(facts, "source", None)
    if opened is not None:  # a generator: where it was opened from
        return Path(opened)
    return hub.fetched(arguments.path(getattr(source, "path", source), parameter))
