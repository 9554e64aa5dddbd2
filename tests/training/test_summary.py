"""The line that shows how training stands."""

from fastgan.progress import Silent
from fastgan.training import summary
from fastgan.training.outcome import Report


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
    assert summary.line(report(), losses) == shown


def test_what_the_watch_warns_of_stays_in_sight():
    shown = summary.line(report(alarms=("collapse", "skipped")), {"loss_d": 1.0, "skipped": 3.0})
    assert shown.endswith("D 1.00 skipped 3  WARNING: collapse, skipped")


def test_a_growing_model_says_how_far_it_is():
    assert "460 img/s  16 px (40% in)  D 1.00" in summary.line(report(growing=(16, 0.4)), {"loss_d": 1.0})


def test_the_last_losses_stay_in_sight_and_there_is_no_line_before_the_first():
    lines = []

    class Shown(Silent):
        def line(self, text, done):
            lines.append((text, done))

    tell = summary.told(Shown())
    tell(report(losses={}))
    tell(report())
    tell(report(losses={}, cur_nimg=12_864, done=0.5))
    assert lines == [
        ("12.8 kimg  460 img/s  D 1.20 G 0.87  1:05 done, 1:02:05 to go", 0.25),
        ("12.86 kimg  460 img/s  D 1.20 G 0.87  1:05 done, 1:02:05 to go", 0.5),
    ]
