"""Exports of a run, checkpoint or release that are made when first asked for, and kept in the user's cache folder."""

from dataclasses import replace
from pathlib import Path

from fastgan.errors import CheckpointError
from fastgan.files import cache_folder
from fastgan.inference.facts import Facts
from fastgan.inference.runtime import Runtime
from fastgan.version import __version__


def place(facts: Facts, precision: str) -> Path:
    """Where the export of a model is kept: one file for its weights, a precision and a version of fastgan."""
    return cache_folder() / "exported" / f"{facts.fingerprint[:32]}-{precision}-{__version__}.onnx"


def open_exported(
    source: Path, facts: Facts, *, device: str, precision: str, batch: int | None, lanes: int = 1
) -> Runtime:
    """`source`, whose facts are `facts`, run by ONNX Runtime, exported first where that is not kept or is broken.

    It goes by the facts of `source`: images are that model's, whatever file they come from. Raises ImportError where
    what exports or runs it is not installed, OutputError where the export does not agree with torch or cannot be
    written, ConfigError as `open_generator`.
    """
    from fastgan.exporters import export_onnx
    from fastgan.inference import onnx_runtime

    path = place(facts, precision)

    def opened() -> Runtime:
        return onnx_runtime.open_model(path, device=device, batch=batch, precision=precision, lanes=lanes)

    try:
        runtime = opened()
    except CheckpointError:  # not there yet, or not whole
        export_onnx(source, path, uint8=True, precision=precision, overwrite=True)
        runtime = opened()
    runtime.facts = replace(facts, source=str(source))
    return runtime
