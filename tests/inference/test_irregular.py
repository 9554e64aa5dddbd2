"""A folder of images that holds more than images of ours: copies, hidden files, links and pipes of the user's."""

import os
from pathlib import Path

import pytest

from fastgan.errors import OutputError
from fastgan.files import open_new, write_json
from fastgan.inference.folder import OutputFolder, is_ours
from fastgan.inference.manifest import manifests
from fastgan.inference.verify import verify
from tests.inference.fakes import SETTINGS, write


def test_a_copied_manifest_is_no_manifest(tmp_path: Path) -> None:
    write(tmp_path, range(3))
    whole = (tmp_path / "manifest.jsonl").read_bytes()
    for name in ("manifest (copy).jsonl", "manifest.bak.jsonl", "manifest-1-of-2.jsonl"):
        (tmp_path / name).write_bytes(whole.replace(b"seed0000000", b"seed0000001"))
    assert [path.name for path in manifests(tmp_path)] == ["manifest.jsonl"]
    assert verify(tmp_path).whole


@pytest.mark.parametrize("name", [".git", ".notes.part", ".fastgan.toml", ".manifest.notes.lock"])
def test_hidden_files_of_the_users_are_not_taken_for_ours(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(OutputError, match="is not empty"):
        OutputFolder(tmp_path, {})
    OutputFolder(tmp_path, {}, overwrite=True)
    OutputFolder(tmp_path, {}, overwrite=True)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    "name", [".seed00000000.png.part", ".grid.fastgan-abcd_123.png", ".manifest.jsonl.part", ".fastgan.lock"]
)
def test_what_a_killed_process_left_is_in_nobodys_way(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    OutputFolder(tmp_path, {})
    OutputFolder(tmp_path, {}, overwrite=True)
    assert name == ".fastgan.lock" or not (tmp_path / name).exists()
    assert not is_ours(name)


def test_a_pipe_where_an_image_is_being_written_is_not_fed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".seed00000000.png.part")
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".seed00000001.png.part").symlink_to("precious")
    write_json(tmp_path / "fastgan.json", SETTINGS)
    write(tmp_path, range(2))
    assert (tmp_path / "precious").read_text() == "mine"
    assert all((tmp_path / f"seed0000000{k}.png").is_file() for k in range(2))


def test_an_image_that_is_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "seed00000000.png").symlink_to("/dev/null")
    write_json(tmp_path / "fastgan.json", SETTINGS)
    with pytest.raises(OutputError, match="is a link or no regular file"):
        write(tmp_path, range(2))
    assert (tmp_path / "seed00000000.png").is_symlink()


def test_a_manifest_that_is_a_pipe_is_told_of(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.jsonl")
    write_json(tmp_path / "fastgan.json", SETTINGS)
    with pytest.raises(OutputError, match="is a named pipe"):
        write(tmp_path, range(2))


def test_a_new_file_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to("precious")
    with open_new(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "link").read_text() == "new"
