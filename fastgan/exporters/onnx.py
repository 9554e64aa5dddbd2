"""A trained generator as one ONNX file of standard operators, or as two that share w.

    inputs   z                  float32 [batch, z_dim]
             label              int64 [batch]               only where the model takes classes: its index
             attributes         float32 [batch, A]          only where the model takes attributes; NaN: unknown
             truncation_psi     float32 []                  has a default, 1.0; only where the model has truncation
             truncation_cutoff  int64 []                    has a default, all layers; the first K are truncated
             noise_<k>          float32 [noise_<k>_batch, 1, h, w]   has a default, the model's constant noise;
                                                            give [1, 1, h, w] or [batch, 1, h, w]
    output   images             float32 [batch, C, H, W] about [-1, 1], or uint8 [batch, H, W, C]

Split in two, NAME.mapping.onnx gives w, float32 [batch, layers, w_dim], of all but the noise, and NAME.synthesis.onnx
takes w and the noise.

A default is an initialiser of the input's name, so `z`, `label` and `attributes` alone must be given. What the model
is stands in the file's metadata under `fastgan.*`: the names of classes and attributes as JSON lists, and in
`fastgan.conditions` the sample of the data's conditions, from which `fastgan generate` draws what is not asked for.
"""

import json
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto, helper

from fastgan import arguments
from fastgan.errors import CheckpointError, ConfigError, OutputError
from fastgan.exporters import external, fp16, int8
from fastgan.exporters.equalise import equalise
from fastgan.exporters.graph import build
from fastgan.exporters.verify import Case, Check, ask, check_operators, compare, verify
from fastgan.files import check_output
from fastgan.inference.conditions import Conditions, JointSample, Request
from fastgan.inference.facts import Facts
from fastgan.inference.onnx_runtime import PARTS
from fastgan.inference.onnx_session import open_session
from fastgan.inference.torch_runtime import load_model, load_sample
from fastgan.models import stylegan
from fastgan.naming import named
from fastgan.nn import bake
from fastgan.seeds import latents
from fastgan.version import __version__

OPSET = 20
MIN_SNR_DB = {"fp32": -math.inf, "fp16": 40.0, "int8": 26.0}
"""The least signal to noise that a file of each precision must have against torch in float32, which fp32 must give."""
_OPSETS = (18, 23)  # what torch's exporter can write and ONNX Runtime >= 1.20 can read
_FIRST_SEED = 1 << 48  # of the images that ranges are taken from: no user's
_CALIBRATED_ON = 64  # images at 64 px, fewer above


@dataclass(frozen=True)
class Exported:
    """What was written."""

    paths: tuple[Path, ...]
    checks: tuple[Check, ...]
    snr_db: float
    """Signal to noise of the images against torch in float32."""
    kept: tuple[str, ...] = ()
    """Convolutions that stayed in float in a file of 8 bits, by name."""
    convolutions: int = 0
    """How many there are in a file of 8 bits."""


def export_onnx(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    uint8: bool = False,
    opset: int = OPSET,
    precision: str = "fp32",
    split: bool = False,
    min_snr_db: float | None = None,
    overwrite: bool = False,
    fingerprint: str | None = None,
    report: Callable[[Check], None] = lambda check: None,
    accept: Callable[[Path], None] = lambda path: None,
) -> Exported:
    """Export the averaged generator of `source` (run, checkpoint, release) to the ONNX file `target`.

    uint8: the graph gives pixels, uint8 [N, H, W, C], instead of float32 [N, C, H, W]. precision: "fp32", "fp16" or
    "int8", for weights and what is computed; inputs and outputs stay the same. split: two files, mapping and synthesis.
    min_snr_db: by default that of `MIN_SNR_DB`. fingerprint: that of the generator which is meant. Files appear under
    their names only when they have passed onnx.checker and agree with torch; each comparison is handed to `report` as
    it is made. accept: is given the file before it has its name (of two that of the synthesis), and may refuse it by
    raising. Raises CheckpointError for a bad source, or one whose generator has another fingerprint, ConfigError for
    another precision, an opset out of range or a model that cannot be split, OutputError where the file cannot be
    written, is there already, or does not agree with torch.
    """
    path = Path(target)
    paths = [path.with_suffix(f".{part}.onnx") for part in PARTS] if split else [path]
    for each in paths:
        _check_target(each, source, overwrite=overwrite)
    arguments.one_of(precision, "precision", tuple(MIN_SNR_DB))
    if not _OPSETS[0] <= opset <= _OPSETS[1]:
        raise ConfigError(
            f"{named('opset', opset)} is out of range: choose one from {_OPSETS[0]} to {_OPSETS[1]}."
        )
    generator, facts, state = load_model(Path(source))
    if fingerprint not in (None, facts.fingerprint):
        raise CheckpointError(
            f"{source} holds another generator than was opened from it, because training went on or another average "
            "was asked for: open it again, or give its path."
        )
    if split and not facts.layers:
        raise ConfigError(f"{facts.words} has no mapping network to split off: leave {named('split')} away.")
    sample = load_sample(Path(source)) if facts.condition_dim else None
    job = _Job(generator, facts, sample, uint8=uint8, opset=opset, precision=precision)
    floor_db = MIN_SNR_DB[precision] if min_snr_db is None else min_snr_db
    try:
        with external.staged(paths) as staged:
            checks: list[Check] = []
            for part, place in zip(PARTS if split else ["whole"], staged, strict=True):
                made = job.make(part, floor_db)
                coarse = "fp32" if part == "mapping" else precision
                _describe(
                    made.model, part, facts, sample, state["config"]["model"],
                    uint8=uint8, precision=coarse, snr_db=made.snr_db,
                )  # fmt: skip
                external.save(made.model, place)
                drawn = None if coarse == "fp32" else lambda n: job.drawn(range(n))
                floor = min(floor_db, made.snr_db)
                checks += verify(
                    place, generator, facts, report, part=part, precision=coarse, floor_db=floor, drawn=drawn
                )
            accept(staged[-1])
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}): make room or choose another place."
        ) from error
    return Exported(tuple(paths), tuple(checks), made.snr_db, made.kept, made.convolutions)


