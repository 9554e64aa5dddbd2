"""Whether a budget reaches what pictures usually need: said before training, and at its end."""

import math

from fastgan.config import Duration
from fastgan.text import duration

_NEARLY = 0.95
"""The share of the usual kimg that is as good as all of it."""
_ROUND = ((10_800, 3600), (5400, 1800), (900, 300), (90, 60))
"""Seconds above which a budget is a multiple of so many."""
FEW_STEPS = 200
"""Steps below which no network learns much, whatever it is shown."""


def reaches(share: float) -> bool:
    """Whether so much of what pictures usually need is as good as all of it."""
    return share >= _NEARLY


def foreseen(
    budget: Duration,
    usual_kimg: float | None,
    *,
    cur_nimg: int,
    left: float,
    img_per_s: float,
    batch: int,
    resolution: int,
    measured: bool = True,
) -> str:
    """What the `budget` comes to at this speed, in a sentence.

    left: seconds of it, where it is in time. measured: False where the speed is the most that is possible.
    """
    about = "about" if measured else "at the very most"
    if budget.images is not None:
        reach, start = (
            float(budget.images),
            f"{_count(budget.images)} take {about if measured else 'at least'} ",
        )
        start += f"{duration((budget.images - cur_nimg) / img_per_s)}{' more' if cur_nimg else ''}"
    else:
        reach = cur_nimg + left * img_per_s
        start = f"{budget} comes to {about} {_count(reach)}"
    start += f" at {rounded(img_per_s)} images/s"
    pictures = (
        f"pictures of {resolution} px usually need {_count(1000 * (usual_kimg or 0))} with these settings"
    )
    if usual_kimg is not None and not reaches(reach / (1000 * usual_kimg)):
        needed = (1000 * usual_kimg - cur_nimg) / img_per_s
        return f"{start}, and {pictures}: {duration(needed)}"
    steps = max(round(reach / batch), 1)
    if steps < FEW_STEPS:
        return (
            f"{start}, {steps} steps, too few to learn from: smaller images or a smaller model learn sooner"
        )
    return start if usual_kimg is None else f"{start}; {pictures}"


def fell_short(usual_kimg: float | None, cur_nimg: int) -> str | None:
    """`3 of the usual 79 kimg`, where training ended so early that pictures cannot be expected; else None."""
    if usual_kimg is None or reaches(cur_nimg / (1000 * usual_kimg)):
        return None
    return f"{cur_nimg / 1000:.3g} of the usual {usual_kimg:g} kimg"


def enough(usual_kimg: float) -> Duration:
    """The budget that pictures usually need."""
    return Duration(images=round(1000 * usual_kimg))


def longer(budget: Duration, usual_kimg: float | None, *, cur_nimg: int, seconds: float) -> Duration:
    """A budget to go on with: what pictures usually need, or twice what there was or was used, in its own unit."""
    if usual_kimg is not None and fell_short(usual_kimg, cur_nimg):
        return enough(usual_kimg)
    if budget.images is not None:
        return Duration(images=2 * budget.images)
    used = float(round(seconds))  # more than the budget, where a step takes long
    return Duration(seconds=2 * max(budget.seconds or 0, used))


def enough_time(usual_kimg: float, img_per_s: float) -> Duration:
    """The budget in time that pictures usually need at this speed, a tenth longer and round."""
    seconds = 1.1 * 1000 * usual_kimg / img_per_s
    step = next((step for least, step in _ROUND if seconds > least), 10)
    return Duration(seconds=float(step * math.ceil(seconds / step)))


def rounded(img_per_s: float) -> str:
    """A speed, to as many digits as it is known."""
    return f"{img_per_s:,.0f}" if img_per_s >= 100 else f"{img_per_s:.2g}"


def _count(images: float) -> str:
    if images < 1000:
        return f"{images:.0f} images"
    return f"{images / 1000:,.0f} kimg" if images >= 100_000 else f"{images / 1000:.3g} kimg"
