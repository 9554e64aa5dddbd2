"""The optional packages: one table, the same as pyproject.toml's, and messages that name a line that works."""

import importlib
import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from fastgan import doctor, extras

ROOT = Path(__file__).resolve().parents[1]
FOR_DEVELOPERS = {"test", "dev"}


def test_the_table_is_that_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {k: tuple(v) for k, v in project["optional-dependencies"].items() if k not in FOR_DEVELOPERS}
    assert {name: packages for name, (_, packages) in extras.EXTRAS.items()} == declared


def test_no_message_and_no_page_names_an_extra_that_is_not_there() -> None:
    import re

    pages = [*(ROOT / "fastgan").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    named = {name for page in pages for name in re.findall(r"fastgan\[(\w+)\]", page.read_text())}
    assert named <= extras.EXTRAS.keys() | FOR_DEVELOPERS


def test_doctor_lists_every_extra_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(extras, "version", nothing)
    found = {finding.name: finding for finding in doctor._extras()}
    for name, (purpose, packages) in extras.EXTRAS.items():
        finding = found[f"extra {name}"]
        assert finding.state == "note"
        assert purpose in finding.text
        assert finding.mend.startswith("pip install ")
        assert all(package in finding.mend for package in packages)
