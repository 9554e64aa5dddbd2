"""What the log shows of many steps, kept on the device until it is asked for."""

from collections.abc import Iterable

import torch
from torch import Tensor

from fastgan.training.objective import Losses


class Tally:
    """Sums of losses and how many of them were finite, so that one step that was not hides no others."""

    def __init__(self) -> None:
        self._sums: dict[
            tuple[str, ...], Tensor
        ] = {}  # by the names of a step's losses: sums and counts, [2, K]

    def add(self, losses: Losses) -> None:
        """Count a step's `losses`. Waits for nothing."""
        names, values = tuple(losses), torch.stack(list(losses.values()))  # [K]
        finite = torch.stack([values.nan_to_num(0.0, 0.0, 0.0), values.isfinite().float()])  # [2, K]
        self._sums[names] = self._sums[names] + finite if names in self._sums else finite

    def sums(self) -> Iterable[Tensor]:
        """The tensors that several processes add up before `take`."""
        return self._sums.values()

    def take(self) -> dict[str, float]:
        """Means of what was finite since the last call. Waits for the device."""
        totals: dict[str, Tensor] = {}
        for names, sums in self._sums.items():
            for name, pair in zip(names, sums.cpu().double().T, strict=True):  # sum and count
                totals[name] = totals[name] + pair if name in totals else pair
        self.clear()
        return {
            name: (totals[name][0] / totals[name][1]).item() for name in sorted(totals) if totals[name][1]
        }

    def clear(self) -> None:
        """Forget what was counted."""
        self._sums.clear()
