"""`fastgan export`: a trained model in a format that runs without fastgan."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan.commands._console import say
from fastgan.commands._document import document, json_option
from fastgan.text import quoted

if TYPE_CHECKING:
    from fastgan.evaluation.check_fid import Verdict
    from fastgan.exporters import Check, Exported

EXAMPLES = """\b
Examples:
  fastgan export runs/0007 --onnx model.onnx
  fastgan export runs/0007 --onnx pixels.onnx --uint8      the graph itself gives uint8 NHWC
  fastgan export runs/0007 --onnx small.onnx --int8        8 bits: 1.7 to 3 times as fast on a CPU
  fastgan export runs/0007 --onnx half.onnx --fp16         half the size, for a GPU
  fastgan export runs/0007 --onnx parts.onnx --split       parts.mapping.onnx and parts.synthesis.onnx
  fastgan export runs/0007 --onnx small.onnx --int8 --check-fid --data photos.fgd
  fastgan export runs/0007 --triton models/                a model repository for Triton Inference Server
  fastgan export model.onnx --triton models/               the same, of a file that was exported before
"""
IMAGES = 2000


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--onnx", "target", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--uint8", is_flag=True, help="Give pixels, uint8 [N, H, W, C], not float32 [N, C, H, W].")
@click.option("--fp16", is_flag=True, help="Compute in half precision; inputs and outputs stay float32.")
@click.option("--int8", is_flag=True, help="Convolutions in 8 bits, but those that need more.")
@click.option(
    "--min-snr",
    "min_snr_db",
    type=float,
    metavar="DB",
    help="Refuse a file with less signal to noise against torch.  [default: 40 for fp16, 26 for int8]",
)
@click.option("--split", is_flag=True, help="Two files that share w: the mapping network, and the synthesis.")
@click.option("--opset", type=int, default=20, show_default=True, help="ONNX operator set, 18 to 23.")
@click.option(
    "--triton",
    "repository",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the model, batched and giving pixels, into this model repository of Triton Inference Server.",
)
@click.option("--check-fid", is_flag=True, help="Refuse a file that scores worse than the model in torch.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="For --check-fid: the real images, or their statistics; else the model's own images of other seeds.",
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=50),
    help=f"For --check-fid: images to score.  [default: {IMAGES}]",
)
@click.option(
    "--fid-limit",
    type=click.FloatRange(min=0),
    metavar="PERCENT",
    help="For --check-fid: by how much of it the file's FID may be above torch's.  [default: 25]",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@json_option
def command(
    source: Path,
    target: Path | None,
    uint8: bool,
    fp16: bool,
    int8: bool,
    min_snr_db: float | None,
    split: bool,
    opset: int,
    repository: Path | None,
    check_fid: bool,
    data: Path | None,
    count: int | None,
    fid_limit: float | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Export the averaged generator of SOURCE (a run, a checkpoint or a release) to ONNX.

    The file is checked, and run by ONNX Runtime against torch, before it appears under its name. Only the input
    z must be given; truncation_psi and the noise_<k> have defaults. With --triton also, or alone, as a model that is
    named like the file, else like SOURCE, which may then be an exported .onnx too.
    """
    _check_options(source, target, repository, fp16=fp16, int8=int8, split=split, check_fid=check_fid)
    _check_scoring(check_fid, data, count, fid_limit)
    from fastgan.exporters import export_onnx, triton

    accept: Callable[[Path], None] = lambda path: None  # noqa: E731
    fid: dict[str, Any] = {}
    if check_fid:
        from fastgan.evaluation.check_fid import LIMIT, checker

        limit = LIMIT if fid_limit is None else fid_limit / 100

        def scored(verdict: "Verdict") -> None:
            fid.update({"images": verdict.images, **_scores(verdict)})
            _say_scores(verdict)

        accept = checker(source, data, count or IMAGES, limit, found=scored)

    def report(check: "Check") -> None:
        unit = " grey levels" if uint8 else ""
        limit = f" (limit {check.tolerance:.2g})" if math.isfinite(check.tolerance) else ""
        click.echo(
            f"ONNX Runtime against torch, batch {check.batch:2d}, {check.what}: max difference {check.difference:.2g}"
            f"{unit}{limit}, {_decibels(check.snr_db)}"
        )

    with document(as_json) as content, ExitStack() as stack:
        content.update({"source": source, "files": [], "triton": None})
        model = None if repository is None else repository / (target or source.resolve()).stem
        if model is not None:
            triton.check_target(model, source, overwrite=overwrite)
        file = target or source
        if source.suffix.lower() != ".onnx":
            say(f"exporting {source} ...", err=True)
            file = target or _passing(stack, f"{source.resolve().stem}.onnx")
            done = export_onnx(
                source,
                file,
                uint8=uint8,
                opset=opset,
                precision="fp16" if fp16 else "int8" if int8 else "fp32",
                split=split,
                min_snr_db=min_snr_db,
                overwrite=overwrite,
                report=report,
                accept=accept,
            )
            _say(done, named=target is not None)
            content.update(_facts(done, named=target is not None) | ({"check_fid": fid} if check_fid else {}))
        if repository is not None and model is not None:
            triton.write_repository(file, repository, name=model.name, overwrite=overwrite)
            content["triton"] = model
            click.echo(f"{model}; serve it: tritonserver --model-repository={repository.absolute()}")


