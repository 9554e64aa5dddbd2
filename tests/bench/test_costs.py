"""Bytes and flops, counted by hand on one example."""

import pytest
import torch

from fastgan import ops
from fastgan.benchmark import costs
from fastgan.benchmark.questions import Question

OPS = {op.name: op for op in ops.discover()}
N, C, H, W = SHAPE = (2, 8, 6, 4)
X, NOISE, CHANNELS, STYLE = 4 * N * C * H * W, 4 * N * H * W, 4 * C, 4 * N * C


def cost(op: str, *, backward: bool, dtype: str = "fp32") -> costs.Cost:
    question = Question(
        op=OPS[op], shape=SHAPE, dtype=dtype, layout="nchw", pass_="both" if backward else "forward"
    )
    inputs = question.inputs("cpu", seed=0)
    with torch.no_grad():
        output = OPS[op].public(*inputs)
    return costs.cost(op, dict(zip(question.arguments, inputs, strict=True)), output, backward=backward)


FORWARD = {
    "style_epilogue": X + NOISE + 2 * CHANNELS + 2 * STYLE + X,
    "adain": X + 2 * STYLE + X,
    "bias_act": X + CHANNELS + X,
    "upsample2x": X + 4 * X,
    "downsample2x": X + X // 4,
    "interpolate": 2 * X + 4 * N + X,
    "gradient_penalty": X + 4,
}
BACKWARD = {  # what is read, then what is written
    "style_epilogue": (X + X + NOISE + 2 * CHANNELS + STYLE) + (X + 2 * CHANNELS + 2 * STYLE),
    "adain": (X + X + STYLE) + (X + 2 * STYLE),
    "bias_act": (X + X) + (X + CHANNELS),
    "upsample2x": 4 * X + X,
    "downsample2x": X // 4 + X,
    "gradient_penalty": (4 + X) + X,
}


@pytest.mark.parametrize("op", FORWARD)
def test_forward_bytes(op: str) -> None:
    counted = cost(op, backward=False)
    assert counted.moved == counted.footprint == FORWARD[op]


@pytest.mark.parametrize("op", BACKWARD)
def test_backward_bytes_come_on_top(op: str) -> None:
    assert cost(op, backward=True).moved == FORWARD[op] + BACKWARD[op]


def test_what_both_passes_read_lies_in_memory_once() -> None:
    counted = cost("adain", backward=True)
    assert counted.moved - counted.footprint == X + STYLE  # x and scale
    counted = cost("bias_act", backward=True)
    assert counted.moved - counted.footprint == X  # y, written and then read
    counted = cost("upsample2x", backward=True)
    assert counted.moved == counted.footprint


def test_half_as_wide_is_half_the_bytes() -> None:
    assert (
        cost("upsample2x", backward=True, dtype="bf16").moved * 2 == cost("upsample2x", backward=True).moved
    )


@pytest.mark.parametrize("op", OPS)
def test_flops_are_known_and_grow_with_the_backward_pass(op: str) -> None:
    forward, both = (cost(op, backward=backward).flops for backward in (False, True))
    assert forward
    assert both is not None
    assert both >= forward


def test_flops_of_a_blur_equal_its_separable_sum() -> None:
    """Two taps a phase and axis up (3 flops each), four down (7): rows first, then columns."""
    elements = N * C * H * W
    assert cost("upsample2x", backward=False).flops == elements * (2 * 3 + 4 * 3)
    assert cost("downsample2x", backward=False).flops == elements * (7 / 2 + 7 / 4)


def test_an_op_that_nobody_counted_reads_everything_twice() -> None:
    x = torch.zeros(4, requires_grad=True)
    counted = costs.cost("unheard_of", {"x": x}, x, backward=True)
    assert counted.moved == 16 * 5  # x, y; g, x, dx
    assert counted.flops is None
