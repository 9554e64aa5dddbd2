"""How long work shows itself on stderr."""

import io
import sys

import pytest

from fastgan import progress
from fastgan.progress import stages


def test_plain_lines_come_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress() as shown:
        shown.note("hello")
        for second in (0, 1, 9, 10, 11, 25):
            now[0] = 100.0 + second
            shown.line(f"second {second}", second / 25)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["note: hello", "second 0", "second 10", "second 25"]


def test_stages_count_for_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
    with progress.progress() as shown:
        update = stages(shown)
        for stage, done, total in (("scan", 3, 3), ("decode", 1, 3), ("decode", 3, 3)):
            update(stage, done, total)
    assert capsys.readouterr().err.splitlines() == ["scan 3/3", "decode 3/3"]


def test_nothing_is_shown_where_it_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(show=False) as shown:
        shown.note("hello")
        shown.bar("decode", 1)(1)
        shown.line("at work", 0.5)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


def test_a_terminal_stands_still_while_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with progress.progress() as shown:
        shown.note("looking")
        assert terminal.getvalue() == "note: looking\n"
    with progress.progress():
        pass
    assert terminal.getvalue() == "note: looking\n"


def test_a_terminal_gets_live_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with progress.progress() as shown:
        shown.note("[red] is no markup")
        stages(shown)("decode", 5, 10)
        shown.line("12.8 kimg  460 img/s  1:02:05 to go", 0.25)
    said = terminal.getvalue()
    assert "note: [red] is no markup" in said
    assert "5/10" in said
    assert "25%" in said
    assert "12.8 kimg  460 img/s  1:02:05 to go" in said.replace("\x1b[0m", "")
