"""The search for the fastest way: what it measures, what it takes, what it leaves out, and what it remembers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastgan import machine
from fastgan.errors import CheckpointError, ConfigError
from fastgan.fastest import exported as exported_module
from fastgan.fastest import rates, search, ways
from fastgan.fastest.choice import Choice, Trial, remembered
from fastgan.inference import Runtime, open_generator
from fastgan.inference.conditions import Request
from fastgan.inference.precisions import PRECISIONS

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where exports are kept for all tests of this file: making one takes a second."""
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, exports: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, but for the exports in it."""
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "exported").symlink_to(exports)
    return tmp_path / "cache"


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], list[tuple[str, int]]]:
    """Give images a second by "runtime precision" and batch in place of the clock; returns what is measured."""

    def give(table: dict[str, Any]) -> list[tuple[str, int]]:
        asked: list[tuple[str, int]] = []

        def rate(runtime: Runtime, runs: int = 1) -> float:
            name = f"{runtime.name} {runtime.precision}"
            asked.append((name, runtime.batch))
            return float(table[name](runtime.batch))

        monkeypatch.setattr(rates, "rate_of", rate)
        monkeypatch.setattr(rates, "_ENOUGH", 0.0)
        monkeypatch.setattr("fastgan.nn.precision.has_fast_bf16", lambda device: True)
        return asked

    return give


def test_it_opens_what_it_has_chosen_and_remembers(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured for real, on the CPU: whatever is chosen makes torch's images, and the next time nothing is measured."""
    runtime, choice = search.open_fastest(runs["stylegan"], device="cpu", patience=0.3)
    chosen = choice.chosen
    assert (runtime.name, runtime.precision, runtime.batch) == (chosen.runtime, "fp32", chosen.batch)
    assert {(t.runtime, t.precision) for t in choice.tried} == {("torch", "fp32"), ("onnx", "fp32")}
    torch_alone = open_generator(runs["stylegan"], device="cpu")
    assert runtime.facts.fingerprint == torch_alone.facts.fingerprint
    assert runtime.facts.source == str(runs["stylegan"])
    apart = runtime.sample(5).astype(int) - torch_alone.sample(5)
    assert abs(apart).max() <= 1

    monkeypatch.setattr(search._Search, "run", lambda *_: pytest.fail("it measured again"))
    again, same = search.open_fastest(runs["stylegan"], device="cpu")
    assert same == choice
    assert (again.name, again.batch) == (runtime.name, runtime.batch)


def test_larger_batches_are_tried_while_they_gain_and_slow_ways_go_no_further(
    runs: dict[str, Path], speeds: Callable[..., Any]
) -> None:
    asked = speeds(
        {
            "torch fp32": lambda batch: 10.0 * batch**0.5,  # rises all the way
            "onnx fp32": lambda batch: 9.0,  # never rises, and is three times slower at 16
            "torch bf16": lambda batch: 1.0 * batch,  # three times slower at 4, whatever it would become
        }
    )
    runtime, choice = search.open_fastest(runs["dcgan"], device="cpu", precisions=("fp32", "bf16"))
    sizes = {name: [batch for who, batch in asked if who == name] for name, _ in asked}
    assert sizes["torch fp32"][:4] == [1, 4, 16, 64]
    assert sizes["onnx fp32"] == [1, 4]
    assert sizes["torch bf16"] == [1, 4]
    assert choice.chosen == Trial(runtime="torch", precision="fp32", batch=64, images_per_second=80.0)
    assert runtime.batch == runtime.fits == 64
    assert str(choice) == (
        "torch fp32, batch 64: 80 images/s (onnx fp32, batch 1: 9 images/s; torch bf16, batch 4: 4 images/s)"
    )


