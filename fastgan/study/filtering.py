"""Which synthetic images to keep: what a careful person would throw away, by rules that know the training images alone.

1. class agreement: a classifier that was trained on the real training images alone gives the class that was asked for;
2. the GAN's own discriminator: not among the QUARTILE that it finds least real;
3. similarity: as similar to training images of its class (mean cosine of features to the nearest) as all but a share
   STRANGE of the training images are to each other;
4. no copies: neither a near copy of a training image, nor of an image that was kept before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.study import families
from fastgan.study.labelled import Labelled
from fastgan.study.task import Task

QUARTILE = 0.25
STRANGE = 0.05
CANDIDATES = 3
"""Images that are made for one that is wanted."""
_NEIGHBOURS = 5
RULES = (QUARTILE, STRANGE, CANDIDATES, _NEIGHBOURS)
"""All numbers that decide over what is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judges:
    """What images are judged by."""

    predict: Callable[[Tensor], Tensor]
    """uint8 [N, H, W, C] -> probabilities [N, K], of a classifier of the real training images"""
    critic: Callable[[Labelled], Tensor] | None
    """The discriminator's logits; None: there is none"""
    features: Callable[[Tensor], Tensor]
    """uint8 [N, H, W, C] -> features float32 [N, D]"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Filtered:
    """Verdicts on N candidates."""

    kept: Tensor
    """bool [N]"""
    reasons: dict[str, int]
    """How many each rule threw away, in this order, each of those that were left"""


def judge(
    task: Task, real: Labelled, candidates: Labelled, judges: Judges, near: float = families.ALIKE
) -> Filtered:
    """Apply the four rules to `candidates`; `real` are the training images, `near` as in `families.near_copies`."""
    left = torch.ones(len(candidates), dtype=torch.bool)
    reasons = {}

    def throw(name: str, away: Tensor) -> None:
        nonlocal left
        reasons[name] = int((left & away).sum())
        left = left & ~away

    throw("another class", ~_agree(task, judges.predict(candidates.images), candidates.targets))
    if judges.critic is not None:
        score = judges.critic(candidates)
        throw("least real", score < score[left].quantile(QUARTILE) if left.any() else ~left)
    throw("unlike the training images", _strange(task, real, candidates, judges.features))
    copied = families.shared(candidates.images, real.images, near)
    throw("copies of training images", _in(copied, len(left)))
    first = families.copies(candidates.images)
    again = (first != torch.arange(len(first))).nonzero()[:, 0]
    pairs = torch.cat(
        [torch.stack([first[again], again], 1), families.near_copies(candidates.images, near=near)]
    )
    throw("copies of each other", _in(pairs[left[pairs[:, 0]]].flip(1), len(left)))
    return Filtered(kept=left, reasons=reasons)


def choose(task: Task, filtered: Filtered, candidates: Labelled, wanted: Tensor) -> Labelled:
    """The first kept candidates that fill the `wanted` targets, class by class; fewer where too few were kept.

    For attributes: the first that were kept.
    """
    rows = filtered.kept.nonzero()[:, 0]
    if task.multi:
        return candidates.take(rows[: len(wanted)])
    counts = wanted.bincount(minlength=task.outputs).tolist()
    chosen = [rows[candidates.targets[rows] == k][:n] for k, n in enumerate(counts)]
    return candidates.take(torch.cat(chosen).sort().values)


def _agree(task: Task, probabilities: Tensor, targets: Tensor) -> Tensor:
    if task.multi:
        known = ~targets.isnan()
        return (((probabilities >= 0.5) == (targets == 1)) | ~known).all(1)
    return probabilities.argmax(1) == targets


def _strange(
    task: Task, real: Labelled, candidates: Labelled, features: Callable[[Tensor], Tensor]
) -> Tensor:
    """bool [N]: less similar to their class than all but a share STRANGE of the training images."""
    ours, theirs = _directions(features(candidates.images)), _directions(features(real.images))
    own_class = task.strata(real.targets)
    of = own_class if not task.multi else torch.zeros_like(own_class)
    wanted = candidates.targets if not task.multi else torch.zeros(len(candidates), dtype=torch.int64)
    strange = torch.zeros(len(candidates), dtype=torch.bool)
    for k in of.unique().tolist():
        members = theirs[of == k]
        if len(members) < 3:
            continue
        among = (
            (members @ members.T).fill_diagonal_(-2).topk(min(_NEIGHBOURS, len(members) - 1)).values.mean(1)
        )
        rows = (wanted == k).nonzero()[:, 0]
        found = (ours[rows] @ members.T).topk(min(_NEIGHBOURS, len(members))).values.mean(1)
        strange[rows] = found < among.quantile(STRANGE)
    return strange


def _directions(features: Tensor) -> Tensor:
    return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)


def _in(pairs: Tensor, count: int) -> Tensor:
    found = torch.zeros(count, dtype=torch.bool)
    found[pairs[:, 0]] = True
    return found
