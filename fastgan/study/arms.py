"""The arms: every way to train a classifier that is compared, as data.

Without synthetic images: from scratch, with classical augmentation, from a pretrained network, and both. With them:
at several ratios, filtered, redrawn each epoch, drawn wider than the GAN was trained, beside classical augmentation and
transfer, and alone (the classification accuracy score of Ravuri & Vinyals 2019). Each of these names the arm that is
the same but for the synthetic images. Where a class was thinned, synthetic images fill it up, and the arms without
them show the few images as often instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fastgan.errors import ConfigError
from fastgan.naming import named


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Which synthetic images an arm trains on."""

    ratio: float = 1.0
    """How many for one real image; with `fill` nothing"""
    filtered: bool = False
    """Only those that `filtering` lets through"""
    redrawn: bool = False
    """Others in each epoch"""
    wide: bool = False
    """From latents further out than those of training"""
    alone: bool = False
    """No real images beside them"""
    fill: bool = False
    """So many of each class as the largest has more"""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train a classifier."""

    name: str
    learner: Literal["cnn", "head", "tuned"] = "cnn"
    """A small CNN from scratch; a linear head on a frozen network; that network fine-tuned from there"""
    classical: bool = False
    """Flips, turns, crops and colours, as chosen on validation images"""
    mix: Mix | None = None
    """None: real images alone"""
    ceiling: bool = False
    """All real training images, however few the scenario allows"""
    balanced: bool = False
    """Each class shown as often as any"""
    beside: str = ""
    """The arm that is the same without synthetic images"""


REAL = Arm(name="real")
CLASSICAL = Arm(name="classical", classical=True)
HEAD = Arm(name="frozen transfer", learner="head")
TUNED = Arm(name="transfer", learner="tuned")
BOTH = Arm(name="transfer + classical", learner="tuned", classical=True)


def arms(
    ratios: Sequence[float],
    *,
    transfer: bool = True,
    synthetic: bool = True,
    thinned: bool = False,
    ceiling: bool = True,
) -> list[Arm]:
    """All arms of a scenario. ratios: synthetic images for one real image, ascending; the middle one is that of the
    variants. transfer: whether there is a pretrained network; thinned: whether a class is; ceiling: whether there are
    more real images than the scenario allows.
    """
    without = [REAL, CLASSICAL] + ([HEAD, TUNED, BOTH] if transfer else [])
    if thinned:
        without += [
            replace(REAL, name="oversampled", balanced=True),
            replace(CLASSICAL, name="classical oversampled", balanced=True),
        ]
        if transfer:
            without.append(replace(BOTH, name="transfer + classical oversampled", balanced=True))
    found = without + (_filling(transfer) if thinned else _mixing(ratios, transfer)) * synthetic
    if ceiling:
        wanted = ["classical oversampled" if thinned else "classical"]
        if transfer:
            wanted += [HEAD.name, f"transfer + {wanted[0]}"]
        tops = [arm for arm in without if arm.name in wanted]
        found += [replace(arm, name=f"all real: {arm.name}", ceiling=True) for arm in tops]
    return found


def chosen(found: Sequence[Arm], wanted: Sequence[str]) -> list[Arm]:
    """Those that are `wanted` (none: all): by name, or by how names begin where none is called so.

    With each come those that are the same without synthetic images, for what transfer or classical augmentation gives
    is not to be put down to these. ConfigError where nothing begins so, and where nothing but a ceiling is left.
    """
    if not wanted:
        return [*found]
    names = {arm.name for arm in found}
    of = {
        name: [arm for arm in found if arm.name == name or (name not in names and arm.name.startswith(name))]
        for name in wanted
    }
    for name, matches in of.items():
        if not matches:
            raise ConfigError(
                f"{named('arms')} {name!r}: no arm begins so; there are {', '.join(a.name for a in found)}"
            )
    kept = {name for matches in of.values() for arm in matches for name in (arm.name, arm.beside)}
    if not any(arm.name in kept and arm.mix is None and not arm.ceiling for arm in found):
        raise ConfigError(f"{named('arms')} leaves nothing but all real images: add real")
    return [arm for arm in found if arm.name in kept]


def _mixing(ratios: Sequence[float], transfer: bool) -> list[Arm]:
    usual = Mix(ratio=ratios[len(ratios) // 2])
    at = f"synthetic x{usual.ratio:g}"
    found = [_with(REAL, f"synthetic x{ratio:g}", Mix(ratio=ratio)) for ratio in ratios]
    found += [
        _with(REAL, f"{at} filtered", replace(usual, filtered=True)),
        _with(REAL, f"{at} redrawn", replace(usual, redrawn=True)),
        _with(REAL, f"{at} redrawn wide", replace(usual, redrawn=True, wide=True)),
        _with(CLASSICAL, f"classical + {at}", usual),
        _with(CLASSICAL, f"classical + {at} filtered", replace(usual, filtered=True)),
    ]
    if transfer:
        found += [
            _with(TUNED, f"transfer + {at}", usual),
            _with(BOTH, f"transfer + classical + {at} filtered", replace(usual, filtered=True)),
        ]
    return [*found, _with(REAL, "synthetic only", Mix(ratio=ratios[-1], alone=True))]


def _filling(transfer: bool) -> list[Arm]:
    fill = Mix(fill=True)
    found = [
        _with(REAL, "synthetic fill", fill, "oversampled"),
        _with(REAL, "synthetic fill filtered", replace(fill, filtered=True), "oversampled"),
        _with(CLASSICAL, "classical + synthetic fill", fill, "classical oversampled"),
    ]
    if transfer:
        name, beside = "transfer + classical + synthetic fill", "transfer + classical oversampled"
        found.append(_with(BOTH, name, fill, beside))
    return found


def _with(arm: Arm, name: str, mix: Mix, beside: str = "") -> Arm:
    return replace(arm, name=name, mix=mix, beside=beside or arm.name)
