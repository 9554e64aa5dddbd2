"""Classes and attributes as one vector."""

import torch
import torch.nn.functional as F
from torch import Tensor


def encode(labels: Tensor | None, attributes: Tensor | None, classes: int) -> Tensor:
    """c float32 [N, classes + 2 A]: one-hot label, attribute values (0: unknown), 1 where the attribute is known.

    labels: int64 [N] or None; attributes: float32 [N, A], NaN where unknown, or None; one of the two is given.
    """
    parts = []
    if labels is not None:
        parts.append(F.one_hot(labels, classes).float())
    if attributes is not None:
        known = ~attributes.isnan()
        parts += [attributes.where(known, torch.zeros_like(attributes)), known.float()]
    return torch.cat(parts, dim=1)
