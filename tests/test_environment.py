"""Variables of the environment: a value that fastgan does not know is refused, never ignored."""

import os
import subprocess
import sys

import pytest

from fastgan import environment, tensor_file
from fastgan.__main__ import run
from fastgan.errors import ConfigError
from fastgan.files import cache_folder
from fastgan.machine import threads_asked


@pytest.mark.parametrize("name", ["FASTGAN_OPS", "FASTGAN_ISA"])
def test_unknown_ops_and_instruction_sets_are_refused(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastgan", "train", "photos"],
        env={**os.environ, name: "nope"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{name}=nope is unknown: set it to one of" in done.stderr


def test_values_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("base", "avx2", "avx512", "avx512bf16"):
        monkeypatch.setenv("FASTGAN_ISA", value)
        assert environment.isa() == value
    monkeypatch.setenv("FASTGAN_OPS", "")  # as good as not set
    assert environment.ops() == "auto"
    for value, expected in (("0", False), ("1", True), ("", True)):
        monkeypatch.setenv("FASTGAN_VERIFY", value)
        assert tensor_file.verifies() is expected


def test_flags_are_0_or_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FASTGAN_VERIFY", "no")
    with pytest.raises(ConfigError, match="FASTGAN_VERIFY=no is unknown: set it to one of 1, 0"):
        tensor_file.verifies()
    monkeypatch.setenv("FASTGAN_DEBUG", "ja\x1b[1m")
    assert run(["--version"]) == 2
    assert (
        r"FASTGAN_DEBUG=ja\x1b[1m is unknown: set it to one of 0, 1, or unset it." in capsys.readouterr().err
    )


def test_the_cache_is_a_folder_or_not_there_yet(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "new"))
    assert cache_folder() == tmp_path / "new"
    (tmp_path / "new").write_text("")
    with pytest.raises(ConfigError, match="new is not a folder: name one, or unset it"):
        cache_folder()


@pytest.mark.parametrize("value", ["9" * 5000, "²", "many", ""])
def test_threads_that_are_no_number_are_not_asked_for(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_asked() == 0
