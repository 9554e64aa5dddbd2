"""Processes that are killed at random moments, started again, and interrupted.

FASTGAN_KILL_IMAGES makes the runs larger; tools/kill_test.py does the same to the real command.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastgan.inference.shards import Shard
from fastgan.inference.verify import verify
from tests.inference.fakes import contents, lines, names, write

COUNT = int(os.environ.get("FASTGAN_KILL_IMAGES", "400"))
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def start(out: Path, shard: str, layout: str) -> subprocess.Popen[bytes]:
    """A process that writes a shard of a set; it takes its time over each batch."""
    code = (
        "import signal, sys, time\nfrom pathlib import Path\nfrom fastgan.inference.shards import find_shard\n"
        "from tests.inference import fakes\n"
        # What a shell starts in the background ignores Ctrl-C, and so would all that comes of it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Slow(fakes.FakeRuntime):\n"
        "    def _begin(self, inputs):\n        time.sleep(0.01)\n        return super()._begin(inputs)\n"
        f"fakes.write(Path(sys.argv[1]), range({COUNT}), runtime=Slow(), shard=find_shard('{shard}'), {layout})\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(out)], cwd=ROOT, stderr=subprocess.PIPE)


def listed(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("manifest*.jsonl"))


def kill(process: subprocess.Popen[bytes], out: Path, after: int, sent: signal.Signals) -> int:
    """Send a signal once so many more images are listed; the exit code."""
    until = listed(out) + after
    while listed(out) < until and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(sent)
    process.communicate(timeout=30)
    return process.returncode


@pytest.mark.parametrize(
    ("layout", "shard", "per_file"),
    [("image_format='png'", "0/1", None), ("image_format='webdataset', per_file=30", "1/2", 30)],
)
def test_killed_at_random_moments(layout: str, shard: str, per_file: int | None, tmp_path: Path) -> None:
    draw, out = random.Random(7), tmp_path / "out"
    part = Shard(*map(int, shard.split("/")), "--shard")
    mtimes: dict[str, int] = {}
    codes = []
    for _ in range(4):
        codes.append(kill(start(out, shard, layout), out, draw.randint(1, COUNT // 6), signal.SIGKILL))
        known = {line["file"] for line in lines(out)} if not torn(out) else set()
        for name in known & contents(out).keys():
            mtimes.setdefault(name, (out / name).stat().st_mtime_ns)
    assert codes.count(-signal.SIGKILL) >= 2  # in the middle
    options = {} if per_file is None else {"per_file": per_file}
    image_format = "png" if per_file is None else "webdataset"
    write(out, range(COUNT), shard=part, image_format=image_format, **options)
    write(tmp_path / "straight", range(COUNT), shard=part, image_format=image_format, **options)
    assert contents(out) == contents(tmp_path / "straight")
    assert lines(out) == lines(tmp_path / "straight")
    assert names(out) == names(tmp_path / "straight")
    assert {name: (out / name).stat().st_mtime_ns for name in mtimes} == mtimes  # none twice
    assert not verify(out).damaged


def torn(out: Path) -> bool:
    return any(not path.read_bytes().endswith(b"\n") for path in out.glob("manifest*.jsonl"))


def test_ctrl_c_keeps_what_is_whole(tmp_path: Path) -> None:
    process = start(tmp_path, "0/1", "image_format='png'")
    code = kill(process, tmp_path, COUNT // 10, signal.SIGINT)
    assert code not in (0, -signal.SIGKILL)
    assert {line["file"] for line in lines(tmp_path)} == set(contents(tmp_path))
    assert not [name for name in names(tmp_path) if name.endswith(".part")]
    assert [line.split(":")[0] for line in verify(tmp_path).lines()] == ["not made yet"]
