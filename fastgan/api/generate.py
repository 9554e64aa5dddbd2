"""`fastgan.generate`: images from a model to a folder."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgan import allocator, arguments
from fastgan import progress as shows
from fastgan.api.call import long_call
from fastgan.api.heard import Heard
from fastgan.api.sources import Model, source_of
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.errors import ConfigError
from fastgan.fastest.continuing import open_to_continue
from fastgan.inference.conditions import Request
from fastgan.inference.folder import OutputFolder, stored_settings
from fastgan.inference.plan import seeds_text
from fastgan.inference.runs import lanes_here
from fastgan.inference.runtime import Runtime
from fastgan.inference.shards import Shard, find_shard, own_device
from fastgan.inference.wanted import Wanted
from fastgan.naming import named
from fastgan.seeds import choose_seeds
from fastgan.version import __version__


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What a call of `generate` did."""

    folder: Path
    seeds: str
    """Those of the whole set, as "0-999,2000"."""
    shard: str | None
    """Which part of them this process made, as "3/16"; None: all."""
    model: Mapping[str, Any]
    """Which model ran, and how: source, fingerprint, runtime, device, precision, batch and so on."""
    done: Mapping[str, Any]
    """Of a set: written, there_already, seconds, images_per_second, busy. Of figures: their paths."""
    words: str
    """The same in words."""

    @property
    def written(self) -> int:
        """Images that were made and written; those that were there already are not among them."""
        return int(self.done.get("written", 0))

    @property
    def seconds(self) -> float:
        """What making and writing them took; 0 where only figures were made."""
        return float(self.done.get("seconds", 0.0))

    @property
    def images_per_second(self) -> float:
        """0 where none was written."""
        return float(self.done.get("images_per_second", 0.0))

    @property
    def figures(self) -> tuple[Path, ...]:
        """The sheet, the mixed styles or the interpolations that were written."""
        one = (self.done[name] for name in ("grid", "style_mix") if name in self.done)
        return (*one, *self.done.get("interpolation", ()))

    def facts(self) -> dict[str, Any]:
        """All of it but the words, as `fastgan generate --json` prints it."""
        return {
            "out": self.folder,
            "seeds": self.seeds,
            "shard": self.shard,
            "model": self.model,
            **self.done,
        }

    def __repr__(self) -> str:
        return f"<{self.words}>"


