"""The code in docs/inference.md runs as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fastgan.exporters import export_onnx
from fastgan.seeds import latents
from tests.tiny import tiny_run

DOCS = Path(__file__).parents[2] / "docs" / "inference.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_cpp_gives_the_same_latents_to_the_last_bit(tmp_path: Path) -> None:
    (code,) = blocks("cpp")
    main = (
        "#include <cstdio>\n"
        "int main() { for (uint64_t k = 0; k < 400; ++k) { const auto z = latent(k * 0x9E3779B97F4A7C15u, 263);"
        " std::fwrite(z.data(), sizeof(float), z.size(), stdout); } }\n"
    )
    (tmp_path / "latents.cpp").write_text(code + main)
    compiled = ["c++", "-std=c++17", "-O1", "-Wall", "-Werror", "-o", "latents", "latents.cpp"]
    subprocess.run(compiled, cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "latents"], check=True, capture_output=True).stdout
    expected = latents([k * 0x9E3779B97F4A7C15 % 2**64 for k in range(400)], 263)
    assert expected.size > 100_000
    assert found == expected.tobytes()


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(tmp_path / "runs" / "0007", "stylegan")
    export_onnx(run, tmp_path / "model.onnx", uint8=True)
    monkeypatch.chdir(tmp_path)
    writing, _sharing, required, calling, mixing = blocks("python")  # sharing: tests/api/test_hub.py
    assert "n=100_000" in writing
    exec(
        writing.replace("n=100_000", "n=10").replace('g.grid(classes="all")', ""), {}
    )  # this model has no classes
    names: dict[str, np.ndarray] = {}
    exec(required, {})  # the project's own documentation
    exec(calling, names)
    assert names["images"].shape == (3, 16, 16, 3)
    assert (names["images"] != names["truncated"]).any()
    promoted = onnxruntime.InferenceSession("model-psi.onnx")
    assert [value.name for value in promoted.get_inputs()] == ["z", "truncation_psi"]
    fed = {"z": names["z"], "truncation_psi": np.array(0.7, np.float32)}
    np.testing.assert_array_equal(promoted.run(None, fed)[0], names["truncated"])
    exec(mixing, names)
    assert names["image"].shape == (1, 16, 16, 3)
