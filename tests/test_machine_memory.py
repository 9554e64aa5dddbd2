"""How much memory is free: what the system says, and no more than this process's own limit."""

import subprocess
import sys

import pytest

from fastgan import machine
from fastgan.errors import MemoryLimitError

CODE = "from fastgan import machine; print(machine.available_memory())"


@pytest.mark.skipif(sys.platform != "linux", reason="limits are told apart on Linux alone")
def test_the_limit_of_the_address_space_is_minded() -> None:
    command = ["bash", "-c", f'ulimit -v 2000000; exec {sys.executable} -c "{CODE}"']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2_000_000 * 1024


def test_what_would_fit_is_asked_for_only_where_it_is_needed() -> None:
    machine.require_memory(10, "it", lambda free: pytest.fail("nobody asked"), free=11)
    with pytest.raises(
        MemoryLimitError, match=r"^it would take about 2\.0 GiB of memory, and 1\.0 GiB are free: half$"
    ):
        machine.require_memory(2**31, "it", lambda free: "half" if free == 2**30 else "?", free=2**30)
