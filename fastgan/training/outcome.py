"""How training stands, and how it ended."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Report:
    """How training stands, at every line of the log."""

    cur_nimg: int
    seconds: float
    done: float
    """Share of the budget used, 0 to 1."""
    left: float | None
    """Seconds until the budget is used up, None before the speed is known."""
    img_per_s: float
    """Images a second between the last two lines of the log; 0 before the first."""
    losses: dict[str, float]
    """Means since the last report; empty between the lines of the log."""
    alarms: tuple[str, ...] = ()
    """What the watch is warning of."""
    growing: tuple[int, float] | None = None
    """The resolution being trained, and how far it has faded in; None where nothing grows."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How `Session.fit` ended."""

    cur_nimg: int
    seconds: float
    signum: int | None
    """The signal that stopped it; None when the budget was used up."""
    stopped: str | None = None
    """The condition of train.stop_when that ended it."""

    @property
    def exit_code(self) -> int:
        """0, or 128 + signal as a shell reports it."""
        return 0 if self.signum is None else 128 + self.signum
