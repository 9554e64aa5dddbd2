"""`python -m tests.fuzz --count 3000`: mutate, run, judge, and print a table; exit code 1 where anything went wrong."""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=3000, help="cases of all readers together")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="readers whose examples are made in seconds")
    parser.add_argument("--reader", action="append", help="only this one; may be given again")
    parser.add_argument("--case", type=int, help="with --reader: only this one, shown in full")
    parser.add_argument(
        "--work",
        type=Path,
        help="keep the examples here, and take them from here  [default: a temporary folder]",
    )
    parser.add_argument("--json", type=Path, help="write every fault here")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    options = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # in the background of a shell it would be ignored
    _prepare()
    if options.work:
        return _run(options, options.work)
    with tempfile.TemporaryDirectory(prefix="fastgan-fuzz-") as work:
        os.chmod(work, 0o755)
        return _run(options, Path(work))


def _prepare() -> None:
    """What each case would import, imported once; nothing that starts a thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")  # archives with a name twice are made on purpose
    import onnx  # noqa: F401
    import onnxruntime
    import torch

    import fastgan.cli
    from fastgan.data import sources

    onnxruntime.set_default_logger_severity(4)
    torch.set_num_threads(1)
    sources.all_kinds()
    for name in ("train", "generate", "eval", "export", "report", "info", "data", "augment"):
        fastgan.cli.cli.get_command(None, name)  # type: ignore[arg-type]
    import fastgan.exporters
    import fastgan.inference
    import fastgan.metrics
    import fastgan.report.page
    import fastgan.training.run


def _run(options: argparse.Namespace, work: Path) -> int:
    from tests.fuzz import report, runs
    from tests.fuzz.case import FAULTS
    from tests.fuzz.readers import READERS

    names = options.reader or [
        name for name, reader in READERS.items() if not options.quick or reader.is_quick
    ]
    if unknown := [name for name in names if name not in READERS]:
        sys.exit(f"no reader {unknown[0]!r}: {', '.join(READERS)}")
    began = time.monotonic()
    shared = work / "shared"
    wanted = runs.closure(frozenset(part for name in names for part in READERS[name].shared))
    making = get_context("fork").Process(target=_make, args=(shared, wanted))
    making.start()
    making.join()
    if making.exitcode:
        sys.exit("the examples could not be made")
    cases = [(names[0], options.case)] if options.case is not None else list(_cases(names, options.count))
    print(
        f"{len(cases)} cases of {len(names)} readers, examples in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    outcomes: list[Any] = []
    with contextlib.suppress(KeyboardInterrupt):  # the table of as many as there are
        for outcome in _outcomes(work, shared, options.seed, cases, options.jobs):
            outcomes.append(outcome)
            if outcome.came in FAULTS or options.case is not None:
                print(report.line(outcome, options.seed, options.case is not None), flush=True)
            if len(outcomes) % 200 == 0:
                print(f"... {len(outcomes)} of {len(cases)}, {time.monotonic() - began:.0f} s", flush=True)
    table = report.tables(outcomes)
    print(f"{table}\nin {time.monotonic() - began:.0f} s")
    if options.markdown:
        options.markdown.write_text(table + "\n", "utf-8")
    faults = [outcome for outcome in outcomes if outcome.came in FAULTS]
    if options.json:
        options.json.write_text(
            json.dumps([asdict(each) for each in faults], indent=1), "utf-8", "backslashreplace"
        )
    return 1 if faults else 0


def _make(shared: Path, wanted: frozenset[str]) -> None:
    from tests.fuzz import runs

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    kept = os.dup(2)
    os.dup2(quiet, 2)
    try:
        runs.make(shared, wanted)
    except BaseException:
        os.dup2(kept, 2)
        raise


def _cases(names: list[str], count: int) -> Iterator[tuple[str, int]]:
    """As many of each reader as its weight says, in turn, `count` together."""
    from tests.fuzz.readers import READERS

    total = sum(READERS[name].weight for name in names)
    shares = {name: READERS[name].weight * count / total for name in names}
    every = [
        ((number + 0.5) / share, name, number)
        for name, share in shares.items()
        for number in range(int(share) + 1)
    ]
    yield from ((name, number) for _, name, number in sorted(every)[:count])


def _outcomes(work: Path, shared: Path, seed: int, cases: list[tuple[str, int]], jobs: int) -> Iterator[Any]:
    from tests.fuzz.run import Bench

    if jobs == 1:
        bench = Bench(work, shared)
        for name, number in cases:
            yield bench.case(seed, name, number)
        return
    context = get_context("fork")
    results: Any = context.SimpleQueue()

    def some(part: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
        bench = Bench(work, shared)
        for name, number in cases[part::jobs]:
            results.put(bench.case(seed, name, number))

    workers = [context.Process(target=some, args=(part,), daemon=True) for part in range(jobs)]
    for worker in workers:
        worker.start()
    for _ in cases:
        yield results.get()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    sys.exit(main())
