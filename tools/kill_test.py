"""Kill `fastgan generate` at random moments until it is done, and hold what it wrote against one straight run.

    python tools/kill_test.py runs/0007                           20,000 PNGs, killed 10 times
    python tools/kill_test.py runs/0007 -n 5000 --kills 30 --format webdataset --shards 2

Every kill is SIGKILL. Every other one comes while images are written: after as many new ones as drawn evenly from
twice the even share; the rest come at any moment, also while the model loads. After the last one the same command
runs to its end. Then: the image files are those of the straight run, byte by byte; the manifests list each image
once; nothing else is there; `--verify` finds the set whole; and no image that was whole and listed when the process
died was written again (its inode is the one it had). Exits 1 where one fails.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

IMAGES = (".png", ".jpg", ".webp", ".tar", ".parquet", ".npz")


def command(options: argparse.Namespace, out: Path, shard: int) -> list[str]:
    """The command that makes one shard."""
    line = [sys.executable, "-m", "fastgan", "generate", str(options.source), "-n", str(options.n)]
    line += ["--format", options.format, "-o", str(out)]
    if options.format in ("webdataset", "parquet"):
        line += ["--per-file", str(options.per_file)]
    return [*line, "--shard", f"{shard}/{options.shards}"] if options.shards > 1 else line


def run(options: argparse.Namespace, out: Path, when: Callable[[], bool] | None = None) -> bool:
    """Run all shards at once, and kill them when `when` says so; whether they ended by themselves."""
    lines = [command(options, out, shard) for shard in range(options.shards)]
    processes = [subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for line in lines]
    if when is not None:
        while not when() and any(process.poll() is None for process in processes):
            time.sleep(0.002)
        for process in processes:
            process.send_signal(signal.SIGKILL)
    said = [process.communicate()[1].decode() for process in processes]
    codes = [process.returncode for process in processes]
    if any(code not in (0, -signal.SIGKILL) for code in codes):
        raise SystemExit(f"a run ended with {codes}: {said}")
    return all(code == 0 for code in codes)


def moment(out: Path, more: int | None, seconds: float) -> Callable[[], bool]:
    """When to kill: once the manifests are `more` lines longer than now, or (None) after some seconds."""
    end, before = time.monotonic() + seconds, count(out)
    if more is None:
        return lambda: time.monotonic() >= end
    return lambda: count(out) >= before + more


def count(out: Path) -> int:
    """Lines of all manifests."""
    return sum(path.read_bytes().count(b"\n") for path in out.glob("manifest*.jsonl"))


def entries(out: Path) -> list[dict]:
    """The whole lines of all manifests."""
    found = []
    for path in sorted(out.glob("manifest*.jsonl")):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                found.append(json.loads(line))
    return found


def inodes(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each image file; one that is written again has others."""
    files = [file for file in out.iterdir() if file.suffix in IMAGES and not file.name.startswith(".")]
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def check(
    options: argparse.Namespace, out: Path, straight: Path, kept: dict[str, tuple[int, int]]
) -> list[str]:
    """What is wrong, in sentences."""
    wrong = []
    names = {file.name for file in straight.iterdir() if file.suffix in IMAGES}
    there = {file.name for file in out.iterdir() if file.suffix in IMAGES}
    if names != there:
        wrong.append(f"{len(names - there)} files are missing and {len(there - names)} too many")
    different = [
        name for name in names & there if (out / name).read_bytes() != (straight / name).read_bytes()
    ]
    if different:
        wrong.append(f"{len(different)} files have other bytes, {different[0]} first")
    seeds = [entry["seed"] for entry in entries(out)]
    if sorted(seeds) != list(range(options.n)):
        wrong.append(f"the manifests hold {len(seeds)} lines of {len(set(seeds))} seeds, not {options.n}")
    now = inodes(out)
    again = [name for name, inode in kept.items() if now.get(name) != inode]
    if again:
        wrong.append(f"{len(again)} files were written twice, {again[0]} first")
    left = [file.name for file in out.iterdir() if file.name.endswith(".part")]
    if left:
        wrong.append(f"left behind: {left[:3]}")
    line = [sys.executable, "-m", "fastgan", "generate", "--verify", "-o", str(out)]
    if subprocess.run(line, capture_output=True, check=False).returncode != 0:
        wrong.append("--verify is not content")
    return wrong


def main() -> int:
    """Run the test and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a run, a checkpoint, a release or an .onnx file")
    parser.add_argument("-n", type=int, default=20_000, help="images (default: 20000)")
    parser.add_argument("--kills", type=int, default=10, help="how often it is killed (default: 10)")
    parser.add_argument("--format", default="png", help="as of fastgan generate (default: png)")
    parser.add_argument(
        "--per-file", type=int, default=500, help="images a tar or parquet file (default: 500)"
    )
    parser.add_argument("--shards", type=int, default=1, help="processes that share the folder (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    random.seed(options.seed)
    root = Path(tempfile.mkdtemp(prefix="fastgan-kill-"))
    out, straight = root / "killed", root / "straight"
    begun = time.monotonic()
    run(argparse.Namespace(**{**vars(options), "shards": 1}), straight)
    seconds = time.monotonic() - begun
    print(f"{options.n} images at one go: {seconds:.1f} s")
    kept: dict[str, tuple[int, int]] = {}
    while_writing = 0
    for number in range(1, options.kills + 1):
        before = count(out)
        share = 2 * (options.n - before) // (options.kills - number + 2)
        more = random.randint(1, max(1, share)) if number % 2 else None
        done = run(options, out, moment(out, more, random.uniform(0.2, 4 + seconds * share / options.n)))
        lines = count(out)
        while_writing += before < lines < options.n
        listed = {entry["file"] for entry in entries(out)} if out.exists() else set()
        there = inodes(out) if out.exists() else {}
        kept |= {name: inode for name, inode in there.items() if name in listed and name not in kept}
        how = "at any moment" if more is None else f"after {more} images"
        print(
            f"kill {number}, {how}: {lines - before} made, {lines} in all" + " (it was done)" * done,
            flush=True,
        )
    print(f"{while_writing} of {options.kills} kills while it wrote")
    if not run(options, out):
        raise SystemExit("the last run did not end by itself")
    wrong = check(options, out, straight, kept)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    if not wrong:
        print(f"right: {len(inodes(out))} files with the bytes of the straight run, none written twice")
        shutil.rmtree(root)
    return int(bool(wrong))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