def test_of_equals_the_exact_and_the_small_one_is_taken(
    runs: dict[str, Path], speeds: Callable[..., Any]
) -> None:
    speeds(
        {
            "torch fp32": lambda batch: 98.0 if batch >= 4 else 50.0,
            "torch bf16": lambda batch: 100.0 if batch >= 4 else 50.0,
            "onnx fp32": lambda batch: 20.0,
        }
    )
    _, choice = search.open_fastest(runs["dcgan"], device="cpu", precisions=PRECISIONS[:3])
    assert (choice.chosen.runtime, choice.chosen.precision, choice.chosen.batch) == ("torch", "fp32", 4)


def test_a_batch_that_is_asked_for_is_the_only_one(runs: dict[str, Path], speeds: Callable[..., Any]) -> None:
    asked = speeds(dict.fromkeys(("torch fp32", "onnx fp32"), lambda batch: 5.0))
    runtime, choice = search.open_fastest(runs["dcgan"], device="cpu", batch=7)
    assert {batch for _, batch in asked} == {7}
    assert runtime.batch == choice.chosen.batch == 7


def test_a_batch_that_does_not_fit_is_not_chosen(
    runs: dict[str, Path], speeds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds(dict.fromkeys(("torch fp32", "onnx fp32"), lambda batch: 5.0 * batch))
    counted = rates.rate_of

    def full(runtime: Runtime, runs: int = 1) -> float:
        if runtime.batch > 4:
            runtime.fits = 4
        return counted(runtime, runs)

    monkeypatch.setattr(rates, "rate_of", full)
    assert search.open_fastest(runs["dcgan"], device="cpu")[1].chosen.batch == 4
    with pytest.raises(ConfigError, match="does not fit into memory"):
        search.open_fastest(runs["dcgan"], device="cpu", batch=16)


def test_memory_that_would_run_out_is_not_asked_for(
    runs: dict[str, Path], speeds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process grew by 1 GB for 4 images; 3 GB are left, of which 16 would take more than half."""
    asked = speeds(dict.fromkeys(("torch fp32", "onnx fp32"), lambda batch: 5.0 * batch))
    grown = {0: 10**9}
    monkeypatch.setattr(machine, "peak_memory", lambda: grown[0] + (10**9 if len(asked) > 2 else 0))
    monkeypatch.setattr(machine, "available_memory", lambda: 3 * 10**9)
    search.open_fastest(runs["dcgan"], device="cpu")
    assert max(batch for _, batch in asked) == 4


def test_images_far_from_exact_are_not_taken(
    runs: dict[str, Path], speeds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds({"torch fp32": lambda batch: 1.0, "onnx fp32": lambda batch: 1.0, "torch bf16": lambda batch: 9.0})
    monkeypatch.setitem(search.LEAST_SNR, "bf16", 99.0)
    _, choice = search.open_fastest(runs["dcgan"], device="cpu", precisions=("fp32", "bf16"))
    assert choice.chosen.precision == "fp32"
    (sentence,) = choice.left_out
    assert sentence.startswith("torch bf16 left out: its images are ")
    with pytest.raises(ConfigError, match="less than 99"):
        search.open_fastest(runs["dcgan"], device="cpu", precisions=("bf16",))


def test_without_onnxruntime_torch_is_left(
    runs: dict[str, Path], speeds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds({"torch fp32": lambda batch: 1.0})

    def missing(*_: Any, **__: Any) -> Runtime:
        raise ImportError("No module named 'onnxruntime'")

    monkeypatch.setattr(ways, "open_exported", missing)
    runtime, choice = search.open_fastest(runs["dcgan"], device="cpu")
    assert runtime.name == "torch"
    assert "onnx fp32 left out: No module named 'onnxruntime'" in str(choice)


def test_an_exported_file_has_one_way_and_its_batch_is_searched(
    exported: Callable[..., Path], speeds: Callable[..., Any]
) -> None:
    speeds({"onnx fp32": lambda batch: min(batch, 16)})
    runtime, choice = search.open_fastest(exported("dcgan"), device="cpu")
    assert (runtime.name, runtime.batch) == ("onnx", 16)
    assert {trial.runtime for trial in choice.tried} == {"onnx"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "schema": 0}),
        lambda text: text.replace('"batch": ', '"batch": -'),
        lambda text: text.replace('"fp32"', '"fp31"'),
        lambda text: text.replace('"fp32"', '"fp16"'),
        lambda text: text.replace('"batch": ', '"batch": 1'),
        lambda text: text.replace('"sha256"', '"sha257"'),
    ],
)
def test_a_broken_memory_is_measured_again(
    damage: Callable[[str], str], runs: dict[str, Path], speeds: Callable[..., Any], cache: Path
) -> None:
    asked = speeds(dict.fromkeys(("torch fp32", "onnx fp32"), lambda batch: 5.0 * batch))
    _, choice = search.open_fastest(runs["dcgan"], device="cpu")
    (file,) = (cache / "fastest").iterdir()
    assert remembered(file) == choice
    file.write_text(damage(file.read_text()))
    assert remembered(file) is None
    asked.clear()
    assert search.open_fastest(runs["dcgan"], device="cpu")[1] == choice
    assert asked
    assert remembered(file) == choice


def test_another_model_and_other_threads_are_another_question(
    runs: dict[str, Path], speeds: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds(dict.fromkeys(("torch fp32", "onnx fp32"), lambda batch: 5.0))
    count = lambda: len(list((cache / "fastest").iterdir()))  # noqa: E731
    search.open_fastest(runs["dcgan"], device="cpu")
    search.open_fastest(runs["stylegan"], device="cpu")
    assert count() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    search.open_fastest(runs["dcgan"], device="cpu")
    assert count() == 3


def test_a_cache_that_cannot_be_written_costs_time_alone(
    runs: dict[str, Path], speeds: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "file" / "cache"))
    speeds({"torch fp32": lambda batch: 5.0})
    assert search.open_fastest(runs["dcgan"], device="cpu")[0].name == "torch"


def test_a_kept_export_is_opened_again_and_mended(runs: dict[str, Path], cache: Path) -> None:
    (cache / "exported").unlink()
    first = open_generator(runs["dcgan"], device="cpu")

    def opened() -> Runtime:
        return exported_module.open_exported(
            runs["dcgan"], first.facts, device="cpu", precision="fp32", batch=2
        )

    images = opened().images(range(3), Request())
    (file,) = (cache / "exported").iterdir()
    written = file.stat().st_mtime_ns
    opened()
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:1000])
    assert np.array_equal(opened().images(range(3), Request()), images)


def test_a_way_can_be_opened_by_name(runs: dict[str, Path], exported: Callable[..., Path]) -> None:
    one = ways.open_way(runs["dcgan"], "onnx", "fp32", batch=3, device="cpu")
    other = ways.open_way(exported("dcgan"), "onnx", "fp32", batch=3, device="cpu")
    assert (one.name, one.batch, other.name) == ("onnx", 3, "onnx")
    assert np.array_equal(one.sample(4), other.sample(4))
    bf16 = ways.open_way(runs["dcgan"], "torch", "bf16", batch=3, device="cpu")
    assert (bf16.name, bf16.precision) == ("torch", "bf16")


@pytest.mark.parametrize("precisions", [("fp64",), ("int4", "fp32")])
def test_nonsense_is_refused(precisions: tuple[str, ...], runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=f"precision='{precisions[0]}' is unknown"):
        search.open_fastest(runs["dcgan"], precisions=precisions)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        search.open_fastest(tmp_path / "nowhere")


def test_memory_is_told_where_the_system_does() -> None:
    if Path("/proc/meminfo").exists():
        assert (machine.available_memory() or 0) > 10**8
        assert 10**7 < (machine.peak_memory() or 0) < 10**12


def test_a_choice_survives_json() -> None:
    trial = Trial(runtime="onnx", precision="int8", batch=16, images_per_second=12.5)
    choice = Choice(chosen=trial, tried=(trial,), left_out=("why",))
    assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice
