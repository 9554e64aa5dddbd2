"""Only regular files are read; only regular files are replaced."""

import os
import stat
from pathlib import Path

import pytest
import torch

from fastgan.errors import ConfigError, OutputError
from fastgan.files import atomic_folder, atomic_write, open_regular, read_bytes, size_limit
from fastgan.tensors import save_tensors
from fastgan.text import quoted, shown


def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(OSError, match="is a named pipe, not a regular file"):
        open_regular(tmp_path / "x.png")


def test_a_link_to_a_device_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="is a device, not a regular file"):
        read_bytes(tmp_path / "x.png")
    with pytest.raises(OSError, match="is a folder, not a regular file"):
        open_regular(tmp_path)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("5000", 5000), ("3KB", 3000), ("2GB", 2 * 10**9), ("7 M", 7 * 10**6), ("1", 1000)]
)
def test_the_limit_is_raised_by_name(monkeypatch, text: str, bytes_: int) -> None:
    monkeypatch.setenv("FASTGAN_MAX_FILE", text)
    assert size_limit(1000) == bytes_


@pytest.mark.parametrize("text", ["nan", "-1", "1e9", "lots", "9" * 30])
def test_a_limit_that_is_no_size_is_refused(monkeypatch, text: str) -> None:
    monkeypatch.setenv("FASTGAN_MAX_FILE", text)
    with pytest.raises(ConfigError, match="is no size"):
        size_limit(1000)


def test_outputs_replace_regular_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/full")
    for name in ("pipe", "link"):
        with pytest.raises(OutputError, match="cannot write"), atomic_write(tmp_path / name) as file:
            file.write_text("x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "file").write_text("old")
    (tmp_path / "link").symlink_to("to/file")
    with atomic_write(tmp_path / "link") as file:
        file.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "to" / "file").read_text() == "new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_what_is_written_is_as_public_as_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "a.safetensors") as file:
            save_tensors(file, {"x": torch.ones(2)})
        with atomic_folder(tmp_path / "b") as folder:
            save_tensors(folder / "a.safetensors", {"x": torch.ones(2)})
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.safetensors", "b/a.safetensors")]
    assert modes == [mode, mode]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Zürich 東京 x.png", "Zürich 東京 x.png"),
        ("a\x1b[31mb\n\u202egnp.exe", r"a\x1b[31mb\n\u202egnp.exe"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
    ],
)
def test_names_are_shown_without_what_a_terminal_obeys(text: str, safe: str) -> None:
    assert shown(text) == safe


@pytest.mark.parametrize("name", [b"plain", b"my photos/a'b", b"caf\xe9 \x1b'", "東京 1".encode()])
def test_a_quoted_path_is_one_word_for_a_shell(name: bytes) -> None:
    import subprocess

    command = f"printf %s {quoted(os.fsdecode(name))}"
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout == name
