"""What is handed out: a source distribution that is the whole checkout, a library without debug information."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import fastgan
from fastgan import ops

ROOT = Path(__file__).resolve().parents[1]


def _tracked() -> set[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("only a git checkout says which files are its own")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}


def _set_up(tree: Path, tracked: set[str], *command: str) -> None:
    """Run a command of setup.py in a copy of the checkout."""
    for name in tracked:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    no_compiler = os.environ | {"CXX": "none"}  # torch, which only a build needs, is then not imported
    called = [sys.executable, "setup.py", "-q", *command]
    subprocess.run(called, cwd=tree, check=True, capture_output=True, env=no_compiler)


def test_the_source_distribution_holds_every_file_of_the_checkout(tmp_path: Path) -> None:
    tracked = _tracked()
    _set_up(tmp_path / "tree", tracked, "sdist", "--dist-dir", str(tmp_path / "dist"))
    (archive,) = (tmp_path / "dist").iterdir()
    assert archive.name == f"fastgan-{fastgan.__version__}.tar.gz"
    with tarfile.open(archive) as file:
        packed = {name.partition("/")[2] for name in file.getnames()}
    assert tracked - packed <= {".gitignore"}


def test_what_is_installed_has_every_file_of_the_package(tmp_path: Path) -> None:
    """Presets, templates and styles of pages, and py.typed, beside the code."""
    tracked = _tracked()
    _set_up(tmp_path / "tree", tracked, "build_py", "--build-lib", str(tmp_path / "lib"))
    mine = {name for name in tracked if name.startswith("fastgan/")}
    assert any(name.endswith(".html.j2") for name in mine)
    assert not [name for name in mine if not (tmp_path / "lib" / name).is_file()]


def test_the_image_is_built_from_all_that_a_wheel_needs() -> None:
    """The container's build sees only what the .dockerignore file lets through."""
    let_through = {
        line[1:] for line in (ROOT / "tools/Dockerfile.dockerignore").read_text().split() if line[0] == "!"
    }
    assert {"pyproject.toml", "setup.py", "csrc", "fastgan", "README.md"} <= let_through
    assert all((ROOT / name).exists() for name in let_through)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into an ELF file")
def test_the_library_carries_no_debug_information() -> None:
    if ops.backend() != "native":
        pytest.skip("the extension is not built here")
    (library,) = (ROOT / "fastgan").glob("_C.*.so")
    assert b".debug_info" not in library.read_bytes()