@long_call
def generate(
    model: Model,
    *,
    n: int | None = None,
    seed: int | None = None,
    seeds: str | Iterable[int] | None = None,
    classes: str | Iterable[str] | None = None,
    attributes: Mapping[str, float] | None = None,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    noise: str = "const",
    out: str | os.PathLike[str] = "generated",
    format: str | None = None,
    encoding: str | None = None,
    per_file: int | None = None,
    overwrite: bool = False,
    grid: bool = False,
    interpolate: bool = False,
    frames: int | None = None,
    style_mix: bool = False,
    rows: str | Sequence[int] | None = None,
    shard: str | None = None,
    workers: int | None = None,
    batch: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str | None = None,
    ema: float | None = None,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Generated:
    """Write images of a model to the folder `out`, as many as disks hold, or a figure of some.

    The image of a seed depends on that seed and on the class, attributes, truncation and noise asked for. A call that
    was stopped, however it was, goes on when it is made again: images that are there are not made twice.
    `out`/manifest.jsonl lists seed, file, SHA-256, class and attributes, `out`/fastgan.json what made them.

    model: the path of a run, checkpoint, release or .onnx file; a `fastgan.Run`; or what `fastgan.load` gave, which
    then decides about `batch`, `device`, `runtime`, `precision` and `ema`, and the others leave them away.
    n, seed: the images of seed, seed + 1, ... (64 from 0 on; fewer for figures). seeds: exactly these, a list or a text
    as "0-999,2000". classes, attributes, truncation_psi, truncation_cutoff, noise: as in `sample`.
    format: "png" (by default), "jpg", "webp" or "webp-lossless", an image a file; "npz", "webdataset" (tars) or
    "parquet", with `per_file` images each (1,000; all in one npz), stored by `encoding` ("png").
    grid: one sheet of all images, alone where no format is named. interpolate: the way from each seed to the next, as a
    strip and as moving pictures of `frames` (50) from one to the next; its formats are "png", "gif" and "mp4".
    style_mix: the seeds of `rows` with the coarse, middle and fine styles of `seeds` (Karras et al. 2019, figure 3).
    shard: part "3/16" of the images, counted from 0; "auto" asks Slurm or Kubernetes; by default torchrun's RANK and
    WORLD_SIZE. workers: threads that encode, 1 to 256; by default one a core. batch, device, precision, ema: as in
    `fastgan.load`. runtime: besides "auto", "torch" and "onnx", "fastest" measures them once, with precision "any" in
    all that there are.
    callback: hears `begin`, the number of images done, and `end`.

    Raises ConfigError for what does not go together or the model cannot do, CheckpointError for a model that cannot be
    opened, OutputError for a folder that holds something else or a disk that is full. After KeyboardInterrupt, what is
    whole is kept.
    """
    allocator.keep_memory()
    wanted = Wanted(
        image_format=format, encoding=encoding, per_file=per_file, grid=grid, interpolate=interpolate, frames=frames,
        style_mix=style_mix, rows=rows,
    )  # fmt: skip
    part, layout, where = find_shard(shard), wanted.layout, arguments.path(out, "out")
    wanted.check(shard=shard, workers=workers, runtime=runtime, overwrite=overwrite, shards=part.count)
    chosen = choose_seeds(n, seed, seeds, wanted.count)
    hearer, source = as_one(callback), source_of(model)
    job = Job(work="generate", folder=where, settings={"model": str(source), "seeds": seeds_text(chosen)})
    with told(hearer, job) as results, shows.progress(progress) as shown:
        heard = Heard(shown, hearer)
        opened = _opened(
            source, stored=stored_settings(where) if layout and not overwrite else None, shard=part, runtime=runtime,
            precision=precision, batch=batch, device=device, lanes=1 if style_mix else lanes_here(), ema=ema,
            note=heard.note,
        )  # fmt: skip
        request = opened.request(
            truncation_psi, truncation_cutoff, classes=classes, attributes=attributes, noise=noise
        )
        if n is None and seeds is None:
            chosen = chosen[: wanted.columns(request)]
        write = wanted.writer(opened, request, chosen, shard=part, workers=workers)
        folder = OutputFolder(where, _settings(opened, request), overwrite=overwrite)
        hearer.event(0, "model", _heading(opened) + (f", {part.words}" if part.count > 1 else ""))
        with opened.side_by_side(1 if style_mix else lanes_here()):
            words, facts = write(folder, heard)
        results.update(facts)
    return Generated(
        folder=where,
        seeds=seeds_text(chosen),
        shard=part.fraction,
        model=_facts(opened),
        done=facts,
        words=words,
    )


def _opened(source: Path | Runtime, *, shard: Shard, device: str, **how: Any) -> Runtime:
    """The model as it is open, or opened as it is asked for."""
    if not isinstance(source, Runtime):
        return open_to_continue(source, shards=shard.count, device=own_device(device, shard), **how)
    given = {
        "runtime": how["runtime"] != "auto",
        "precision": how["precision"] is not None,
        "batch": how["batch"] is not None,
        "device": device != "auto",
        "ema": how["ema"] is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise ConfigError(
                f"{named(name)} says how a model is opened, and this one is open: give it to fastgan.load, or give the "
                "path of the model."
            )
    return source


def _settings(model: Runtime, request: Request) -> dict[str, Any]:
    """What the images of a folder have in common; a folder with other settings is refused."""
    facts = model.facts
    settings = {
        "fastgan": __version__,
        "model": facts.model,
        "fingerprint": facts.fingerprint,
        "cur_nimg": facts.cur_nimg,
        "truncation": request.truncation_psi,
        "truncation_cutoff": request.truncation_cutoff,
        "classes": ", ".join(facts.class_names[label] for label in request.classes) or None,
        "attributes": ", ".join(f"{facts.attribute_names[k]}={v:g}" for k, v in request.attributes) or None,
        "noise": request.noise if request.noise != "const" else None,
        "runtime": model.name,
        "precision": model.precision,
    }
    where_asked_for = ("truncation_cutoff", "classes", "attributes", "noise")
    return {key: value for key, value in settings.items() if value is not None or key not in where_asked_for}


def _facts(model: Runtime) -> dict[str, Any]:
    """Which model ran, and how."""
    known = model.describe()
    names = ("source", "model", "resolution", "img_channels", "cur_nimg", "fingerprint")
    return {name: known[name] for name in (*names, "runtime", "device", "precision", "batch")}


def _heading(model: Runtime) -> str:
    facts = model.facts
    trained = f", {facts.cur_nimg / 1000:.1f} kimg" if facts.cur_nimg is not None else ""
    return (
        f"{facts.model} {facts.resolution} px{trained}, {model.name} on {model.device}, "
        f"{model.precision}, batch {model.batch}"
    )