def _check_target(path: Path, source: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Fail before the work rather than after it."""
    if path.suffix.lower() != ".onnx":
        raise OutputError(f"{path}: an ONNX file's name ends in .onnx, by which fastgan generate knows it.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file in it, like {path / 'model.onnx'}.")
    check_output(path, overwrite=overwrite, sources=[source])


class _Job:
    """One export: the generator, and how its graphs shall be."""

    def __init__(
        self,
        generator: Any,
        facts: Facts,
        sample: Conditions | None,
        *,
        uint8: bool,
        opset: int,
        precision: str,
    ) -> None:
        self._generator, self._facts, self._precision = generator, facts, precision
        self._uint8, self._opset = uint8, opset
        self._count = max(4, min(_CALIBRATED_ON, _CALIBRATED_ON * 64**2 // facts.resolution**2))
        self._data = (
            JointSample(facts.class_names, facts.attribute_names, sample) if sample is not None else None
        )
        self._baked = bake(generator)
        if precision == "int8" and isinstance(self._baked, stylegan.Generator):
            self._case(_FIRST_SEED, "whole")  # raises for images that are not finite
            equalise(self._baked, lambda baked: self._asked(baked, _FIRST_SEED, "whole"))

    def make(self, part: str, floor_db: float) -> int8.Quantised:
        """The graph of a part in the precision asked for; OutputError where it does not reach `floor_db`."""
        model = build(self._baked, part, uint8=self._uint8, opset=self._opset)
        check_operators(model)
        measured = self._case(0, part)

        def snr_db(candidate: ModelProto) -> float:
            return compare(measured, _run(candidate, measured), floor_db=floor_db, exact=False).snr_db

        if self._precision == "int8" and part != "mapping":
            return int8.quantise(model, [self._case(_FIRST_SEED, part).feed], snr_db, floor_db)
        if self._precision == "fp16" and part != "mapping":
            model = fp16.halve(model)
        reached = snr_db(model)
        if reached < floor_db:
            raise OutputError(
                f"the exported graph differs from torch: {reached:.1f} dB, of {floor_db:g} that are asked for, so "
                f"nothing was written: give a lower {named('min_snr_db')}"
                + (", or export it in fp32." if self._precision == "fp16" else ".")
            )
        return int8.Quantised(model, reached, (), 0)

    def _case(self, first: int, part: str) -> Case:
        """What the images of `count` seeds from `first` on are asked, and what torch answers."""
        return self._asked(self._generator, first, part)

    def _asked(self, generator: Any, first: int, part: str) -> Case:
        seeds = range(first, first + self._count)
        return ask(generator, "seeds", latents(seeds, self._facts.z_dim), self.drawn(seeds), {}, part)

    def drawn(self, seeds: Sequence[int]) -> Conditions:
        """Conditions of these seeds, as they are in the data."""
        return self._data.draw(seeds, Request()) if self._data is not None else Conditions()


def _run(model: ModelProto, case: Case) -> NDArray[Any]:
    """What ONNX Runtime answers in a case."""
    with tempfile.TemporaryDirectory(prefix="fastgan.") as folder:
        path = Path(folder) / "model.onnx"
        copied = ModelProto()
        copied.CopyFrom(model)
        external.save(copied, path)
        answer: NDArray[Any] = open_session(path, "cpu").run(None, case.feed)[0]
    return answer


def _describe(
    model: ModelProto,
    part: str,
    facts: Facts,
    sample: Conditions | None,
    config: dict[str, Any],
    *,
    uint8: bool,
    precision: str,
    snr_db: float,
) -> None:
    """Write what the model is into the file."""
    pixels = "uint8 0..255" if uint8 else "float32 -1..1 (clamp)"
    metadata = {
        "version": __version__,
        "model": facts.model,
        "config": json.dumps(config),
        "resolution": str(facts.resolution),
        "img_channels": str(facts.img_channels),
        "z_dim": str(facts.z_dim),
        "has_truncation": "true" if facts.has_truncation else "false",
        "fingerprint": facts.fingerprint,
        "pixels": pixels,
        "layout": "NHWC" if uint8 else "NCHW",
        "latents": "standard normal; from a seed as in fastgan/seeds.py",
        "part": part,
        "precision": precision,
        "snr_db": f"{snr_db:.1f}",
    }
    if facts.layers:
        metadata["layers"] = str(facts.layers)
    if facts.class_names:
        metadata["class_names"] = json.dumps(facts.class_names)
    if facts.attribute_names:
        metadata["attribute_names"] = json.dumps(facts.attribute_names)
    if sample is not None and part != "synthesis":
        metadata["conditions"] = sample.to_text()
    if facts.cur_nimg is not None:
        metadata["cur_nimg"] = str(facts.cur_nimg)
    if facts.data_hash is not None:
        metadata["data_hash"] = facts.data_hash
    helper.set_model_props(model, {f"fastgan.{key}": value for key, value in metadata.items()})
    model.producer_name, model.producer_version = "fastgan", __version__
    model.graph.name = facts.model if part == "whole" else f"{facts.model}_{part}"
    model.doc_string = f"{facts.model} generator, {facts.resolution} px, exported by fastgan {__version__}"
