"""Only what fastgan named is a run's own: copies, links and hidden folders of the user's stay, and stop nothing."""

import io
import os
import stat
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import torch

from fastgan import ownership
from fastgan.api.describing import describe
from fastgan.errors import CheckpointError, FastganError
from fastgan.report import read as report
from fastgan.training import checkpoint, folder
from fastgan.training.log import Log
from tests.tiny import tiny_run


def save(run: Path, nimg: int, keep: int = 1) -> None:
    state = {"cur_nimg": nimg, "config": {"model": {"name": "dcgan"}}}
    checkpoint.save(run, model={"g.x": torch.ones(2)}, optimizer={}, state=state, keep=keep)


def test_saving_deletes_older_checkpoints_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path, 160)
    folders = tmp_path / "checkpoints"
    theirs = ["000000160.bak", "000000160 (copy)", "160", "000000999x", ".keep", "0000000160"]
    for name in theirs:
        (folders / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folders / "000000080").symlink_to(tmp_path / "elsewhere")
    save(tmp_path, 320)
    assert sorted(path.name for path in folders.iterdir()) == sorted([*theirs, "000000080", "000000320"])
    assert checkpoint.earlier(tmp_path, 0) == folders / "000000320"
    (tmp_path / "config.toml").touch()
    assert describe(tmp_path)["checkpoints"] == ["000000080", "000000320"]


def test_checkpoints_are_counted_by_number_also_past_nine_digits(tmp_path: Path) -> None:
    for nimg in (999_999_999, 1_000_000_007):
        save(tmp_path, nimg, keep=2)
    assert [path.name for path in ownership.checkpoints(tmp_path)] == ["999999999", "1000000007"]
    save(tmp_path, 1_000_000_008, keep=2)
    assert [path.name for path in ownership.checkpoints(tmp_path)] == ["1000000007", "1000000008"]


def test_a_copy_of_a_grid_is_neither_deleted_nor_shown_nor_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "grids").mkdir()
    for name in ("000000200.png", "000000400.png", "000000200 (copy).png", "000000300 alt.png", "9.png"):
        (tmp_path / "grids" / name).touch()
    (tmp_path / "config.toml").touch()
    Log(tmp_path, 200, lambda text: None)
    assert [path.name for path in report.read(tmp_path).grids] == ["000000200.png"]
    assert len(list((tmp_path / "grids").iterdir())) == 4


def test_a_killed_process_leaves_what_the_next_one_removes_and_only_that(tmp_path: Path) -> None:
    killed = [
        "checkpoints/.000000160.removed",
        "checkpoints/.000000160.fastgan-abcd_123",
        "checkpoints/.000000160.fastgan-old-abcd_123",
    ]
    theirs = ["checkpoints/.000000160.bak", "checkpoints/.git", "checkpoints/.000000160.original", ".hidden"]
    for name in [*killed, *theirs]:
        (tmp_path / name).mkdir(parents=True)
    files = [".latest.fastgan-abcd_123", ".config.fastgan-abcd_123.toml", "checkpoints/.notes"]
    for name in files:
        (tmp_path / name).touch()
    with folder.locked(tmp_path):
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {*theirs, "checkpoints/.notes", "checkpoints", ".lock"}


def test_a_run_that_cannot_begin_leaves_what_was_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").touch()
    for name in ("config.toml", "data.fgd"):
        (tmp_path / name).touch()
    folder.clear(tmp_path, {".git"})
    assert [path.name for path in tmp_path.iterdir()] == [".git"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_checkpoints_and_releases_are_as_public_as_the_umask_says(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        run = tiny_run(tmp_path / "run", "dcgan")
        checkpoint.save_release(run / "generator.safetensors", checkpoint.load(run))
    finally:
        os.umask(before)
    files = [path for path in run.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {mode}
    assert len(files) == 5


@pytest.mark.parametrize(
    "name", ["latest", "state.json", "model.safetensors", "optimizer.safetensors", "generator.safetensors"]
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_told_of_and_not_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    run = tiny_run(tmp_path / "run", "dcgan")
    found = [path for path in run.rglob(name) if path.is_file()]
    target = found[0] if found else run / name
    target.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError):
        checkpoint.load_generator(target) if name.startswith("generator") else checkpoint.load(run)


@pytest.mark.parametrize("name", ["log.jsonl", "events.jsonl", ".lock"])
def test_a_log_that_is_a_pipe_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    def use() -> None:
        with folder.locked(tmp_path):
            log = Log(tmp_path, 0, lambda text: None)
            log.write({"cur_nimg": 1})
            log.event("kind", "text", 1, 0.0)

    with pytest.raises(OSError, match="is a named pipe"):
        use()


def test_a_pointer_that_is_no_text_is_no_pointer(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", "dcgan")
    for content in (b"\xff\xfe", b"x" * 5000, b"", b"a\0b", b"../../elsewhere"):
        (run / "latest").write_bytes(content)
        with pytest.raises(CheckpointError):
            checkpoint.locate(run)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize("name", ["latest", "state.json", "model.safetensors", "generator.safetensors"])
def test_a_file_of_somebody_else_is_called_not_permitted_and_not_damaged(name: str, tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", "dcgan")
    checkpoint.save_release(run / "generator.safetensors", checkpoint.load(run))
    target = next(path for path in run.rglob(name) if path.is_file())
    target.chmod(0o600)
    for parent in (run, *run.parents):  # pytest's own folders are private
        parent.chmod(parent.stat().st_mode | 0o755)
    sentence = _as_nobody(lambda: checkpoint.load_generator(target if name.startswith("generator") else run))
    assert "ermission denied" in sentence
    assert "cut short" not in sentence


def _as_nobody(call) -> str:
    """What the FastganError or OSError says that `call` raises in a process without rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            call()
            said = "no error"
        except (FastganError, OSError) as error:
            said = str(error)
        except BaseException as error:
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root may become somebody else")
def test_a_source_of_somebody_else_is_called_not_permitted(tmp_path: Path) -> None:
    from fastgan.__main__ import run

    (tmp_path / "release.safetensors").touch(0o600)
    for parent in (tmp_path, *tmp_path.parents):
        parent.chmod(parent.stat().st_mode | 0o755)

    def call() -> None:
        said = io.StringIO()
        with redirect_stderr(said):
            run(["generate", str(tmp_path / "release.safetensors")])
        raise FastganError(said.getvalue())

    assert "cannot be read: permission denied" in _as_nobody(call)
