"""What is asked about inference, on tiny networks: every contender makes the same images, every row can be drawn."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.merge import merged_inference
from fastgan.benchmark import disk, inference, page, report, sources, start, suite, summary, train
from fastgan.benchmark.contenders import EAGER, Contenders
from fastgan.benchmark.request import Request
from fastgan.benchmark.timing import Settings
from fastgan.errors import CheckpointError
from tests.bench.test_suite import QUICK, TINY

_APART = {"bf16": 4.0, "fp16": 1.0, "int8": 8.0}
"""Grey levels, on average, of tiny networks with random weights; 0.25 in fp32."""


@pytest.fixture(scope="module", params=TINY)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, device: torch.device
) -> Iterator[Contenders]:
    """A tiny model of random weights, opened in every way."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "RESOLUTION", 16)
        run = sources.write_random(TINY[request.param], folder / "run")
        yield Contenders(run, str(device), folder)


def test_every_way_of_generating_makes_the_same_images(model: Contenders) -> None:
    found = model.every(2, compiled=False)
    assert list(found)[:2] == [EAGER, "torch fp32"]
    expected = found[EAGER].generate(range(5))
    for name, ask in found.items():
        apart = abs(ask.generate(range(5)).astype(int) - expected).mean()  # grey levels
        assert apart <= _APART.get(name.split()[-1], 0.25), name


def test_each_lane_has_a_batch_and_one_image_has_all_cores(model: Contenders, tmp_path: Path) -> None:
    if model.device.type != "cpu":
        pytest.skip("a GPU has no lanes")
    with suite.threads(3):
        wide = Contenders(model.path, "cpu", tmp_path)
    assert {runtime.lanes for runtime in wide.runtimes.values()} == {3}
    assert {runtime.lanes for runtime in wide.alone.values()} == {1}
    asked = wide.every(2, compiled=False)
    assert asked[EAGER].images == 2
    assert asked["torch fp32"].images == 6


def test_a_row_of_images_to_nowhere_and_one_of_latency(model: Contenders) -> None:
    row = inference.nowhere(model, 2, QUICK, compiled=False)
    assert row["baseline"] == EAGER
    assert set(row["speedup"]) == set(model.runtimes)
    found = inference.latency(model, 0.0)["milliseconds"]
    assert set(found) == {EAGER, *model.runtimes}
    assert all(0 < one["p50"] <= one["p99"] and one["runs"] == 20 for one in found.values())


@pytest.mark.parametrize("image_format", ["png", "npz", disk.NOWHERE])
def test_files_are_written_by_the_script_and_by_the_pipeline(
    image_format: str, model: Contenders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_SECONDS", 0.01)
    row = disk.ask(model, image_format, 2, 0.0)
    contenders = set(row["images_per_second"])
    if image_format == "png":
        assert contenders == {disk.SCRIPT, disk.BATCHED, *model.runtimes}
    else:
        assert len(contenders) == 1
        assert contenders <= set(model.runtimes)


def test_what_is_written_is_what_is_timed(model: Contenders, tmp_path: Path) -> None:
    """As many images as are counted, the same whichever writes them."""
    from PIL import Image

    for name, (write, batch) in disk._ways(model, "png", 2).items():
        (tmp_path / name).mkdir()
        write(2 * batch, tmp_path / name)
        files = sorted((tmp_path / name).rglob("*.png"))
        assert len(files) == 2 * batch
        drawn = np.stack([np.asarray(Image.open(file)) for file in files]).astype(int)
        expected = model.every(2, compiled=False)[EAGER].generate(range(2 * batch))
        assert abs(drawn - expected).mean() <= _APART.get(name.split()[-1], 0.25)


def test_the_whole_section_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: torch.device
) -> None:
    """All questions about one model, as tables, as one table, as a page, and merged with what was there."""
    monkeypatch.setattr(train, "RESOLUTION", 16)
    monkeypatch.setattr(disk, "_SECONDS", 0.01)
    monkeypatch.setattr(
        suite, "timing", lambda *_, **__: Settings(clock="wall", block_s=0, budget_s=0, min_rounds=1)
    )
    monkeypatch.setattr(start, "_wall", lambda command: 1.0 + ("torch" in str(command)))
    run = sources.write_random(TINY["dcgan"], tmp_path / "run")
    request = Request(
        sections=["inference"], device=str(device), sources=[run], batches=[2], formats=["png", "npz"]
    )
    document = suite.run(request)
    rows = document["sections"]["inference"]["rows"]
    assert [(row["ask"], row.get("format")) for row in rows] == [
        ("nowhere", None), ("latency", None), ("disk", "png"), ("disk", "npz"), ("start", None),
    ]  # fmt: skip
    json.dumps(document)
    titles = [title for title, _ in report.tables("inference", rows)]
    assert len(titles) == 4
    head, lines = summary.summary(document)
    assert {line[0] for line in lines} == {"seeds to pixels", "one image", "seeds to files", "cold start"}
    assert all(len(line) == len(head) for line in lines)
    html = page.render(document)
    assert html.count("<table>") == 5
    assert "http" not in html.replace("http://www.w3.org", "")
    assert str(run) in html

    again = merged_inference(merged_inference(None, document), document)
    assert len(again["sections"]["inference"]["rows"]) == len(rows)


def test_an_exported_file_has_itself_alone(model: Contenders, device: torch.device, tmp_path: Path) -> None:
    if "onnx fp32" not in model.exported:
        pytest.skip("ONNX Runtime does not run on this device")
    alone = Contenders(model.exported["onnx fp32"], str(device), tmp_path)
    assert list(alone.every(1, compiled=False)) == ["onnx fp32"]
    assert set(start._commands(alone, tmp_path)) == {"onnx fp32"}
    assert set(disk._ways(alone, "png", 2)) == {"onnx fp32"}


def test_the_full_width_is_measured_on_a_cpu_but_for_a_look() -> None:
    assert sources.FULL in sources.cases("cpu", [], quick=False)
    assert sources.FULL not in sources.cases("cpu", [], quick=True)
    assert sources.FULL not in sources.cases("cpu", ["dcgan"], quick=False)


def test_a_source_that_is_no_model_is_known_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(CheckpointError, match=path.name):
            suite.run(Request(device="cpu", sources=[path]))


def test_a_process_that_fails_says_so() -> None:
    import sys

    with pytest.raises(RuntimeError, match="boom"):
        start._wall([sys.executable, "-c", "raise SystemExit('boom')"])
