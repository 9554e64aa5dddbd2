"""What a user sees on stderr while training works."""

import io
import sys

from fastgan.commands import _progress
from fastgan.training.session import Report


def report(**changed):
    values = {"cur_nimg": 12_800, "seconds": 65.0, "left": 3725.0, "done": 0.25, "img_per_s": 460.4}
    return Report(**{**values, "losses": {"loss_d": 1.204, "loss_g": 0.871, "real": 0.1}, **changed})


def test_what_techniques_report_is_shown_and_small_numbers_keep_a_digit():
    losses = {
        "loss_d": -0.0018,
        "loss_g": 0.0,
        "penalty": 0.031,
        "r_t": 0.41,
        "augment_p": 0.125,
        "real": 1.0,
    }
    shown = "12.8 kimg  460 img/s  D -2e-03 G 0.00 penalty 0.03 r_t 0.41 p 0.12"
    assert _progress.summary(report(), losses) == shown


def test_what_the_watch_warns_of_stays_in_sight():
    shown = _progress.summary(report(alarms=("collapse", "skipped")), {"loss_d": 1.0, "skipped": 3.0})
    assert shown.endswith("D 1.00 skipped 3  WARNING: collapse, skipped")


def test_a_growing_model_says_how_far_it_is():
    assert "460 img/s  16 px (40% in)  D 1.00" in _progress.summary(
        report(growing=(16, 0.4)), {"loss_d": 1.0}
    )


def test_plain_lines_come_now_and_then(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    with _progress.display() as show:
        show.note("hello")
        for second in (0, 1, 9, 10, 11, 25):
            now[0] = 100.0 + second
            show.report(report())
        now[0] = 200.0
        show.report(report(losses={}))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "note: hello"
    assert lines[1:] == ["12.8 kimg  460 img/s  D 1.20 G 0.87  1:05 done, 1:02:05 to go"] * 3


def test_a_terminal_gets_a_live_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with _progress.display() as show:
        show.note("[red] is no markup")
        show.data("decode", 5, 10)
        show.report(report())
        show.report(report(losses={}))  # the last losses stay in sight
    shown = terminal.getvalue()
    assert "note: [red] is no markup" in shown
    assert "25%" in shown
    assert "12.8 kimg  460 img/s  D 1.20 G 0.87  1:02:05 to go" in shown.replace("\x1b[0m", "")
