"""`fastgan doctor` on machines that have this or lack that."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastgan import doctor, machine, onnx_probe
from fastgan.__main__ import run
from fastgan.doctor import Finding


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that exactly these packages are installed."""

    def pretend(*packages: str) -> None:
        monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name in packages else None)

    return pretend


@pytest.fixture
def build_info(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that the ops were built like this."""

    def pretend(**info: object) -> None:
        defaults = {"native": True, "cuda": False, "reason": "", "cuda_reason": "", "isa": "x86-64-v3"}
        ops = SimpleNamespace(build_info=lambda: defaults | info)
        monkeypatch.setattr(doctor, "_import", lambda name: ops)

    return pretend


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings}


def test_this_machine_is_healthy_in_words_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The tests run, so what fastgan needs is here; the two forms tell the same."""
    assert run(["doctor"]) == 0
    words = capsys.readouterr().out
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert {f["name"] for f in report["findings"]} >= {"python", "torch", "native ops", "onnxruntime", "disk"}
    steady = [f for f in report["findings"] if f["name"] != "disk"]  # others write between the two calls
    assert all(f["text"] in words and f["mend"] in words for f in steady)


def test_something_broken_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Finding(name="torch", state="broken", text="cannot be imported", mend="pip install torch")
    monkeypatch.setattr(doctor, "examine", lambda: [broken])
    assert run(["doctor"]) == 1
    words = capsys.readouterr().out
    assert "BROKEN" in words
    assert "-> pip install torch" in words


def test_reference_ops_are_said_loudly_with_the_reason(build_info: Callable[..., None]) -> None:
    build_info(native=False, reason="no compiler was found")
    (finding,) = doctor._native_ops()
    assert finding.state == "warning"
    assert "SLOW REFERENCE OPS" in finding.text
    assert finding.mend == "no compiler was found"


@pytest.mark.parametrize(("gpus", "state"), [(0, "note"), (1, "warning")])
def test_missing_cuda_kernels_matter_where_there_is_a_gpu(
    gpus: int, state: str, build_info: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_info(cuda_reason="nvcc was not there")
    monkeypatch.setattr(doctor, "_gpu_count", lambda: gpus)
    assert states(doctor._native_ops()) == {"native ops": "ok", "CUDA kernels": state}


def test_both_onnxruntimes_are_a_warning(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(onnx_probe, "usable_providers", lambda: ["CPU"])
    first, second = doctor._onnxruntime()
    assert (first.state, second.state) == ("warning", "ok")
    assert "uninstall" in first.mend


def test_no_onnxruntime_is_broken(installed: Callable[..., None]) -> None:
    installed()
    assert states(doctor._onnxruntime()) == {"onnxruntime": "broken"}


def test_an_onnxruntime_that_cannot_run_is_broken(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[str]:
        raise ImportError("libonnxruntime.so: cannot open shared object file")

    installed("onnxruntime")
    monkeypatch.setattr(onnx_probe, "usable_providers", broken)
    (finding,) = doctor._onnxruntime()
    assert finding.state == "broken"
    assert "libonnxruntime.so" in finding.text


def test_the_probe_runs_a_model_on_the_cpu_at_least() -> None:
    assert "CPU" in onnx_probe.usable_providers()


def test_a_package_that_cannot_be_imported_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        return "ImportError: gone" if name == "rich" else SimpleNamespace()

    monkeypatch.setattr(doctor, "_import", broken)
    assert states(doctor._packages())["rich"] == "broken"
    assert states(doctor._packages())["numpy"] == "ok"


def test_a_small_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    assert states(doctor._disk()) == {"disk": "warning"}


def test_no_compiler_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert machine.compiler() is None
    assert states(doctor._compiler()) == {"C++ compiler": "note"}


def test_bf16_path_of_known_processors() -> None:
    def cpu(*isa: str) -> machine.Processor:
        return machine.Processor(name="x", cores=1, memory_gib=None, isa=isa)

    assert cpu("avx2").bf16 is None
    assert cpu("avx512f", "avx512_bf16").bf16 == "AVX512-BF16"
    assert cpu("avx512_bf16", "amx_bf16").bf16 == "AMX"
