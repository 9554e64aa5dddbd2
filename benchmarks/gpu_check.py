"""`make gpu-check`, after the build: the whole test suite on the GPU, then every benchmark, in under eight minutes.

    python -m benchmarks.gpu_check [--out FOLDER] [--no-tests] [--no-bench]

Writes <question>-<device>.json and gpu-check-<device>.md into FOLDER (benchmarks/results). Needs no network and no
optional package. Exits with 1 without a GPU, without our CUDA kernels, or when a test or a benchmark fails.
"""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

from benchmarks.ops import Chunk
from benchmarks.publish import RESULTS, publish, slug
from benchmarks.table import tables
from fastgan import ops
from fastgan.benchmark.request import Request

ROOT = Path(__file__).resolve().parents[1]
TEST_SECONDS = 300
BENCH_SECONDS = 150  # what starts after this much benchmarking is left out, and said so
WORKERS = 6  # test processes, each with a CUDA context of its own


def require_gpu() -> None:
    """Exit with a sentence unless there is a GPU that our kernels run on."""
    if not torch.cuda.is_available():
        sys.exit("gpu-check: torch sees no NVIDIA GPU here; nothing was tested (`fastgan doctor` says more).")
    if ops.backend("cuda") != "native":
        sys.exit(f"gpu-check: the CUDA kernels are not in use: {ops.build_info()['cuda_reason']}.")


def run_tests() -> str | None:
    """Run pytest with everything on the GPU, but for slow tests, which are of processes; returns what went wrong."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--durations=10",
        "-m",
        "not slow",
    ]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(WORKERS)]
    environment = os.environ | {
        "FASTGAN_TEST_DEVICE": "cuda",
        "FASTGAN_OPS": "native",
        "OMP_NUM_THREADS": "1",
    }
    try:
        code = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=TEST_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return f"the tests took longer than {TEST_SECONDS} s"
    return f"pytest exited with {code}" if code else None


PLANES = tuple((n, c, side, side) for n, c, side in [
    (16, 512, 16), (16, 512, 32), (16, 256, 64), (16, 128, 128), (8, 64, 256), (4, 32, 512), (2, 16, 1024),
])  # fmt: skip


def benchmarks(folder: Path) -> list[tuple[str, Callable[[], Path]]]:
    """The questions in order of importance, each sized to its share of the time.

    The op questions share one file and stop by themselves: the distance to the copy bandwidth at every size of plane
    comes first, then torch.compile, then what is left of the matrix.
    """

    def ask_ops(name: str, seconds: float, **settings: object) -> tuple[str, Callable[[], Path]]:
        request = Request(sections=["ops"], device="cuda", **settings)  # type: ignore[arg-type]

        def measure() -> Path:
            chunk = Chunk(folder, missing=True, seconds=seconds)
            chunk.run(request)
            return chunk.path(request)

        return name, measure

    def ask(name: str, **settings: object) -> tuple[str, Callable[[], Path]]:
        request = Request(device="cuda", **settings)  # type: ignore[arg-type]
        return name, lambda: publish(request, name, folder)

    epilogue, resampling = ["style_epilogue"], ["upsample2x"]
    return [
        ask_ops("style_epilogue planes", 25, names=epilogue, shapes=PLANES, budget_s=0.1),
        ask_ops("upsample2x planes", 25, names=resampling, shapes=PLANES, budget_s=0.1),
        ask("train", sections=["train"], budget_s=6),
        ask(
            "inference",
            sections=["inference"],
            questions=("nowhere", "latency", "disk"),
            formats=("png",),
            budget_s=2,
        ),
        ask_ops(
            "torch.compile",
            20,
            names=epilogue + resampling,
            shapes=[(16, 256, 64, 64)],
            dtypes=["bf16"],
            compiled=True,
            budget_s=0.2,
        ),
        ask_ops("the other ops", 40, budget_s=0.1),
    ]


def run_benchmarks(folder: Path) -> list[str]:
    """Run what time allows and write one table; returns what went wrong."""
    earlier = folder / f"ops-{slug(torch.cuda.get_device_name())}.json"
    earlier.unlink(missing_ok=True)  # its rows are merged, and what is missing now must not look measured
    wrong, written, began = [], [], time.monotonic()
    for name, measure in benchmarks(folder):
        if time.monotonic() - began > BENCH_SECONDS:
            print(f"gpu-check: no time left for {name}")
            continue
        try:
            written.append(measure())
        except Exception as error:  # the others still have something to say
            wrong.append(f"benchmark {name}: {type(error).__name__}: {error}")
    if written:
        table = folder / f"gpu-check-{slug(torch.cuda.get_device_name())}.md"
        table.write_text(tables(list(dict.fromkeys(written))) + "\n", encoding="utf-8")
    return wrong


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=RESULTS)
@click.option("--tests/--no-tests", default=True)
@click.option("--bench/--no-bench", default=True)
def main(out: Path, tests: bool, bench: bool) -> None:
    """Test and measure on the GPU."""
    require_gpu()
    began = time.monotonic()
    failed = run_tests() if tests else None
    wrong = [failed] if failed else []
    if bench:
        out.mkdir(parents=True, exist_ok=True)
        wrong += run_benchmarks(out)
    print(f"gpu-check: {torch.cuda.get_device_name()}, {time.monotonic() - began:.0f} s")
    for sentence in wrong:
        print(f"gpu-check: FAILED: {sentence}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
