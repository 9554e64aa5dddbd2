"""Device and tolerance rules, shared by every test.

`FASTGAN_TEST_DEVICE=cuda` runs the same tests on a GPU. A tolerance is derived, never guessed: at most twice
the error that torch itself makes at that dtype against float64 (see `assert_close_to_float64`).
"""

import os
import signal
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

DEVICE = torch.device(os.environ.get("FASTGAN_TEST_DEVICE", "cpu"))


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the tests run: FASTGAN_TEST_DEVICE, the CPU unless it is set."""
    return DEVICE


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def hangups_heard() -> Iterator[None]:
    """Under nohup SIGHUP is ignored, and processes inherit that: those that this test starts hear it all the same."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
