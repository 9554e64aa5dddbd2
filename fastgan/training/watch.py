"""The watch over training: readings come in, sentences go out, once when something goes wrong and once when it ends.

What it remembers is a few numbers in state.json, so a resumed run says neither more nor less than an unbroken one.
"""

from collections.abc import Mapping
from typing import Any

PATIENCE = 2
"""Bad readings in a row that make an alarm: one may be chance."""
DIVERSITY = 0.4
DUPLICATES = 0.3
_WARM_UP = 50_000  # images: until then nobody expects a generator to have found its variety
_R_T = 0.9
_R_V = 0.8
_EPOCHS = 10  # what has been shown less often cannot have been learnt by heart

_MENDS = {
    "collapse": "try a penalty (--set loss.penalty=r1), a smaller train.lr_g, or an earlier checkpoint",
    "overfit": "with few images --augment ada keeps the discriminator from learning them by heart",
    "skipped": "smaller train.lr_g and train.lr_d, or train.precision=fp32, keep the numbers in range",
}


class Watch:
    """Alarms by name: `collapse`, `overfit` and `skipped`."""

    def __init__(self, *, images: int, adaptive: bool, state: Mapping[str, Any] | None = None) -> None:
        """images: how many the discriminator learns from; adaptive: whether ADA acts on r_t already."""
        state = state or {}
        self.images, self.adaptive = images, adaptive
        self._bad: dict[str, int] = dict(state.get("bad", {}))
        self._diverse: bool = state.get("diverse", False)

    def state(self) -> dict[str, Any]:
        """What state.json should hold."""
        return {"bad": self._bad, "diverse": self._diverse}

    @property
    def active(self) -> tuple[str, ...]:
        """The alarms that stand."""
        return tuple(name for name, count in sorted(self._bad.items()) if count >= PATIENCE)

    def read(self, values: Mapping[str, float], cur_nimg: int) -> list[tuple[str, str]]:
        """Take the readings of a line of the log; what is to be said of them, as (alarm, sentence)."""
        said = [*self._skipped(values)]
        if "diversity" in values:
            said += self._collapse(values["diversity"], values["duplicates"], cur_nimg)
            # r_t is in every line, a line comes every few seconds: judged as often as the grid is drawn.
            said += self._overfit(values, cur_nimg)
        return said

    def _collapse(self, diversity: float, duplicates: float, cur_nimg: int) -> list[tuple[str, str]]:
        bad = diversity < DIVERSITY or duplicates > DUPLICATES
        self._diverse = self._diverse or not bad
        text = (
            f"the images are becoming alike: {diversity:.0%} as far apart as the data's, and {duplicates:.0%} near "
            "copies of another"
        )
        return self._note("collapse", bad and (self._diverse or cur_nimg >= _WARM_UP), text)

    def _overfit(self, values: Mapping[str, float], cur_nimg: int) -> list[tuple[str, str]]:
        r_t, r_v = values.get("r_t", 0.0), values.get("r_v", 0.0)
        text = f"the discriminator tells nearly all of its images from fakes (r_t {r_t:.2f})"
        if r_v > _R_V:
            text = f"the discriminator takes held-out images for fakes, but not its own (r_v {r_v:.2f})"
        repeated = cur_nimg >= _EPOCHS * self.images
        return self._note("overfit", repeated and not self.adaptive and (r_t > _R_T or r_v > _R_V), text)

    def _skipped(self, values: Mapping[str, float]) -> list[tuple[str, str]]:
        """Skipping is no matter of patience: the first is said, and the alarm stands until a line has none."""
        skipped = int(values.get("skipped", 0))
        was = self._bad.get("skipped", 0)
        self._bad["skipped"] = PATIENCE if skipped else 0
        if skipped and not was:
            count = "1 step was" if skipped == 1 else f"{skipped} steps were"
            text = f"{count} skipped: the loss or a gradient was not finite"
            return [("skipped", f"{text}; {_MENDS['skipped']}")]
        return []

    def _note(self, name: str, bad: bool, text: str) -> list[tuple[str, str]]:
        was = self._bad.get(name, 0)
        self._bad[name] = min(was + 1, PATIENCE) if bad else 0
        if self._bad[name] == PATIENCE > was:
            return [(name, f"{text}; {_MENDS[name]}")]
        if was == PATIENCE and not bad:
            return [
                (name, {"collapse": "the images are diverse again", "overfit": "r_t is back in range"}[name])
            ]
        return []
