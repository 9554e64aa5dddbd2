"""One tiny run of each model, exported once, for all tests of inference."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastgan.exporters import export_onnx
from tests.tiny import tiny_run

MODELS = ("dcgan", "r3gan", "stylegan")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder for each model."""
    root = tmp_path_factory.mktemp("runs")
    return {name: tiny_run(root / name, name) for name in MODELS}


@pytest.fixture(scope="session")
def exported(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The .onnx file of a model, float or uint8, made when first asked for."""
    root = tmp_path_factory.mktemp("onnx")

    def get(name: str, *, uint8: bool = False) -> Path:
        path = root / f"{name}{'-uint8' if uint8 else ''}.onnx"
        if not path.exists():
            export_onnx(runs[name], path, uint8=uint8)
        return path

    return get
