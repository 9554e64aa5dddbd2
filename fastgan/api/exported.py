"""The result of `fastgan.export`."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan.api.tables import html_table
from fastgan.text import shown

if TYPE_CHECKING:
    from fastgan.evaluation.check_fid import Verdict
    from fastgan.exporters import Check


@dataclass(frozen=True, eq=False, kw_only=True)
class Exported:
    """What was written, and how near it is to the model in torch.

    snr_db, checks, kept and convolutions are of the .onnx file, whether it has a name or was made for Triton alone;
    where the source was exported before, they are None and empty.
    """

    source: Path
    paths: tuple[Path, ...] = ()
    """The .onnx files: one, or those of mapping and synthesis; none where only `triton` was asked for."""
    snr_db: float | None = None
    """Signal to noise of the images against torch in float32, in dB; infinite where there is no difference."""
    checks: tuple["Check", ...] = ()
    """Each comparison with torch: batch, largest difference and what is allowed, signal to noise."""
    kept: tuple[str, ...] = ()
    """Convolutions that stayed in float in a file of 8 bits, by name."""
    convolutions: int = 0
    """How many there are in a file of 8 bits."""
    fid: "Verdict | None" = None
    """The scores of the file and of torch, where they were asked for."""
    triton: Path | None = None
    """The model's folder in the repository of Triton Inference Server."""

    @property
    def max_difference(self) -> float | None:
        """The largest of all checks: of values about [-1, 1], or in grey levels where the graph gives uint8."""
        return max((check.difference for check in self.checks), default=None)

    @property
    def files(self) -> tuple[Path, ...]:
        """`paths`, each followed by the files of its weights, which past 2 GB lie beside it."""
        return tuple(file for path in self.paths for file in _with_weights(path))

    @property
    def bytes(self) -> int:
        """The size of all `files`."""
        return sum(file.stat().st_size for file in self.files)

    def facts(self) -> dict[str, Any]:
        """As `fastgan export --json` prints it."""
        facts: dict[str, Any] = {"source": self.source, "files": [], "triton": self.triton}
        if self.snr_db is not None:
            facts |= {
                "files": [{"file": file, "bytes": file.stat().st_size} for file in self.files],
                "snr_db": self.snr_db,
                "in_float": self.kept,
                "convolutions": self.convolutions,
                "checks": [asdict(check) for check in self.checks],
            }
        if self.fid is not None:
            found = asdict(self.fid)
            facts["check_fid"] = {name: found[name] for name in ("images", "torch", "file", "allowed")}
        return facts

    def lines(self) -> list[str]:
        """What was written, in words."""
        said = []
        if self.convolutions:
            said.append(
                f"{self.convolutions - len(self.kept)} of {self.convolutions} convolutions in 8 bits; in float: "
                f"{', '.join(self.kept)}"
            )
        if self.snr_db is not None:
            said.append(f"signal to noise against torch: {decibels(self.snr_db)}")
        for path in self.paths:
            files = _with_weights(path)
            size = sum(file.stat().st_size for file in files) / 1e6
            said.append(f"{path}{' with its weights beside' if len(files) > 1 else ''}, {size:.1f} MB")
        if self.triton is not None:
            at = self.triton.parent.absolute()
            said.append(f"{self.triton}; serve it: tritonserver --model-repository={at}")
        return [shown(line) for line in said]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        checks = [
            (check.what, str(check.batch), f"{check.difference:.2g}", decibels(check.snr_db))
            for check in self.checks
        ]
        return html_table(
            checks, ("against torch", "batch", "max difference", "signal to noise"), self.lines()
        )


def _with_weights(path: Path) -> list[Path]:
    """An exported file, and past 2 GB those of its weights."""
    from fastgan.exporters import external

    return [path, *external.weights_beside(path)]


def decibels(snr_db: float) -> str:
    """`32.1 dB`, in words where there is no difference."""
    return f"{snr_db:.1f} dB" if math.isfinite(snr_db) else "no difference"
