"""What commands print: names cannot command a terminal, and a stream that ends, fails or is closed ends no work."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from fastgan.__main__ import run
from fastgan.commands._console import styled
from fastgan.interrupts import Interrupted, exit_code, raised
from fastgan.pages.document import render
from fastgan.progress import _bars
from fastgan.streams import Stream, guarded
from fastgan.text import printable
from tests.tiny import tiny_run

HOSTILE = "a\x1b[31m\x1b]0;title\x07\r\u202egnp\x85\udce9"
SAFE = r"a\x1b[31m\x1b]0;title\x07\r\u202egnp\x85\xe9"
ROOT = Path(__file__).parents[1]


class Failing(io.StringIO):
    def __init__(self, code: int) -> None:
        super().__init__()
        self.code, self.asked = code, 0

    def write(self, text: str) -> int:
        self.asked += 1
        raise OSError(self.code, os.strerror(self.code))


def test_text_of_several_lines_keeps_its_lines() -> None:
    assert printable(f"{HOSTILE}\n\tZürich 東京 ━━\n") == f"{SAFE}\n\tZürich 東京 ━━\n"


def test_whatever_is_printed_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded():
        print(HOSTILE)
        click.echo(HOSTILE.replace("\x1b", "\x07"), err=True)
        sys.stdout.writelines([HOSTILE])
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{SAFE}\n{SAFE}", SAFE.replace("x1b", "x07") + "\n")


def test_bars_and_notes_of_rich_are_escaped_and_keep_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "200")
    with guarded(), _bars() as progress:
        progress.add_task(f"{HOSTILE}[red]", total=1, counts=True)
        progress.console.print(f"note: {HOSTILE} [red]:cat:", style="red")
    drawn = file.getvalue()
    left = SAFE.replace(r"\x07\r", "")  # rich drops these two itself
    assert f"\x1b[31mnote: {left} [red]:cat:" in drawn
    assert "\x1b]0;title" not in drawn
    assert "\u202e" not in drawn


def test_a_page_has_no_characters_that_reorder_it() -> None:
    page = render(
        "report/cards.html.j2", cards={HOSTILE: {"scores": {HOSTILE: 1}}}, protocol=lambda card: HOSTILE
    )
    for place in ("<h3>{}</h3>", "<th>{}</th>", '<p class="note">{}</p>'):
        assert place.format(SAFE) in page
    page.encode()


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("latin-1", "ascii"):
        file = io.TextIOWrapper(io.BytesIO(), encoding=name)
        monkeypatch.setattr(sys, "stdout", file)
        with guarded():
            click.echo("東 ü\udce9")
        file.flush()
        expected = {"latin-1": b"\\u6771 \xfc\\xe9\n", "ascii": b"\\u6771 \\xfc\\xe9\n"}[name]
        assert file.buffer.getvalue() == expected


@pytest.mark.parametrize("code", [errno.EPIPE, errno.EIO])
def test_a_reader_who_leaves_is_no_loss(code: int) -> None:
    file = Failing(code)
    stream = Stream(file)
    stream.write("one")
    stream.unescaped.write("two")
    stream.flush()
    assert stream.lost is None
    assert file.asked == 1


def test_output_that_is_lost_is_said_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(errno.ENOSPC))
    assert run(["--help"]) == 2
    assert "cannot write to standard output (No space left on device)" in capsys.readouterr().err


def test_no_standard_streams_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run(["--help"]) == 0
    assert run(["nonsense"]) == 2


@pytest.mark.usefixtures("hangups_heard")
def test_signals_are_exit_codes() -> None:
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(None) == 130
    for signum in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(Interrupted) as error, raised():
            signal.raise_signal(signum)
        abort = click.Abort()
        abort.__cause__ = error.value
        assert exit_code(abort) == 128 + signum
        assert signal.getsignal(signum) == signal.SIG_DFL


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`fastgan LINE` in bash, where LINE may end in redirections."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m fastgan {line}"],
        cwd=cwd, env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">&-", 0),
        ("2>&-", 0),
        (">&- 2>&- <&-", 0),
        ("| head -c 0", 0),
        ("2>&1 | head -1", 0),
        (">/dev/full", 2),
    ],
)
def test_streams_that_end_leave_no_traceback(streams: str, code: int, tmp_path: Path) -> None:
    for line in ("--help", "nonsense"):
        done = shell(f"{line} {streams}", tmp_path)
        assert done.returncode == (2 if line == "nonsense" else code)
        assert not set(done.stderr.split()) & {"Traceback", "Exception", "BrokenPipeError:"}


def test_files_are_whole_where_standard_streams_are_closed(images: Path, tmp_path: Path) -> None:
    """Whatever is printed would end up in the file that is opened first, which gets the number of standard output."""
    assert shell(f"data pack {images} -o x.fgd >&- 2>&- <&-", tmp_path).returncode == 0
    assert run(["data", "info", str(tmp_path / "x.fgd"), "--verify"]) == 0


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not happened() and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.usefixtures("hangups_heard")
@pytest.mark.parametrize(("signum", "kind"), [(signal.SIGHUP, "png"), (signal.SIGTERM, "webdataset")])
def test_a_signal_ends_generating_with_whole_files_alone(signum: int, kind: str, tmp_path: Path) -> None:
    tiny_run(tmp_path / "run", "dcgan")
    out = tmp_path / "out"
    arguments = f"-m fastgan generate run -n 200000 --format {kind} -o out --device cpu".split()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    wait_until(
        lambda: out.is_dir() and any(path.suffix in (".png", ".tar") for path in out.iterdir()), process
    )
    process.send_signal(signum)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, error
    assert "the same command goes on" in error
    assert not list(out.glob(".*.part"))


def test_names_with_ends_of_lines_make_no_lines_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class that is called so would otherwise say that its file has been verified."""
    folder = tmp_path / "images" / "a\nverified    the content is what was packed\x1b[8m"
    folder.mkdir(parents=True)
    (tmp_path / "images" / "b").mkdir()
    for place in (folder, folder.with_name("b")):
        Image.new("RGB", (8, 8)).save(place / "0.png")
    assert run(["data", "pack", str(tmp_path / "images"), "-o", str(tmp_path / "x\nfile.fgd")]) == 0
    for command in (["data", "info"], ["info"]):
        assert run([*command, str(tmp_path / "x\nfile.fgd")]) == 0
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).splitlines()
    assert not [line for line in lines if line.startswith(("verified", "file.fgd"))]
    assert "\x1b[8m" not in printed.out + printed.err
    assert sum(r"a\nverified    the content is what was packed\x1b[8m 1" in line for line in lines) == 3


def test_doctor_keeps_its_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Terminal()
    monkeypatch.setattr(sys, "stdout", file)
    with guarded():
        styled("BROKEN", fg="red")
        click.echo("\x1b[31m")
    assert file.getvalue() == "\x1b[31mBROKEN\x1b[0m\\x1b[31m\n"
