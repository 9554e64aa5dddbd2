"""One sentence that an engineer can act on, from the numbers of one scenario.

- *help*: some arm with synthetic images beats the best arm without them, in paired seeds, after Holm's correction over
  all arms with them. The best arm without is the one with the highest mean on the test images: a choice that can only
  make the claim harder. Which of several winners to name is decided on validation images.
- *hurt*: the arm with synthetic images that validation would choose is worse than the same arm without them, after
  Holm's correction.
- *no evidence* otherwise; with it comes what does help.
- *nothing to gain*: with all real images it would get better by less than WORTH, or there are fewer errors than that.
  Where all real images do worse, they are no ceiling, and nothing follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastgan.study.arms import Arm
from fastgan.study.statistics import Estimate, estimate, holm, paired

LEVEL = 0.05
WORTH = 0.01
"""What is worth the trouble: a point."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """An arm with synthetic images, held against others seed by seed."""

    arm: str
    best: Estimate
    """Over the best arm without them"""
    best_p: float
    """Holm's"""
    same: Estimate
    """Over the same arm without them"""
    same_p: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a scenario says."""

    outcome: str
    """help, hurt, no evidence, or nothing to gain"""
    sentence: str
    arm: str | None
    """The arm with synthetic images that was judged"""
    best_without: str
    recommended: str
    """The arm to use"""
    ceiling: Estimate | None
    """All real images over the best arm without synthetic ones"""
    against: tuple[Against, ...]


def judge(
    arms: Sequence[Arm],
    test: Mapping[str, Sequence[float]],
    val: Mapping[str, Sequence[float]],
    *,
    grain: float = 0.0,
    what: str = "points",
) -> Verdict:
    """The verdict on arms with a value a seed on test and on validation images. what: the measure in words."""
    mean = {arm.name: sum(test[arm.name]) / len(test[arm.name]) for arm in arms}
    chosen = {arm.name: sum(val[arm.name]) / len(val[arm.name]) for arm in arms}
    without = [arm.name for arm in arms if arm.mix is None and not arm.ceiling]
    best = max(without, key=mean.__getitem__)
    rivals = compare(arms, test, best, grain)
    headroom = _headroom(arms, test, mean, best, grain)
    simple = _gain(test, best, without, what, grain)
    if not rivals:
        sentence = f"No classifier was trained on synthetic images; {simple}"
        return Verdict(
            outcome="no evidence", sentence=sentence, arm=None, best_without=best, recommended=best,
            ceiling=headroom, against=(),
        )  # fmt: skip
    winners = [r for r in rivals if r.best_p < LEVEL and r.best.mean > 0]
    shown = max(winners or rivals, key=lambda r: chosen[r.arm])
    outcome, sentence, recommended = "no evidence", "", best
    if winners:
        outcome, recommended = "help", shown.arm
        sentence = (
            f"Synthetic images help: {_points(shown.best)} {what} with {shown.arm!r} over the best arm without them, "
            f"{best!r}"
        )
    elif (ceiling := _told_ceiling(headroom, best, what)) or 1 - mean[best] < WORTH:
        outcome = "nothing to gain"
        more = ceiling or f"{best!r} alone has {100 * mean[best]:.1f}"
        sentence = f"There is nothing to gain: {more}, and synthetic images give {_points(shown.best)}"
    elif shown.same_p < LEVEL and shown.same.mean < 0:
        outcome = "hurt"
        sentence = (
            f"Synthetic images hurt here: {_points(shown.same)} {what} with {shown.arm!r} against the same without "
            f"them; {simple}"
        )
    else:
        sentence = (
            f"No evidence that synthetic images help here ({_points(shown.best)} {what} with {shown.arm!r} over "
            f"{best!r}); {simple}"
        )
    return Verdict(
        outcome=outcome, sentence=f"{sentence}.", arm=shown.arm, best_without=best, recommended=recommended,
        ceiling=headroom, against=tuple(rivals),
    )  # fmt: skip


def compare(
    arms: Sequence[Arm], test: Mapping[str, Sequence[float]], best: str, grain: float = 0.0
) -> list[Against]:
    """Each arm with synthetic images, not those without real ones, against `best` and against its like without."""
    mixed = [arm for arm in arms if arm.mix is not None and not arm.mix.alone]
    over_best = [paired(test[arm.name], test[best], grain) for arm in mixed]
    same = [paired(test[arm.name], test[arm.beside], grain) for arm in mixed]
    best_p = holm([found.p_value for found in over_best])
    same_p = holm([found.p_value for found in same])
    return [
        Against(arm=arm.name, best=b, best_p=bp, same=s, same_p=sp)
        for arm, b, bp, s, sp in zip(mixed, over_best, best_p, same, same_p, strict=True)
    ]


def _headroom(
    arms: Sequence[Arm],
    test: Mapping[str, Sequence[float]],
    mean: Mapping[str, float],
    best: str,
    grain: float,
) -> Estimate | None:
    tops = [arm.name for arm in arms if arm.ceiling]
    return paired(test[max(tops, key=mean.__getitem__)], test[best], grain) if tops else None


def _told_ceiling(headroom: Estimate | None, best: str, what: str) -> str:
    """That all real images would not be worth the trouble; nothing where they would, or are no ceiling."""
    if headroom is None or not -WORTH < headroom.mean <= headroom.high < WORTH:
        return ""
    return f"all real images would give {_points(headroom)} {what} over {best!r}"


def _gain(
    test: Mapping[str, Sequence[float]], best: str, without: Sequence[str], what: str, grain: float
) -> str:
    plain = without[0]
    if best == plain:
        return (
            f"{best!r} is the best there is, {100 * estimate(test[best]).mean:.1f}: leave the data as it is"
        )
    gain = paired(test[best], test[plain], grain)
    if gain.low <= 0:
        return f"nor does anything else for sure: {best!r} gives {_points(gain)} {what} over {plain!r}"
    return f"{best!r} gives {_points(gain)} {what} over {plain!r}: use that"


def _points(found: Estimate) -> str:
    """`+3.1 [1.2, 4.9]`."""
    if found.n < 2:
        return f"{100 * found.mean:+.1f}"
    return f"{100 * found.mean:+.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
