"""Freed memory stays with the process, in the commands that ask for it and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastgan import allocator
from fastgan.__main__ import run

pytestmark = pytest.mark.skipif(not allocator._is_glibc(), reason="glibc only")

FAULTS = """
import resource, sys
if sys.argv[1] == "keep":
    import fastgan
    assert fastgan.keep_memory() is (sys.argv[2] == "works")
import torch
def use():
    torch.ones(64 << 20, dtype=torch.uint8)  # twice as large as any block that glibc would keep
for _ in range(16):  # glibc's thread cache holds a few crumbs before blocks coalesce
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str, **environment: str) -> int:
    """Page faults of taking and freeing 64 MB eight times, in a process of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", FAULTS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean | environment)
    return int(done.stdout)


def test_freed_memory_is_taken_again_without_a_fault():
    pages = 8 * (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults("leave") > pages / 2, "glibc keeps such blocks by itself: keep_memory has become needless"
    assert faults("keep", "works") < pages / 50


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_the_users_own_settings_win(name):
    value = "glibc.malloc.trim_threshold=131072" if name == "GLIBC_TUNABLES" else "131072"
    pages = 8 * (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults("keep", "refused", **{name: value}) > pages / 2


@pytest.mark.parametrize("libc", ["", None, ValueError])
def test_other_c_libraries_are_left_alone(libc, monkeypatch):
    def confstr(name: str) -> str | None:
        if libc is ValueError:
            raise ValueError("unrecognized configuration name")
        return libc

    monkeypatch.setattr(os, "confstr", confstr)
    assert not allocator.keep_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_memory()


@pytest.mark.parametrize("command", ["train", "generate", "bench"])
def test_the_long_running_commands_keep_theirs(command, monkeypatch, capsys, tmp_path: Path):
    called = []
    monkeypatch.setattr(allocator, "keep_memory", lambda: called.append(command))
    monkeypatch.chdir(tmp_path)
    arguments = {"train": ["none"], "generate": ["none"], "bench": ["train", "--device", "none"]}
    assert run([command, *arguments[command]]) == 2
    assert called == [command]
