"""Errors speak of parameters to who calls Python, and of options to who runs a command."""

import pytest

from fastgan import naming
from fastgan.__main__ import run
from fastgan.naming import named


def test_python_reads_of_the_parameter() -> None:
    assert named("classes") == "`classes`"
    assert named("seed", -1) == "seed=-1"
    assert named("kind", elsewhere="fastgan data pack") == "`kind`"


def test_a_command_reads_of_its_option() -> None:
    with naming.command_line():
        naming.use_options({"classes": "--class", "resolution": "--size"})
        assert named("classes", "truck") == "--class truck"
        assert named("resolution") == "--size"
        assert named("max_bad") == "--max-bad"
        assert named("max_bad", 3, elsewhere="fastgan data pack") == "--max-bad 3 of fastgan data pack"
        assert named("resolution", elsewhere="fastgan data pack") == "--size"
    assert named("classes") == "`classes`"


def test_options_are_remembered_only_while_a_command_runs() -> None:
    naming.use_options({"classes": "--class"})
    assert named("classes") == "`classes`"


def test_a_command_that_ended_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "nowhere", "--runtime", "quick"]) == 2
    assert "--runtime quick" in capsys.readouterr().err
    assert named("runtime", "quick") == "runtime='quick'"
