"""The command line: finding commands, and what a user sees when something goes wrong."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from fastgan import commands
from fastgan.__main__ import run
from fastgan.cli import CommandFolder
from fastgan.errors import ConfigError

FILES = {p.stem for p in Path(commands.__path__[0]).glob("*.py") if not p.stem.startswith("_")}


@pytest.fixture(autouse=True)
def _no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTGAN_DEBUG", raising=False)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """Run a command that raises the given error; returns the exit code."""

    def fail_with(error: BaseException) -> int:
        @click.command
        def doctor() -> None:
            raise error

        monkeypatch.setattr(CommandFolder, "get_command", lambda self, ctx, name: doctor)
        return run(["doctor"])

    return fail_with


def test_help_lists_every_file_of_the_commands_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.split("Commands:")[1].splitlines()
    assert {line.split()[0] for line in lines if line.strip()} >= FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_help_of_each_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"fastgan {name}" in capsys.readouterr().out.split("\n", 1)[1]  # beyond the usage line


def test_no_arguments_is_a_question_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("fastgan")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["docter"], "did you mean doctor?"),
        (["zzz"], "doctor"),
        (["--nonsense"], "--nonsense"),
        (["doctor", "--nonsense"], "try 'fastgan doctor --help'"),
        (["bench", "everything"], "everything"),
        (["bench", "--threads", "0"], "--threads"),
    ],
)
def test_usage_error_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastgan: error: ")
    assert error.count("\n") == 1
    assert words in error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ConfigError("config.toml: unknown key 'x':\n remove it."),
            "config.toml: unknown key 'x': remove it.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/a.png"),
            "the disk is full at out/a.png: free",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: free"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full: free"),
        (PermissionError(errno.EACCES, "Permission denied", "/out"), "/out: permission denied."),
        (IsADirectoryError(errno.EISDIR, "Is a directory", b"/out"), "/out: is a directory."),
        (click.FileError("x.fgd", "is gone"), "x.fgd"),
        (MemoryError(), "out of memory: ask for fewer images"),
        (RuntimeError("std::bad_alloc"), "out of memory: ask for fewer images"),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4398046511104 bytes."
            ),
            "out of memory, where 4096.0 GiB more were asked for",
        ),
        (
            ConfigError(f"-n {'7' * 4000} is impossible."),
            "-n 77777777777777777777... (4000 digits) is impossible.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_a_user_can_mend_is_one_sentence(
    error: Exception,
    sentence: str,
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failing(error) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("fastgan: error: ")
    assert sentence in printed
    assert printed.count("\n") == 1
    assert "Traceback" not in printed


@pytest.mark.parametrize("error", [ValueError("ours"), OSError("no errno"), KeyError("ours")])
def test_a_bug_keeps_its_traceback(error: Exception, failing: Callable[[BaseException], int]) -> None:
    with pytest.raises(type(error)):
        failing(error)


def test_debug_shows_the_traceback_of_everything(
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FASTGAN_DEBUG", "1")
    assert failing(ConfigError("wrong.")) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("fastgan: error: wrong.\n")


def test_ctrl_c(failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt()) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_command_can_choose_its_exit_code(failing: Callable[[BaseException], int]) -> None:
    assert failing(click.exceptions.Exit(1)) == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`fastgan --help | head -0`: the pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fastgan", "--help"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


def test_a_zero_byte_in_a_name_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """No shell can give one; who calls `run` can."""
    assert run(["info", "a\0b"]) == 2
    assert capsys.readouterr().err == (
        "fastgan: error: a name on the command line has a zero byte in it, as no file's can: leave it out.\n"
    )
