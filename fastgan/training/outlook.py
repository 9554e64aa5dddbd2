"""Whether a budget reaches what pictures usually need: said once the speed is measured, and at the end."""

from fastgan.config import Duration
from fastgan.text import duration

_FEW_STEPS = 200
"""Steps below which no network learns much, whatever it is shown."""


def foreseen(
    budget: Duration, usual_kimg: float | None, *, cur_nimg: int, left: float, img_per_s: float, batch: int
) -> str:
    """What the `budget` comes to at this speed, in a sentence. left: seconds of it, where it is in time."""
    if budget.images is not None:
        reach, start = float(budget.images), f"{_count(budget.images)} take about "
        start += f"{duration((budget.images - cur_nimg) / img_per_s)} more"
    else:
        reach = cur_nimg + left * img_per_s
        start = f"{budget} comes to about {_count(reach)}"
    start += f" at {img_per_s:.3g} images/s"
    if usual_kimg is not None and reach < 950 * usual_kimg:
        needed = (1000 * usual_kimg - cur_nimg) / img_per_s
        return (
            f"{start}, and pictures usually need {usual_kimg:g} kimg with these settings: {duration(needed)}"
        )
    steps = max(round(reach / batch), 1)
    if steps < _FEW_STEPS:
        return (
            f"{start}, {steps} steps, too few to learn from: smaller images or a smaller model learn sooner"
        )
    return start


def fell_short(usual_kimg: float | None, cur_nimg: int) -> str | None:
    """`3 of the usual 79 kimg`, where training ended so early that pictures cannot be expected; else None."""
    if usual_kimg is None or cur_nimg >= 950 * usual_kimg:
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


def _count(images: float) -> str:
    if images < 1000:
        return f"{images:.0f} images"
    return f"{images / 1000:,.0f} kimg" if images >= 100_000 else f"{images / 1000:.3g} kimg"
