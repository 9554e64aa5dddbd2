"""A step whose loss or gradient is not finite never happens: no parameter, no Adam moment, no buffer keeps it.

Nothing waits for the device: the verdict is a tensor that the fused Adam reads itself, as torch's gradient scaler has
it do, so a captured step skips as a plain one does. An ordinary step keeps its bits.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

PATIENCE = 16
"""Iterations in a row without one step of a network after which it will not mend itself: nothing but the random
numbers and the images differs from one try to the next."""


class Guard(nn.Module):
    """Watches the steps of one `optimizer`, and the buffers of `modules`, which forward passes write.

    `hold` before the first forward pass of an iteration's step, `judge` after each backward pass, `settle` after the
    optimiser's step. The state dict is `streak`, the steps skipped in a row up to now.
    """

    found: Tensor
    skipped: Tensor
    streak: Tensor
    _one: Tensor

    def __init__(self, optimizer: torch.optim.Optimizer, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.optimizer = optimizer
        self._buffers_of = [buffer for module in modules for buffer in module.buffers()]
        self._kept = [buffer.clone() for buffer in self._buffers_of]
        device = optimizer.param_groups[0]["params"][0].device
        self.register_buffer("streak", torch.zeros((), device=device))
        self.register_buffer("found", torch.zeros((), device=device), persistent=False)
        self.register_buffer("skipped", torch.zeros((), device=device), persistent=False)
        self.register_buffer("_one", torch.ones((), device=device), persistent=False)
        if optimizer.defaults["fused"]:  # the other implementations know no found_inf
            optimizer.found_inf = self.found  # type: ignore[attr-defined]

    def gradients(self) -> list[Tensor]:
        """Those of the optimiser's parameters, where there are any."""
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        return [p.grad for p in parameters if p.grad is not None]

    @torch.no_grad()
    def hold(self) -> None:
        """Remember the buffers as they are: what a skipped step gives back."""
        if self._kept:
            torch._foreach_copy_(self._kept, self._buffers_of)

    @torch.no_grad()
    def judge(self, total: Tensor) -> Tensor:
        """Look at the loss `total` (a scalar) and all gradients: 1 where one is not finite, else 0 (a scalar)."""
        self.found.zero_()
        torch._amp_foreach_non_finite_check_and_unscale_(
            [total.detach().float().clone(), *self.gradients()], self.found, self._one
        )
        return self.found

    @torch.no_grad()
    def settle(self) -> None:
        """Count, and undo what the forward passes of a skipped step did to the buffers."""
        self.skipped += self.found
        self.streak.add_(1).mul_(self.found)
        for buffer, kept in zip(self._buffers_of, self._kept, strict=True):
            # By way of `data`: a backward pass that is still to come does not read running statistics.
            buffer.data.copy_(torch.where(self.found > 0, kept, buffer))
        self.hold()

    def take(self) -> float:
        """How many steps were skipped since the last call (waits for the device)."""
        skipped = self.skipped.item()
        self.skipped.zero_()
        return skipped

    def reset(self) -> None:
        """Begin anew, as with another state of the networks."""
        self.skipped.zero_()
        self.streak.zero_()

    def stuck(self) -> bool:
        """Whether PATIENCE steps in a row were skipped (waits for the device)."""
        return self.streak.item() >= PATIENCE
