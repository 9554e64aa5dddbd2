"""The tiny runs that tests of inference use, too."""

from tests.inference.conftest import exported, runs

__all__ = ["exported", "runs"]
