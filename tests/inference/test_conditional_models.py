"""The conditional form of every model: made by name, exported, and in figures, the same in each runtime."""

from pathlib import Path

import numpy as np
import pytest

from fastgan.exporters import export_onnx
from fastgan.inference import open_generator
from fastgan.inference.conditions import Request
from fastgan.inference.figures import Walk
from fastgan.seeds import latents
from fastgan.training import checkpoint
from tests.inference.conftest import MODELS
from tests.tiny import tiny_run

CONDITIONS = {
    "dcgan": {"classes": 3},
    "r3gan": {"attributes": 2},
    "stylegan": {"classes": 3, "attributes": 2},
}


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("conditional")
    return {name: tiny_run(root / name, name, **CONDITIONS[name]) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_in_every_form(name: str, conditional: dict[str, Path], tmp_path: Path) -> None:
    run, release = conditional[name], tmp_path / "model.safetensors"
    checkpoint.save_release(release, checkpoint.load(run))
    done = export_onnx(run, tmp_path / "m.onnx")
    assert done.checks[0].difference < 1e-4
    expected = open_generator(run).sample(40)
    np.testing.assert_array_equal(open_generator(release).sample(40), expected)
    difference = np.abs(open_generator(tmp_path / "m.onnx", batch=7).sample(40).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_what_is_asked_for_changes_the_image(name: str, conditional: dict[str, Path]) -> None:
    model = open_generator(conditional[name])
    asked = [{"classes": f"class{k}"} for k in range(2)] if "classes" in CONDITIONS[name] else []
    asked += [{"attributes": {"attribute1": k}} for k in range(2)] if "attributes" in CONDITIONS[name] else []
    images = [model.sample(4, **one).astype(int) for one in asked]
    for k in range(0, len(images), 2):
        assert np.abs(images[k] - images[k + 1]).mean() > 2


def test_styles_are_of_the_condition(conditional: dict[str, Path]) -> None:
    model = open_generator(conditional["stylegan"])
    request = model.request(0.7, 4, classes="class1,class2")
    z, c = latents([5, 6], 16), model.conditions([5, 6], request)
    images = model.images([5, 6], request).astype(int)
    assert np.abs(model.synthesise(model.styles(z, c, request)) - images).max() <= 1
    assert np.abs(Walk(model, [5, 6], request).images([0.0, 1.0]) - images).max() <= 1
    with pytest.raises(ValueError, match="c is missing"):
        model.styles(z, None, Request())
