"""The op benchmark: what it asks, what it counts, and that it refuses to time a wrong answer."""

from dataclasses import replace

import pytest
import torch

from fastgan import ops
from fastgan.bench import ops as bench_ops
from fastgan.bench.timing import Settings

OPS = {op.name: op for op in ops.discover()}
SHAPE = (2, 8, 6, 6)


def question(op: str, pass_: str = "forward", dtype: str = "fp32") -> bench_ops.Question:
    return bench_ops.Question(op=OPS[op], shape=SHAPE, dtype=dtype, layout="nhwc", pass_=pass_)


def test_every_op_is_asked_in_every_way() -> None:
    asked = list(bench_ops.questions(bench_ops.Plan(shapes=[SHAPE])))
    assert {q.op.name for q in asked} == set(OPS)
    assert {(q.dtype, q.layout, q.pass_) for q in asked if q.op.name == "adain"} == {
        (d, layout, p) for d in ("fp32", "bf16") for layout in ("nchw", "nhwc") for p in ("forward", "both")
    }
    # training never differentiates the points between real and fake
    assert {q.pass_ for q in asked if q.op.name == "interpolate"} == {"forward"}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("pass_", ["forward", "both"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_ours_and_baselines_pass_the_check(op: str, pass_: str, dtype: str, device: torch.device) -> None:
    errors = bench_ops.check(question(op, pass_, dtype), str(device))
    assert errors["ours"] <= bench_ops.TOLERANCE[dtype]


def test_a_wrong_answer_is_not_timed(device: torch.device) -> None:
    right = OPS["adain"]
    wrong = replace(right, public=lambda *inputs: right.public(*inputs) * 1.01)
    with pytest.raises(RuntimeError, match="wrong result"):
        bench_ops.check(replace(question("adain"), op=wrong), str(device))
    broken = replace(right, public=lambda *inputs: right.public(*inputs) * float("nan"))
    with pytest.raises(RuntimeError, match="wrong result"):
        bench_ops.check(replace(question("adain"), op=broken), str(device))


def test_bytes_that_must_move() -> None:
    elements = 2 * 8 * 6 * 6

    def counted(op: str, pass_: str, output: int) -> int:
        q = question(op, pass_)
        return bench_ops.bytes_to_move(q, q.inputs("cpu", seed=0), torch.empty(output))

    styles = 2 * 2 * 8  # scale and shift, [N, C]
    assert counted("adain", "forward", elements) == 4 * (2 * elements + styles)
    # and back: the gradient and the inputs in, the inputs' gradients out
    assert counted("adain", "both", elements) == 4 * (
        2 * elements + styles + elements + 2 * (elements + styles)
    )
    # linear: the backward pass has no use for x
    assert counted("upsample2x", "both", 4 * elements) == 4 * 2 * (elements + 4 * elements)


@pytest.mark.parametrize("pass_", ["forward", "both"])
def test_a_row_is_whole(pass_: str, device: torch.device) -> None:
    settings = Settings(
        clock="device" if device.type == "cuda" else "cpu",
        device=str(device),
        block_s=0.0005,
        min_rounds=3,
        max_rounds=3,
    )
    plan = bench_ops.Plan(
        device=str(device), names=["upsample2x"], shapes=[SHAPE], dtypes=["fp32"], layouts=["nhwc"], passes=[pass_],
        timing=settings,
    )  # fmt: skip
    (row,) = bench_ops.run(plan)
    assert row["op"] == "upsample2x"
    assert row["best_eager"] in ("conv_transpose", "nearest_blur", "bilinear", "matmul")
    assert {"ours", "copy", f"eager:{row['best_eager']}"} <= row["seconds"].keys()
    assert row["speedup"]["eager"]["median"] > 0
    assert row["over_floor"]["rounds"] == 3
