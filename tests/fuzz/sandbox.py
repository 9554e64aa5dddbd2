"""Run one command line of fastgan in a forked process: with limits, watched, its outcome told by what can be measured.

The parent has imported everything, so a case costs its work alone. In the child, an audit hook notes each file
opened for writing, removed or renamed outside the box, each process started and each connection made; what native code
writes is found by comparing the box before and after.
"""

import contextlib
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRACEBACK = 70
"""The exit code of a child that ended by an exception which __main__ does not turn into a sentence"""
NOBODY = 65534
MEMORY = 6 << 30  # address space beyond what is mapped at the start
RESIDENT = 3 << 29  # bytes in memory beyond those at the start: no case here has reason to take as many
FILE = 256 << 20  # bytes of one file written
BLOCKED = 8  # seconds asleep without computing anything
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil.rmtree",
}
_STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"}
_CALLS = {"socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request"}
_OWN_PROGRAMS = ("git", "c++", "g++", "gcc", "cc", "lscpu", "uname", "ldconfig")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int | None
    """The exit code; None where a signal ended it"""
    signal: int | None
    hung: bool
    seconds: float
    memory: int
    """Bytes in memory at the most, beyond those at the start"""
    out: str
    err: str
    escapes: tuple[str, ...]
    modules: tuple[str, ...] = ()
    """What it imported that was not imported before, where that was asked for"""


def run(
    arguments: Sequence[str],
    box: Path,
    *,
    cwd: Path,
    seconds: float = 25,
    environment: dict[str, str] | None = None,
    user: int | None = None,
    setup: Any = None,
    learn: bool = False,
) -> Ended:
    """`fastgan ARGUMENTS` in `cwd`, a folder of `box`, to which it may write.

    setup: called in the child first. learn: tell what it imported, so that the next need not.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with (
        tempfile.TemporaryFile(dir=box.parent) as out,
        tempfile.TemporaryFile(dir=box.parent) as err,
        tempfile.TemporaryFile(dir=box.parent) as notes,
        tempfile.TemporaryFile(dir=box.parent) as modules,
    ):
        started, before = time.monotonic(), _resident()
        pid = os.fork()
        if pid == 0:
            try:
                _child(
                    arguments,
                    box,
                    cwd,
                    (out, err, notes, modules if learn else None),
                    environment or {},
                    user,
                    seconds,
                    setup,
                )
            finally:
                os._exit(TRACEBACK)  # not reached: `_child` ends the process
        status, usage, hung = _wait(pid, started + 4 * seconds)
        by_signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        return Ended(
            code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=by_signal,
            hung=hung or by_signal == signal.SIGXCPU,
            seconds=time.monotonic() - started,
            memory=max(usage.ru_maxrss * 1024 - before, 0),
            out=_text(out),
            err=_text(err),
            escapes=tuple(dict.fromkeys(_text(notes).splitlines())),
            modules=tuple(_text(modules).split()),
        )


def _wait(pid: int, deadline: float) -> tuple[int, Any, bool]:
    """The status and usage, and whether it had to be killed: past the deadline, or asleep for BLOCKED seconds."""
    pause, worked, seen = 0.002, time.monotonic(), -1
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return status, usage, False
        now = time.monotonic()
        state, used = _activity(pid)
        if used != seen or state not in "SD":
            worked, seen = now, used
        if now > deadline or now - worked > BLOCKED:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage, True
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _activity(pid: int) -> tuple[str, int]:
    """The state of a process (S: asleep), and the clock ticks that it has computed for."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        words = file.read().rpartition(b") ")[2].split()
    return words[0].decode(), int(words[11]) + int(words[12])


def _child(
    arguments: Sequence[str],
    box: Path,
    cwd: Path,
    files: tuple[Any, Any, Any, Any],
    environment: dict[str, str],
    user: int | None,
    seconds: float,
    setup: Any,
) -> None:
    os.setsid()
    out, err, notes, modules = files
    known = set(sys.modules)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", write_through=True
    )
    os.environ.update(environment)
    tempfile.tempdir = None
    os.chdir(cwd)
    _limit(seconds)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    sys.addaudithook(_watch(str(box), notes.fileno()))
    from fastgan.__main__ import run as command

    code = TRACEBACK
    try:
        if setup is not None:
            setup()
        code = command(list(arguments))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if modules is not None:
        os.write(modules.fileno(), "\n".join(sys.modules.keys() - known).encode())
    os._exit(code)


def _limit(seconds: float) -> None:
    def to(kind: int, value: int) -> None:
        resource.setrlimit(kind, (value, value))

    to(resource.RLIMIT_AS, _mapped() + MEMORY)
    to(resource.RLIMIT_FSIZE, FILE)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 20))  # SIGXCPU first
    to(resource.RLIMIT_CORE, 0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does: the write fails


def _watch(box: str, notes: int) -> Any:
    """An audit hook that writes a line for each thing that reading a file is no reason for."""
    inside = (box + os.sep, os.devnull, "/proc/self/", "/dev/shm/")

    def note(text: str) -> None:
        if "torchinductor_" in text:
            return  # where torch would keep what it compiles: its name is chosen when torch is imported
        os.write(notes, (text.encode("utf-8", "backslashreplace")[:500] + b"\n"))

    def path_of(value: Any) -> str | None:
        if isinstance(value, int) or value is None:
            return None
        name = os.fsdecode(value)
        folder = os.path.realpath(os.path.dirname(os.path.join(os.getcwd(), name)))
        return os.path.join(folder, os.path.basename(name))

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(values[2], int) and values[2] & _WRITES:
                name = path_of(values[0])
                if name is not None and not name.startswith(inside):
                    note(f"wrote {name}")
        elif event in _CHANGES:
            for value in values[: 2 if event in ("os.rename", "os.link") else 1]:
                name = path_of(value)
                if name is not None and name != box and not name.startswith(inside):
                    note(f"{event} {name}")
        elif event in _STARTS:
            program = (
                os.fsdecode(values[0]) if values and isinstance(values[0], str | bytes) else str(values[:1])
            )
            if os.path.basename(program) not in _OWN_PROGRAMS:
                note(f"started {program}")
        elif event in _CALLS:
            note(f"{event} {values[-1]!r}")

    return hook


def snapshot(box: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below `box`: name -> what changes when it is written to (links are not followed)."""
    found: dict[str, tuple[Any, ...]] = {}
    folders = [os.fspath(box)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                name = os.path.relpath(entry.path, box)
                if entry.is_dir(follow_symlinks=False):
                    found[name] = ("folder",)
                    if status.st_mode & 0o500:
                        folders.append(entry.path)
                else:
                    found[name] = (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _mapped() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _text(file: Any) -> str:
    file.seek(0)
    return file.read(1 << 22).decode("utf-8", "backslashreplace")
