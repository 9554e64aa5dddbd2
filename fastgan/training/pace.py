"""How fast a run goes, how much of its budget is left, and what the budget comes to."""

from collections.abc import Callable

from fastgan.training import outlook, schedule
from fastgan.training.settings import RunConfig

_OFF = 1.3
"""How many times as fast or as slow as expected a run has to be for its outlook to be told again."""


class Pace:
    """Measures from line to line of the log. `cur_nimg` is where the session begins.

    expected: images a second on which the user has been told the outlook; None: nothing has been told.
    """

    def __init__(
        self,
        config: RunConfig,
        cur_nimg: int,
        note: Callable[[str], None],
        expected: float | None = None,
    ) -> None:
        self._train, self._resolution = config.train, config.model.resolution
        self._note, self._began_at, self._expected = note, cur_nimg, expected
        self._last = (cur_nimg, 0.0)
        self._foresaw = False
        self.img_per_s = 0.0
        """Images a second between the last two lines of the log; 0 before the first."""

    def restart(self, cur_nimg: int, seconds: float) -> None:
        """Measure from here on: at the start, and after a rollback."""
        self._last = (cur_nimg, seconds)

    def measure(self, cur_nimg: int, seconds: float, batch: int) -> bool:
        """Measure the speed since the last call; False where no image has been shown since.

        As soon as it is that of steps after the first, what the budget comes to is said, once, unless the user has been
        told so, or the network still grows.
        """
        before, since = self._last
        if cur_nimg <= before:
            return False
        self.img_per_s = (cur_nimg - before) / max(seconds - since, 1e-9)
        self._last = (cur_nimg, seconds)
        if not self._foresaw and before != self._began_at:
            self._foresaw = True
            if self._is_news():
                self._note(self._foresee(cur_nimg, seconds, batch))
        return True

    def _is_news(self) -> bool:
        if self._expected is None:
            return True
        ratio = self.img_per_s / self._expected
        return self._train.grow_from is None and not 1 / _OFF < ratio < _OFF

    def done(self, cur_nimg: int, seconds: float) -> float:
        """Share of the budget used, 0 to 1."""
        return min(schedule.progress(self._train.budget, cur_nimg, seconds), 1.0)

    def left(self, cur_nimg: int, seconds: float) -> float | None:
        """Seconds until the budget is used up, None before the speed is known."""
        budget = self._train.budget
        if budget.images is None:
            return max((budget.seconds or 0.0) - seconds, 0.0)
        return max(budget.images - cur_nimg, 0) / self.img_per_s if self.img_per_s else None

    def _foresee(self, cur_nimg: int, seconds: float, batch: int) -> str:
        budget = self._train.budget
        return outlook.foreseen(
            budget,
            self._train.usual_kimg,
            cur_nimg=cur_nimg,
            left=max((budget.seconds or 0.0) - seconds, 0.0),
            img_per_s=self.img_per_s,
            batch=batch,
            resolution=self._resolution,
        )