def _scores(verdict: "Verdict") -> dict[str, Any]:
    return {"torch": verdict.torch, "file": verdict.file, "allowed": verdict.allowed}


def _say_scores(verdict: "Verdict") -> None:
    for name, value in verdict.torch.items():
        limit = f"; at most {verdict.allowed:+.3g} is allowed" if name.startswith("fid") else ""
        click.echo(
            f"{name} of {verdict.images:,} images against {verdict.against}: torch {value:.4g}, the file "
            f"{verdict.file[name]:.4g} ({verdict.file[name] - value:+.3g}{limit})"
        )


def _check_options(
    source: Path,
    target: Path | None,
    repository: Path | None,
    *,
    fp16: bool,
    int8: bool,
    split: bool,
    check_fid: bool,
) -> None:
    """ConfigError for options that do not go together."""
    from fastgan.errors import ConfigError

    if target is None and repository is None:
        raise ConfigError("there is nothing to write: give --onnx FILE, --triton DIR, or both.")
    if fp16 and int8:
        raise ConfigError("--fp16 and --int8 are two precisions of one file: give one, or export twice.")
    if split and repository is not None:
        raise ConfigError("--triton serves a whole model: leave --split away, or export twice.")
    if source.suffix.lower() == ".onnx" and (target is not None or fp16 or int8 or check_fid):
        raise ConfigError(
            f"{source} is exported already: it can be written for --triton alone; give the run for anything else."
        )


def _check_scoring(check_fid: bool, *options: Path | float | None) -> None:
    """ConfigError for options of --check-fid without it."""
    from fastgan.errors import ConfigError

    if not check_fid and any(option is not None for option in options):
        raise ConfigError(
            "--data, -n and --fid-limit are for --check-fid: give that too, or leave them away."
        )


def _say(done: "Exported", *, named: bool) -> None:
    """What was written; named: under a name of the user's."""
    if done.convolutions:
        click.echo(
            f"{done.convolutions - len(done.kept)} of {done.convolutions} convolutions in 8 bits; in float: "
            f"{', '.join(done.kept)}"
        )
    click.echo(f"signal to noise against torch: {_decibels(done.snr_db)}")
    for path in done.paths if named else ():
        files = _files(path)
        size = sum(file.stat().st_size for file in files) / 1e6
        say(f"{path}{' with its weights beside' if len(files) > 1 else ''}, {size:.1f} MB")
    if named:
        say(f"try it: fastgan generate {quoted(done.paths[-1])} --grid")


def _files(path: Path) -> list[Path]:
    """An exported file, and past 2 GB those of its weights."""
    from fastgan.exporters import external

    return [path, *external.weights_beside(path)]


def _facts(done: "Exported", *, named: bool) -> dict[str, Any]:
    """The same for JSON; null stands for no difference at all."""
    files = [file for path in done.paths if named for file in _files(path)]
    return {
        "files": [{"file": file, "bytes": file.stat().st_size} for file in files],
        "snr_db": done.snr_db,
        "in_float": done.kept,
        "convolutions": done.convolutions,
        "checks": [asdict(check) for check in done.checks],
    }


def _decibels(snr_db: float) -> str:
    return f"{snr_db:.1f} dB" if math.isfinite(snr_db) else "no difference"


def _passing(stack: ExitStack, name: str) -> Path:
    """A path for a file that is needed while `stack` is open."""
    from tempfile import TemporaryDirectory

    return Path(stack.enter_context(TemporaryDirectory(prefix="fastgan."))) / name
