"""`fastgan.export`: a trained model in a format that runs without fastgan, checked against torch."""

import math
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fastgan import allocator, arguments
from fastgan.api.call import long_call
from fastgan.api.exported import Exported, decibels
from fastgan.api.sources import Model, path_of
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.errors import ConfigError
from fastgan.naming import named

if TYPE_CHECKING:
    from fastgan.data import Dataset
    from fastgan.evaluation.check_fid import Verdict
    from fastgan.exporters import Check
    from fastgan.exporters import Exported as Written

StrPath = str | os.PathLike[str]
IMAGES = 2000
"""How many are scored where that is asked for"""
_LEAST, _MOST = 50, 1 << 48


@long_call
def export(
    source: Model,
    target: StrPath | None = None,
    *,
    uint8: bool = False,
    fp16: bool = False,
    int8: bool = False,
    min_snr_db: float | None = None,
    split: bool = False,
    opset: int = 20,
    triton: StrPath | None = None,
    check_fid: bool = False,
    data: "StrPath | Dataset | None" = None,
    n: int | None = None,
    fid_limit: float | None = None,
    overwrite: bool = False,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Exported:
    """Export the averaged generator of `source` to the ONNX file `target`, as `fastgan export` does.

    The file is checked, and run by ONNX Runtime against torch, before it appears under its name.

    source: a `Run`, the path of a run, checkpoint or release, or what `fastgan.load` opened of one; for `triton` alone
    also an exported .onnx. target: its name ends in .onnx.
    uint8: the graph gives pixels, uint8 [N, H, W, C], in place of float32 [N, C, H, W] about [-1, 1]. fp16: computed in
    half precision, for a GPU. int8: convolutions in 8 bits, but those that need more. min_snr_db: refuse a file with
    less signal to noise against torch; 40 for fp16 and 26 for int8 by default. split: two files that share w,
    NAME.mapping.onnx and NAME.synthesis.onnx. opset: ONNX operator set, 18 to 23. triton: write the model, batched and
    giving pixels, into this model repository of Triton Inference Server, named like `target`, else like `source`.
    check_fid: refuse a file that scores worse than the model in torch, against `data`, the real images or their
    statistics, else against the model's own images of other seeds; n: how many, at least 50, 2000 by default;
    fid_limit: by how many percent of it the file's FID may be above torch's, 25 by default.
    callback: is told each comparison as an event of kind "check", and as log(k, {"difference": ..., "snr_db": ...}) of
    the k-th. progress: show bars where images are scored.

    Raises CheckpointError for a source that is missing, broken or has changed since it was opened, ConfigError for
    arguments that do not go together, OutputError where a file cannot be written, is there already (see `overwrite`) or
    differs from torch, and for `check_fid` what `evaluate` raises. Files appear whole or not at all.
    """
    allocator.keep_memory()
    job = _Job(
        source=path_of(source),
        target=None if target is None else arguments.path(target, "target"),
        repository=None if triton is None else arguments.path(triton, "triton"),
        precision="fp16" if fp16 else "int8" if int8 else "fp32",
        listener=as_one(callback),
    )
    job.check(fp16=fp16, int8=int8, split=split, check_fid=check_fid)
    if not check_fid and any(given is not None for given in (data, n, fid_limit)):
        raise ConfigError(
            f"{named('data')}, {named('n')} and {named('fid_limit')} are for {named('check_fid')}: give that too, or "
            "leave them away."
        )
    accept = job.scorer(data, n, fid_limit, show=progress) if check_fid else None
    options = {
        "uint8": uint8,
        "split": split,
        "opset": arguments.whole_number(opset, "opset", 0, 1 << 31),
        "min_snr_db": min_snr_db,
    }
    folder = (job.target or job.model or job.source).parent
    with told(job.listener, Job(work="export", folder=folder, settings=options)) as results:
        done = job.run(
            getattr(getattr(source, "facts", None), "fingerprint", None), accept, overwrite, options
        )
        results.update(paths=done.paths, snr_db=done.snr_db, triton=done.triton)
    return done


@dataclass
class _Job:
    """One call: from where to where."""

    source: Path
    target: Path | None
    repository: Path | None
    precision: str
    listener: Callback
    verdict: "Verdict | None" = None

    @property
    def model(self) -> Path | None:
        """The folder of the model for Triton."""
        if self.repository is None:
            return None
        return self.repository / (self.target or self.source.resolve()).stem

    @property
    def exported_already(self) -> bool:
        return self.source.suffix.lower() == ".onnx"

    def check(self, *, fp16: bool, int8: bool, split: bool, check_fid: bool) -> None:
        """ConfigError for arguments that do not go together."""
        if self.target is None and self.repository is None:
            raise ConfigError(
                f"there is nothing to write: give {named('target')} FILE, {named('triton')} DIR, or both."
            )
        if fp16 and int8:
            raise ConfigError(
                f"{named('fp16')} and {named('int8')} are two precisions of one file: give one, or export twice."
            )
        if split and self.repository is not None:
            raise ConfigError(
                f"{named('triton')} serves a whole model: leave {named('split')} away, or export twice."
            )
        if self.exported_already and (self.target is not None or fp16 or int8 or check_fid):
            raise ConfigError(
                f"{self.source} is exported already: it can be written for {named('triton')} alone; give the run for "
                "anything else."
            )

    def scorer(
        self, data: "StrPath | Dataset | None", n: int | None, limit: float | None, *, show: bool
    ) -> Callable[[Path], None]:
        """What refuses a file that scores worse than torch."""
        from fastgan.data import Dataset
        from fastgan.evaluation.check_fid import LIMIT, checker

        def found(verdict: "Verdict") -> None:
            self.verdict = verdict
            self._say("fid", verdict.lines())

        return checker(
            self.source,
            data if data is None or isinstance(data, Dataset) else arguments.path(data, "data"),
            IMAGES if n is None else arguments.whole_number(n, "n", _LEAST, _MOST),
            LIMIT if limit is None else arguments.real_number(limit, "fid_limit", 0, math.inf) / 100,
            found=found,
            show=show,
        )

    def run(
        self,
        fingerprint: str | None,
        accept: Callable[[Path], None] | None,
        overwrite: bool,
        options: dict[str, Any],
    ) -> Exported:
        """Write the file, and the model for Triton."""
        from fastgan.exporters import export_onnx
        from fastgan.exporters import triton as serving

        if self.model is not None:
            serving.check_target(self.model, self.source, overwrite=overwrite)
        with ExitStack() as stack:
            file, written = self.source, None
            if not self.exported_already:
                self._say("export", [f"exporting {self.source} ..."])
                file = self.target or _passing(stack, f"{self.source.resolve().stem}.onnx")
                written = export_onnx(
                    self.source,
                    file,
                    precision=self.precision,
                    overwrite=overwrite,
                    fingerprint=fingerprint,
                    report=self._reporter(uint8=options["uint8"]),
                    accept=accept or (lambda path: None),
                    **options,
                )
            if self.model is not None:
                serving.write_repository(file, self.model.parent, name=self.model.name, overwrite=overwrite)
        return self._result(written)

    def _result(self, written: "Written | None") -> Exported:
        if written is None:
            return Exported(source=self.source, triton=self.model)
        return Exported(
            source=self.source,
            paths=() if self.target is None else written.paths,
            snr_db=written.snr_db,
            checks=written.checks,
            kept=written.kept,
            convolutions=written.convolutions,
            fid=self.verdict,
            triton=self.model,
        )

    def _reporter(self, *, uint8: bool) -> "Callable[[Check], None]":
        """What tells of each comparison."""
        unit, count = (" grey levels" if uint8 else ""), 0

        def report(check: "Check") -> None:
            nonlocal count
            count += 1
            limit = f" (limit {check.tolerance:.2g})" if math.isfinite(check.tolerance) else ""
            self._say(
                "check",
                [
                    f"ONNX Runtime against torch, batch {check.batch:2d}, {check.what}: max difference "
                    f"{check.difference:.2g}{unit}{limit}, {decibels(check.snr_db)}"
                ],
            )
            self.listener.log(count, {"difference": check.difference, "snr_db": check.snr_db})

        return report

    def _say(self, kind: str, lines: list[str]) -> None:
        for line in lines:
            self.listener.event(0, kind, line)


def _passing(stack: ExitStack, name: str) -> Path:
    """A path for a file that is needed while `stack` is open."""
    return Path(stack.enter_context(TemporaryDirectory(prefix="fastgan."))) / name
