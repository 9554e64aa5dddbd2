"""What is concluded from numbers that are known."""

import random

import pytest

from fastgan.errors import ConfigError
from fastgan.study.arms import arms as all_arms
from fastgan.study.arms import chosen
from fastgan.study.verdict import judge

ARMS = all_arms((1.0, 2.0, 5.0), transfer=True)
SEEDS = 5


def scores(**means: float) -> dict[str, list[float]]:
    """A value a seed for every arm: 0.80 with a spread that seeds share, and one of its own."""
    rng = random.Random(0)
    shared = [rng.gauss(0, 0.02) for _ in range(SEEDS)]
    told = means
    return {arm.name: [told.get(arm.name, 0.80) + s + rng.gauss(0, 0.004) for s in shared] for arm in ARMS}


def verdict(**means: float):
    found = scores(**({"all real: transfer + classical": 0.95} | means))
    return judge(ARMS, found, found, grain=0.001)


def test_a_lift_is_found_and_named() -> None:
    found = verdict(**{"classical + synthetic x2": 0.86})
    assert (found.outcome, found.arm) == ("help", "classical + synthetic x2")
    assert found.recommended == found.arm
    assert found.sentence.startswith("Synthetic images help: +5.")
    assert " over the best arm without them, " in found.sentence


def test_a_lift_below_the_best_arm_without_is_none() -> None:
    """Transfer gives more, so synthetic images that beat the plain CNN are no reason to make any."""
    found = verdict(**{"synthetic x2": 0.84, "transfer": 0.90})
    assert found.outcome == "no evidence"
    assert found.recommended == "transfer"
    assert "'transfer' gives +10." in found.sentence
    assert found.sentence.endswith("over 'real': use that.")


def test_a_gain_that_is_not_sure_is_not_advised() -> None:
    found = verdict(**{"classical": 0.801})
    assert found.outcome == "no evidence"
    assert "use that" not in found.sentence


def test_harm_is_told_of_the_arm_that_validation_would_choose() -> None:
    mixed = {arm.name: 0.70 for arm in ARMS if arm.mix}
    assert verdict(**mixed).outcome == "hurt"
    assert verdict(**{**mixed, "synthetic x1": 0.80}).outcome != "hurt"


def test_nothing_to_gain_at_the_ceiling() -> None:
    found = judge(ARMS, scores(), scores(), grain=0.001)
    assert found.outcome == "nothing to gain"
    assert "all real images would give" in found.sentence


def test_holms_correction_is_over_all_arms_with_synthetic_images() -> None:
    found = verdict()
    assert {r.arm for r in found.against} == {a.name for a in ARMS if a.mix and not a.mix.alone}
    alone = sorted(found.against, key=lambda r: r.best.p_value)
    smallest, count = alone[0], len(alone)
    assert smallest.best_p == pytest.approx(min(1.0, count * smallest.best.p_value))
    assert alone[1].best_p >= min(1.0, (count - 1) * alone[1].best.p_value) - 1e-12


def test_a_lift_that_is_chance_among_ten_is_not_one() -> None:
    """p of 0.02 for one arm of ten: the best of ten coins."""
    base = [0.80, 0.81, 0.82, 0.80, 0.81]
    found = {arm.name: list(base) for arm in ARMS}
    gains = (0.021, 0.004, 0.012, 0.016, 0.006)
    found["synthetic x2"] = [value + gain for value, gain in zip(base, gains, strict=True)]
    found["all real: transfer + classical"] = [0.95] * SEEDS
    told = judge(ARMS, found, found)
    lift = next(r for r in told.against if r.arm == "synthetic x2")
    assert lift.best.p_value < 0.05 < lift.best_p
    assert told.outcome == "no evidence"


def test_more_real_images_that_do_worse_are_no_ceiling() -> None:
    """As of a rare class that is shown as often as others, while all real images come as they are."""
    found = scores(**{"oversampled": 0.9})
    tops = {arm.name: [value - 0.2 for value in found[arm.name]] for arm in ARMS if arm.ceiling}
    told = judge(ARMS, found | tops, found, grain=0.001)
    assert told.outcome != "nothing to gain"


def test_no_arm_is_judged_without_its_like() -> None:
    """Else what classical augmentation and transfer give would pass for what synthetic images do."""
    found = chosen(ARMS, ["real", "classical + synthetic x2 filtered", "transfer + synthetic"])
    assert [arm.name for arm in found] == [
        "real", "classical", "transfer", "classical + synthetic x2 filtered", "transfer + synthetic x2",
    ]  # fmt: skip
    assert [arm.name for arm in chosen(ARMS, ["synthetic only"])] == ["real", "synthetic only"]
    with pytest.raises(ConfigError, match="nothing but all real images"):
        chosen(ARMS, ["all real"])


@pytest.mark.parametrize("transfer", [True, False])
@pytest.mark.parametrize("thinned", [True, False])
def test_every_arm_with_synthetic_images_has_its_like_without(transfer: bool, thinned: bool) -> None:
    found = all_arms((1.0,), transfer=transfer, thinned=thinned)
    names = [arm.name for arm in found]
    assert len(set(names)) == len(names)
    without = {arm.name for arm in found if arm.mix is None and not arm.ceiling}
    assert all(arm.beside in without for arm in found if arm.mix)
    assert transfer == any(arm.learner == "tuned" for arm in found)
