"""How training stands, in a line."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastgan.progress import Progress
from fastgan.text import clock

if TYPE_CHECKING:
    from fastgan.training.outcome import Report

_SHORT = {
    "loss_d": "D",
    "loss_g": "G",
    "penalty": "penalty",
    "path_length": "path",
    "reconstruction": "rec",
    "r_t": "r_t",
    "augment_p": "p",
    "r_v": "r_v",
}


def line(report: "Report", losses: dict[str, float]) -> str:
    """`12.8 kimg  460 img/s  16 px (40% in)  D 1.20 G 0.87 r_t 0.41  WARNING: collapse`; pixels where it grows."""
    values = " ".join(f"{_SHORT[name]} {_number(losses[name])}" for name in _SHORT if name in losses)
    values += f" skipped {losses['skipped']:.0f}" if "skipped" in losses else ""
    size = f"{report.growing[0]:.0f} px ({report.growing[1]:.0%} in)  " if report.growing else ""
    alarms = f"  WARNING: {', '.join(report.alarms)}" if report.alarms else ""
    return f"{report.cur_nimg / 1000:.4g} kimg  {report.img_per_s:.3g} img/s  {size}{values}{alarms}"


def _number(value: float) -> str:
    """Two decimals, or one digit of a number that they would show as zero: a clipped critic's losses are small."""
    return f"{value:.2f}" if abs(value) >= 0.005 or value == 0 else f"{value:.0e}"


def told(shown: Progress) -> Callable[["Report"], None]:
    """A function of each step's report that shows the line, with the losses read last, once there are some."""
    losses: dict[str, float] = {}

    def tell(report: "Report") -> None:
        nonlocal losses
        losses = report.losses or losses
        if losses:
            times = f"{clock(report.seconds)} done, {clock(report.left)} to go"
            shown.line(f"{line(report, losses)}  {times}", report.done)

    return tell
