"""How `fastgan generate` opens a model: as it is asked to, as the folder was begun, or in the fastest way there is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fastgan.inference import Runtime

FASTEST, ANY = "fastest", "any"


def open_model(
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
) -> "Runtime":
    """Open `source` for generating. ConfigError and CheckpointError as `open_generator`.

    stored: the settings of a folder that was begun, which decide about the batch, and for "fastest" about all that was
    measured: what is there already and what is added must be made alike. Several shards cannot measure at once, so the
    folder must have been begun.
    """
    from fastgan.errors import ConfigError
    from fastgan.fastest.search import PRECISIONS, open_fastest, open_way
    from fastgan.inference import open_generator

    begun = stored or {}
    if batch is None:
        batch = (begun.get("set") or {}).get("batch")
    if runtime != FASTEST:
        if precision == ANY:
            raise ConfigError(f"--precision {ANY} leaves the choice to --runtime {FASTEST}: give both.")
        return open_generator(
            source,
            runtime=runtime,
            device=device,
            batch=batch,
            precision=precision,
            lanes=lanes,
            ema=ema,
        )
    allowed = PRECISIONS if precision == ANY else (precision or "fp32",)
    name, kept = begun.get("runtime"), begun.get("precision")
    if batch is not None and name in ("torch", "onnx") and (kept in allowed or source.suffix == ".onnx"):
        return open_way(source, name, str(kept), batch=batch, device=device, lanes=lanes, ema=ema)
    if shards > 1:
        raise ConfigError(
            f"--runtime {FASTEST} measures, and all shards must run alike: begin the folder with one image "
            "(-n 1, no --shard), by whose settings the shards will go, or name --runtime, --precision and --batch."
        )
    model, choice = open_fastest(
        source,
        device=device,
        precisions=allowed,
        batch=batch,
        lanes=lanes,
        ema=ema,
        note=lambda text: click.echo(text, err=True),
    )
    click.echo(f"fastest: {choice}", err=True)
    return model
