"""What is to be told from an image: one class of several, or a set of attributes that are there or not."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Task:
    """The classes, or the attributes, of a study.

    Targets are int64 [N] for classes, and float32 [N, A] of 0, 1 and NaN (unknown) for attributes.
    """

    names: tuple[str, ...]
    multi: bool = False
    """Attributes, each judged by itself."""

    @property
    def outputs(self) -> int:
        """Logits that a classifier gives."""
        return len(self.names)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of logits [N, K]; for attributes the binary one, over what is known."""
        if not self.multi:
            return F.cross_entropy(logits, targets)
        known = ~targets.isnan()
        every = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
        return (every * known).sum() / known.sum().clamp(min=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """float32 [N, K]: softmax over classes, or the sigmoid of each attribute."""
        return logits.float().sigmoid() if self.multi else logits.float().softmax(1)

    def members(self, targets: Tensor) -> Tensor:
        """bool [N, K]: which images have which class or attribute."""
        if self.multi:
            return targets == 1
        return F.one_hot(targets, self.outputs).bool()

    def counts(self, targets: Tensor) -> list[int]:
        """Images of each class, or with each attribute."""
        return self.members(targets).sum(0).tolist()

    def strata(self, targets: Tensor, family: Tensor | None = None) -> Tensor:
        """int64 [N] by which a split is balanced: the class, or the rarest attribute that an image has.

        family: int64 [N], of each image; then int64 [families], by the rarest class or attribute that is in each.
        """
        has = self.members(targets)
        if family is not None:
            held = torch.zeros(int(family.max()) + 1, self.outputs, dtype=torch.int64)
            has = held.index_add(0, family, has.long()) > 0
        rarest_first = has.sum(0).argsort(stable=True)
        ranked = torch.where(has, rarest_first.argsort(), self.outputs).min(1).values
        return ranked if self.multi else rarest_first[ranked]
