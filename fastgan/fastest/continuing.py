"""Open a model to make images of a folder: as asked for, as the folder was begun, or in the fastest way there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastgan.errors import ConfigError
from fastgan.fastest.search import open_fastest
from fastgan.fastest.ways import open_way
from fastgan.inference.opening import open_generator
from fastgan.inference.precisions import PRECISIONS
from fastgan.inference.runtime import Runtime
from fastgan.naming import named

FASTEST, ANY = "fastest", "any"


def open_to_continue(
    source: Path,
    *,
    stored: dict[str, Any] | None,
    shards: int,
    runtime: str,
    precision: str | None,
    batch: int | None,
    device: str,
    lanes: int,
    ema: float | None,
    note: Callable[[str], None],
) -> Runtime:
    """Open `source` for generating. ConfigError and CheckpointError as `open_generator`.

    stored: the settings of a folder that was begun, which decide about the batch, and for "fastest" about all that was
    measured: what is there already and what is added must be made alike. Several shards cannot measure at once, so the
    folder must have been begun. note: is told what is measured, and what was chosen.
    """
    begun = stored or {}
    if batch is None:
        batch = (begun.get("set") or {}).get("batch")
    if runtime != FASTEST:
        if precision == ANY:
            raise ConfigError(
                f"{named('precision', ANY)} leaves the choice to {named('runtime', FASTEST)}: give both."
            )
        return open_generator(
            source, runtime=runtime, device=device, batch=batch, precision=precision, lanes=lanes, ema=ema
        )
    allowed = PRECISIONS if precision == ANY else (precision or "fp32",)
    name, kept = begun.get("runtime"), begun.get("precision")
    if batch is not None and name in ("torch", "onnx") and (kept in allowed or source.suffix == ".onnx"):
        return open_way(source, name, str(kept), batch=batch, device=device, lanes=lanes, ema=ema)
    if shards > 1:
        raise ConfigError(
            f"{named('runtime', FASTEST)} measures, and all shards must run alike: begin the folder with one image "
            f"({named('n', 1)}, no {named('shard')}), by whose settings the shards will go, or name "
            f"{named('runtime')}, {named('precision')} and {named('batch')}."
        )
    model, choice = open_fastest(
        source, device=device, precisions=allowed, batch=batch, lanes=lanes, ema=ema, note=note
    )
    note(f"fastest: {choice}")
    return model
