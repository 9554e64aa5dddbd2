"""Packing that goes on where it was killed, and never from something else."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from fastgan.data import pack, packed, spool
from fastgan.errors import DataError, OutputError
from fastgan.interrupts import Interrupted, raised
from tests.data.images import fill, noise, save

COUNT = 40


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Forty images, every tenth broken; the journal is written after each."""
    monkeypatch.setattr(spool.Resumable, "SECONDS", 0.0)
    fill(tmp_path / "in", COUNT)
    for index in range(0, COUNT, 10):
        (tmp_path / "in" / f"{index}.png").write_text("broken")
    return tmp_path / "in"


def begin(source, out, stop: int, **options) -> None:
    """Pack until `stop` images are done, then be interrupted."""

    def interrupt(stage: str, done: int, _total: int) -> None:
        if stage == "decode" and done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(source, out, resumable=True, max_bad=4, progress=interrupt, **options)


def decoded(source, out, **options) -> tuple[list[int], packed.Dataset]:
    """Pack to the end; which items were decoded for it."""
    seen: list[int] = []
    dataset = pack(
        source,
        out,
        resumable=True,
        max_bad=4,
        progress=lambda stage, done, _: seen.append(done) if stage == "decode" else None,
        **options,
    )
    return seen, dataset


SETTINGS = {"resolution": 8, "channels": 3}


@pytest.mark.parametrize("stop", [1, 2, 17, COUNT])
def test_it_goes_on_and_gives_the_same_bytes(source, tmp_path, stop):
    pack(source, tmp_path / "whole.fgd", max_bad=4, **SETTINGS)
    begin(source, tmp_path / "out" / "x.fgd", stop, **SETTINGS)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".x.fgd.partial"]
    seen, dataset = decoded(source, tmp_path / "out" / "x.fgd", **SETTINGS)
    assert seen == list(range(stop + 1, COUNT + 1))
    assert (tmp_path / "out" / "x.fgd").read_bytes() == (tmp_path / "whole.fgd").read_bytes()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.fgd"]
    assert [bad.name for bad in dataset.bad] == ["0.png", "10.png", "20.png", "30.png"]


def test_twice_interrupted_and_with_a_scan(source, tmp_path):
    whole = pack(source, tmp_path / "whole.fgd", max_bad=4)
    begin(source, tmp_path / "x.fgd", 5)
    begin(source, tmp_path / "x.fgd", 20)
    seen, dataset = decoded(source, tmp_path / "x.fgd")
    assert seen[0] == 21
    assert dataset.content_hash == whole.content_hash
    assert torch.equal(dataset.images, whole.images)


def changed_file(source) -> None:
    save(source / "5.png", noise(16, 16, seed=99))


def new_file(source) -> None:
    save(source / "5b.png", noise(16, 16, seed=99))


@pytest.mark.parametrize("change", [changed_file, new_file])
def test_a_changed_source_starts_over(source, tmp_path, change):
    begin(source, tmp_path / "x.fgd", 20, **SETTINGS)
    change(source)
    seen, dataset = decoded(source, tmp_path / "x.fgd", **SETTINGS)
    assert seen[0] == 1
    assert dataset.content_hash == pack(source, tmp_path / "whole.fgd", max_bad=4, **SETTINGS).content_hash


@pytest.mark.parametrize("other", [{"resolution": 16}, {"channels": 1}, {"fit": "pad"}])
def test_other_settings_start_over(source, tmp_path, other):
    begin(source, tmp_path / "x.fgd", 20, **SETTINGS)
    seen, dataset = decoded(source, tmp_path / "x.fgd", **SETTINGS | other)
    assert seen[0] == 1
    whole = pack(source, tmp_path / "whole.fgd", max_bad=4, **SETTINGS | other)
    assert dataset.content_hash == whole.content_hash


def cut_line(partial) -> int:
    """As a kill in the middle of a write leaves it: everything up to the line before holds."""
    lines = (partial / "journal").read_text().splitlines(keepends=True)
    done = json.loads(lines[-2])["done"]
    (partial / "journal").write_text("".join(lines)[:-3])
    return done


