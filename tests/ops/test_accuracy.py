"""Every op on fuzzed calls: never more than twice torch's own error, and nothing but its outputs is written."""

import pytest
import torch
from hypothesis import target
from torch import Tensor

from fastgan import ops
from tests.conftest import DEVICE
from tests.ops.fuzz import CAMPAIGN, Call, calls, fuzz
from tests.ops.oracle import BOUND, ratios

pytestmark = pytest.mark.skipif(ops.backend(DEVICE.type) != "native", reason="the reference is the oracle")


def memory(args: list[Tensor | None]) -> list[Tensor]:
    """A copy of every byte that the arguments' storages hold, gaps included."""
    storages = [a.untyped_storage() for a in args if a is not None]
    return [torch.empty(0, dtype=torch.uint8, device=DEVICE).set_(s).clone() for s in storages]


def check(call: Call) -> None:
    """The output and all gradients of `call`, and its inputs after it."""
    args = call.build()
    before = memory(args)
    found = ratios(call, args)
    worst = max(found, key=lambda k: found[k])
    if CAMPAIGN:  # look where the errors are largest
        target(min(found[worst], BOUND), label=call.op)
    assert found[worst] <= BOUND, (worst, found)
    assert all(torch.equal(a, b) for a, b in zip(before, memory(args), strict=True)), (
        "an input was written to"
    )


@fuzz(250, call=calls())
def test_values_and_gradients(call: Call) -> None:
    check(call)


@fuzz(
    40, call=calls(dtypes=[torch.float32, torch.float64], values=["normal", "integers", "wide"], empty=False)
)
def test_second_derivatives(call: Call) -> None:
    """Of a weighted sum of all gradients, for every argument and for the gradient that came in: R1 and WGAN-GP."""
    found = ratios(call, call.build(), second=True)
    assert max(found.values()) <= BOUND, found
