"""Rows into one file, files into the tables of docs/kernels.md, and the tables that are there now."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measured_docs, targets
from benchmarks import ops as script
from benchmarks.merge import merged, rows_of
from benchmarks.table import tables
from fastgan.benchmark import report
from fastgan.benchmark.request import Request


def spread(median: float) -> dict[str, Any]:
    return {"median": median, "q1": median, "q3": median, "rounds": 7}


def row(op: str = "adain", *, threads: int = 1, floor: float = 1.5, **speedup: float) -> dict[str, Any]:
    return {
        "op": op,
        "shape": [16, 256, 64, 64],
        "dtype": "fp32",
        "layout": "nchw",
        "pass": "both",
        "threads": threads,
        "seconds": {"ours": spread(0.01)},
        "best_eager": "group_norm",
        "speedup": {name: spread(value) for name, value in ({"eager": 3.0} | speedup).items()},
        "over_floor": spread(floor),
    }


def document(*rows: dict[str, Any], commit: str = "new") -> dict[str, Any]:
    header = {**report.header("cpu"), "commit": commit, "date": "2026-01-01", "allocator": "tuned"}
    return {**header, "sections": {"ops": {"clock": "cpu", "quick": False, "rows": list(rows)}}}


def test_a_new_row_replaces_the_old_one_and_the_others_stay() -> None:
    old = merged(
        None, document(row("adain", floor=9), row("upsample2x"), row("adain", threads=2), commit="old")
    )
    new = merged(old, document(row("adain", floor=1)))
    found = {(r["op"], r["threads"]): (r["over_floor"]["median"], r["commit"]) for r in rows_of(new)}
    assert found == {("adain", 1): (1, "new"), ("adain", 2): (1.5, "old"), ("upsample2x", 1): (1.5, "old")}
    assert new["threads"] == [1, 2]
    assert "1 and 2 of" in report.describe(new)


def test_the_order_does_not_depend_on_when_a_row_was_measured() -> None:
    rows = [row("adain", threads=2), row("upsample2x"), row("adain")]
    one = merged(merged(merged(None, document(rows[0])), document(rows[1])), document(rows[2]))
    assert rows_of(one) == rows_of(merged(None, document(*rows[::-1])))


def test_the_script_measures_what_is_missing_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(**narrowed: Any) -> int:
        chunk = script.Chunk(tmp_path, missing=True, seconds=narrowed.pop("seconds", None))
        request = Request(
            sections=["ops"], device="cpu", names=["bias_act"], shapes=[(1, 4, 5, 6)], dtypes=["fp32"],
            quick=True, budget_s=0.01, **narrowed,
        )  # fmt: skip
        left = chunk.run(request)
        found = json.loads(path.read_text()) if (path := chunk.path(request)).is_file() else None
        measured.append([(r["layout"], r["pass"], r["seconds"]["ours"]["median"]) for r in rows_of(found)])
        return left

    measured: list[list[Any]] = []
    assert ask(layouts=["nchw"], seconds=1e-9) == 2  # no time: nothing measured, two rows missing
    assert ask(layouts=["nchw"]) == 0
    assert ask(layouts=["nchw", "nhwc"]) == 0
    nothing, first, both = measured
    monkeypatch.setattr(script.report, "kernels", lambda: "another build")
    assert ask(layouts=["nchw"], seconds=1e-9) == 2
    assert nothing == []
    assert [(layout, pass_) for layout, pass_, _ in both] == [
        (layout, pass_) for layout in ("nchw", "nhwc") for pass_ in ("forward", "both")
    ]
    assert both[:2] == first


def test_targets_say_met_in_part_and_not_measured() -> None:
    rows = [row(usual=5, eager=3), row(usual=3.9, eager=2, threads=2)]
    _, lines = targets.verdicts(rows, targets.CPU)
    by_name = {line[0]: line[1:] for line in lines}
    usual = by_name["`adain`: 4x the usual eager"]
    assert usual == ["in part", "1 of 2", "3.9-5", "`adain` [16, 256, 64, 64] fp32 nchw fwd+bwd, 2 threads"]
    assert by_name["`adain`: 4x the best eager found"][0] == "not met"
    assert by_name["`adain`: 1.3x torch.compile"][0] == "not measured"
    assert by_name["every op: at most 2x the copy floor"][0] == "met"


def test_the_table_has_one_number_for_each_shape() -> None:
    other = row(floor=1.25) | {"shape": [16, 512, 16, 16]}
    _, (line,) = targets.standing([row(floor=1.5), other])
    assert line[:5] == ["`adain`", "fp32", "nchw", "fwd+bwd", "1.25 1.5 - -"]


def test_a_partial_matrix_says_so(tmp_path: Path) -> None:
    (tmp_path / "ops-cpu.json").write_text(json.dumps(merged(None, document(row(), row("interpolate")))))
    text = measured_docs.rendered("<!-- measured: targets -->\n<!-- end -->", tmp_path)
    threads = len({1, document()["processor"]["cores"]})
    assert f"Measured: 1 of {160 * threads} cases." in text


def test_a_share_of_the_step_is_the_most_that_can_be_saved(tmp_path: Path) -> None:
    shares = {"share_of_step": spread(0.01), "ends_speedup": spread(4.0), "step_speedup": spread(1.02)}
    step = {"model": "tiny", "batch": 2, "precision": "bf16", **shares}
    penalty = document() | {"sections": {"penalty": {"rows": [step]}}}
    (tmp_path / "penalty-cpu.json").write_text(json.dumps(penalty))
    text = measured_docs.rendered("<!-- measured: penalty -->\n<!-- end -->", tmp_path)
    assert "take 1% of the time" in text
    assert "save **0.75% of the step**" in text


def test_only_what_is_between_the_markers_is_made(tmp_path: Path) -> None:
    (tmp_path / "ops-cpu.json").write_text(json.dumps(merged(None, document(row(), row(threads=2)))))
    text = "before\n<!-- measured: standing -->\nold\n<!-- end -->\nafter\n"
    new = measured_docs.rendered(text, tmp_path)
    assert new.startswith("before\n<!-- measured: standing -->\n")
    assert new.endswith("<!-- end -->\nafter\n")
    assert "old" not in new
    assert "2 threads; the numbers" in new
    assert measured_docs.rendered(new, tmp_path) == new


def test_the_documents_show_the_results_that_are_committed() -> None:
    texts = [document.read_text(encoding="utf-8") for document in measured_docs.DOCUMENTS]
    for text in texts:
        assert measured_docs.rendered(text) == text, "run python -m benchmarks.measured_docs"
    assert sum(text.count("<!-- measured:") for text in texts) == len(measured_docs.BLOCKS)


def test_every_committed_result_can_be_drawn() -> None:
    drawn = tables(sorted(script.RESULTS.glob("*.json")))
    assert "## train: " in drawn
    assert "## inference: " in drawn
