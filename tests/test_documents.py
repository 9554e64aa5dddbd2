"""Documents that may say anything: every value is of the type that was asked for, or one sentence says where not."""

import ast
import os
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from fastgan import documents
from fastgan.documents import checked, parse_json, parse_toml, read_json, read_json_lines
from fastgan.errors import DocumentError


class Inner(TypedDict):
    name: str
    size: NotRequired[float]


class Outer(TypedDict):
    items: list[Inner]
    pair: tuple[str, int]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (1, float),
        (1.5, float),
        (None, str | None),
        (["a", 3], tuple[str, int]),
        ([1.0, 2], tuple[float, ...]),
        ({"a": [1]}, dict[str, list[int]]),
        ("x", Literal["x", "y"]),
        ({"items": [{"name": "a", "other": 1}], "pair": ["a", 1]}, Outer),
        ({"deep": [1, {"x": None}]}, dict[str, Any]),
    ],
)
def test_takes_what_is_of_the_type(value, kind) -> None:
    assert checked(value, kind, "x.json") == value


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        (True, int, "x.json should be a whole number, and is True"),
        (10**400, float, "x.json should be a number, and is a number of more than 300 digits"),
        (10**4000, int, "x.json should be a whole number, and is a number of more than 300 digits"),
        (2**63, int, "x.json should be a whole number, and is 9223372036854775808"),
        ("a", int | None, "x.json should be a whole number or null, and is 'a'"),
        ([1], dict[str, Any], "x.json should be a table of names and values, and is a list"),
        ({"a": {"b": [1, "c"]}}, dict[str, dict[str, list[int]]], "x.json: a.b[1] should be a whole number"),
        (["a"], tuple[str, int], "x.json should be a list of 2, and is one of 1"),
        (
            {"items": [{"size": 2}], "pair": ["a", 1]},
            Outer,
            "x.json: items[0].name should be text, and is missing",
        ),
        ({"items": [{"name": 5}], "pair": ["a", 1]}, Outer, "x.json: items[0].name should be text, and is 5"),
        ("z", Literal["x", "y"], "x.json should be 'x' or 'y', and is 'z'"),
        ("\x1b[31m", int, r"and is '\x1b[31m'"),
    ],
)
def test_says_the_first_key_that_is_not(value, kind, sentence: str) -> None:
    with pytest.raises(DocumentError) as error:
        checked(value, kind, "x.json")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{",
        "",
        b"\xff",
        '{"a": ' + "1" * 5000 + "}",
        "[" * 5000 + "]" * 5000,
        "[" * 150 + "]" * 150,
    ],
    ids=range(7),
)
def test_no_json_is_one_sentence(text: str | bytes) -> None:
    with pytest.raises(DocumentError, match=r"^x\.json is "):
        parse_json(text, Any, "x.json")


@pytest.mark.parametrize(
    "text",
    ["a = [" * 5000, "a = ", "a = " + "1" * 5000, "a = " + "[" * 5000 + "]" * 5000, "[" + "a." * 500 + "a]"],
)
def test_no_toml_is_one_sentence(text: str) -> None:
    with pytest.raises(DocumentError, match=r"^x\.toml is "):
        parse_toml(text, "x.toml")


def test_nothing_else_in_the_package_parses_json_or_toml() -> None:
    """By the source: whoever reads a document does so by `fastgan.documents`, with a type and with limits."""
    package = Path(documents.__file__).parent
    parsers = {"load", "loads", "JSONDecoder", "tomllib", "tomli", "toml", "orjson", "ujson", "simplejson"}
    found = []
    for path in sorted(package.rglob("*.py")):
        if path.name == "documents.py" and path.parent == package:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module), *(alias.name for alias in node.names if node.module == "json")]
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "json"
            ):
                names = [node.attr]
            found += [
                f"{path.relative_to(package)}: {name}" for name in names if name.split(".")[0] in parsers
            ]
    assert found == []


def test_a_bad_line_is_left_out_and_counted(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n[1]\n\xff\n\n{"a": 2}\n{"a": ')
    assert read_json_lines(path, dict[str, int]) == ([{"a": 1}, {"a": 2}], 3)


def test_a_document_over_the_limit_is_refused_unread(tmp_path, monkeypatch) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"a": "' + "x" * 3_000_000 + '"}')
    with pytest.raises(OSError, match="FASTGAN_MAX_FILE=4MB"):
        read_json(path, Any, limit=10**6)
    monkeypatch.setenv("FASTGAN_MAX_FILE", "4MB")
    assert len(read_json(path, dict[str, str], limit=10**6)["a"]) == 3_000_000


@pytest.mark.parametrize("after", [b"", b'\n{"a": 2}\n'])
def test_an_endless_line_is_one_that_is_left_out(tmp_path: Path, after: bytes) -> None:
    """A log that was grown without blocks: 40 GiB of zeros are not read."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    os.truncate(path, (100 << 20) if after else 40 << 30)
    with path.open("ab") as file:
        file.write(after)
    assert read_json_lines(path, dict[str, int]) == ([{"a": 1}, *([{"a": 2}] if after else [])], 1)
