"""The op benchmark: what it asks, what it counts, and that it refuses to time a wrong answer."""

from dataclasses import replace

import pytest
import torch

from fastgan import ops
from fastgan.benchmark import compiled, questions
from fastgan.benchmark import ops as bench_ops
from fastgan.benchmark.timing import Settings

OPS = {op.name: op for op in ops.discover()}
SHAPE = (2, 8, 6, 6)


def question(op: str, pass_: str = "forward", dtype: str = "fp32") -> questions.Question:
    return questions.Question(op=OPS[op], shape=SHAPE, dtype=dtype, layout="nhwc", pass_=pass_)


def test_every_op_is_asked_in_every_way() -> None:
    asked = list(questions.questions(questions.Plan(shapes=[SHAPE])))
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


@pytest.mark.parametrize("pass_", ["forward", "both"])
def test_a_row_is_whole(pass_: str, device: torch.device) -> None:
    (row,) = bench_ops.run(plan("upsample2x", pass_, device))
    assert row["op"] == "upsample2x"
    assert row["best_eager"] in ("conv_transpose", "nearest_blur", "bilinear", "matmul")
    assert row["usual_eager"] in ("conv_transpose", "nearest_blur")
    assert {"ours", "copy", f"eager:{row['best_eager']}", f"eager:{row['usual_eager']}"} <= row[
        "seconds"
    ].keys()
    assert row["speedup"]["eager"]["median"] > 0
    assert row["over_floor"]["rounds"] == 3
    assert row["floor_s"] == row["seconds"]["copy"]["median"]
    assert row["threads"] == torch.get_num_threads()
    x, y = 4 * 2 * 8 * 6 * 6, 16 * 2 * 8 * 6 * 6
    assert row["bytes"] == (x + y if pass_ == "forward" else 2 * (x + y))


def plan(op: str, pass_: str, device: torch.device, **more: object) -> questions.Plan:
    settings = Settings(
        clock="device" if device.type == "cuda" else "cpu",
        device=str(device),
        block_s=0.0005,
        min_rounds=3,
        max_rounds=3,
    )
    return questions.Plan(
        device=str(device), names=[op], shapes=[SHAPE], dtypes=["fp32"], layouts=["nhwc"], passes=[pass_],
        timing=settings, **more,
    )  # fmt: skip


def test_rows_are_handed_over_one_by_one_and_can_be_skipped() -> None:
    asked = plan("adain", "forward", torch.device("cpu"))
    kept: list[str] = []
    rows = bench_ops.run(
        replace(asked, passes=("forward", "both")),
        keep=lambda row: kept.append(row["pass"]),
        skip=lambda q: q.pass_ == "forward",
    )
    assert kept == [row["pass"] for row in rows] == ["both"]


def test_the_copy_moves_the_bytes_of_the_op_within_its_footprint(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []
    places: set[int] = set()
    original = torch.Tensor.copy_

    def counting(target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        moved.append(target.numel() + source.numel())
        places.update(t.untyped_storage().data_ptr() for t in (target, source))
        return original(target, source)

    copy = bench_ops._copy(bench_ops.Cost(moved=5000, footprint=4000, flops=None), sets=1, device="cpu")
    monkeypatch.setattr(torch.Tensor, "copy_", counting)
    copy.call()
    assert sum(moved) == 5000
    assert len(places) == 2


def test_a_failed_compile_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: object, warm: object) -> compiled.Compiled:
        def refuse(*_: object) -> None:
            raise RuntimeError("no compiler here\nand a long trace")

        return compiled.compiled(function, refuse)  # type: ignore[arg-type]

    monkeypatch.setattr(bench_ops, "compiled", broken)
    (row,) = bench_ops.run(plan("bias_act", "forward", torch.device("cpu"), compiled=True))
    assert row["compile_error"] == "RuntimeError: no compiler here"
    assert "compile" not in row["speedup"]


def test_compiling_has_a_time_limit() -> None:
    def forever(_: object) -> None:
        while True:
            pass

    result = compiled.compiled(lambda: None, forever, limit_s=0.05)
    assert result.run is None
    assert "0.05 s" in result.error


@pytest.mark.slow
def test_a_compiled_row(device: torch.device) -> None:
    (row,) = bench_ops.run(plan("bias_act", "both", device, compiled=True))
    assert "compile_error" not in row
    assert row["speedup"]["compile"]["rounds"] == 3