def surplus_pixels(partial) -> int:
    with open(partial / "pixels", "ab") as file:
        file.write(b"\xff" * 1000)
    return 20


def lost_pixels(partial) -> int:
    os.truncate(partial / "pixels", 10)
    return 0


def empty_journal(partial) -> int:
    (partial / "journal").write_text("")
    return 0


@pytest.mark.parametrize("damage", [cut_line, surplus_pixels, lost_pixels, empty_journal])
def test_what_a_crash_can_leave_behind(source, tmp_path, damage):
    begin(source, tmp_path / "x.fgd", 20, **SETTINGS)
    done = damage(tmp_path / ".x.fgd.partial")
    seen, dataset = decoded(source, tmp_path / "x.fgd", **SETTINGS)
    assert seen[0] == done + 1
    assert dataset.content_hash == pack(source, tmp_path / "whole.fgd", max_bad=4, **SETTINGS).content_hash


def test_too_many_bad_images_keep_the_work(source, tmp_path):
    with pytest.raises(DataError, match="4 of 40"):
        pack(source, tmp_path / "x.fgd", resumable=True, max_bad=3, **SETTINGS)
    assert decoded(source, tmp_path / "x.fgd", **SETTINGS)[0] == []


@pytest.mark.skipif(spool.fcntl is None, reason="no locks here")
def test_two_at_once_are_refused(source, tmp_path):
    held = spool.Resumable(tmp_path / ".x.fgd.partial", 8, 3, "other")
    with held, pytest.raises(OutputError, match="another process is packing into"):
        pack(source, tmp_path / "x.fgd", resumable=True, max_bad=4, **SETTINGS)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_goes_on(tmp_path):
    fill(tmp_path / "in", 300, size=64)
    options = {"resolution": 64, "channels": 3}
    command = ["data", "pack", str(tmp_path / "in"), "--size", "64", "--channels", "3", "--resumable"]
    slow = (
        "import sys, time; from fastgan.data import decode, spool; from fastgan.__main__ import main; "
        "spool.Resumable.SECONDS = 0.0; real = decode.decode; "
        "decode.decode = lambda *a: (time.sleep(0.01), real(*a))[1]; sys.argv = ['fastgan', *sys.argv[1:]]; main()"
    )
    out = tmp_path / "x.fgd"
    process = subprocess.Popen([sys.executable, "-c", slow, *command, "-o", str(out)])
    journal = tmp_path / ".x.fgd.partial" / "journal"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.read_text().count("\n") > 20:
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not out.exists()
    assert journal.exists()
    done = json.loads(journal.read_text().rpartition("\n")[0].splitlines()[-1])["done"]
    assert 0 < done < 300
    pack(tmp_path / "in", out, resumable=True, **options)
    pack(tmp_path / "in", tmp_path / "whole.fgd", **options)
    assert out.read_bytes() == (tmp_path / "whole.fgd").read_bytes()
    assert not journal.parent.exists()


def test_a_full_disk_keeps_what_is_noted(source, tmp_path, monkeypatch):
    begin(source, tmp_path / "x.fgd", 20, **SETTINGS)

    def full_disk(self, line) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool.Resumable, "_write", full_disk)
        with pytest.raises(OutputError, match="No space left"):
            pack(source, tmp_path / "x.fgd", resumable=True, max_bad=4, **SETTINGS)
    assert decoded(source, tmp_path / "x.fgd", **SETTINGS)[0][0] == 21


@pytest.mark.usefixtures("hangups_heard")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_a_signal_keeps_what_was_decoded(source, tmp_path, name):
    out = tmp_path / "out" / "x.fgd"

    def end(stage: str, done: int, _total: int) -> None:
        if stage == "decode" and done == 7:
            signal.raise_signal(getattr(signal, name))

    def until_the_signal() -> None:
        with raised():
            pack(source, out, resumable=True, max_bad=4, progress=end, **SETTINGS)

    with pytest.raises(Interrupted):
        until_the_signal()
    seen, _ = decoded(source, out, **SETTINGS)
    assert seen[0] > 6  # written down at the end, not at the next ten seconds
