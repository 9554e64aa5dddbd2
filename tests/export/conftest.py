"""One tiny run of each model for all tests of exporting."""

from pathlib import Path

import pytest

from fastgan import models
from tests.tiny import tiny_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder for each model."""
    root = tmp_path_factory.mktemp("runs")
    return {name: tiny_run(root / name, name) for name in models.names()}
