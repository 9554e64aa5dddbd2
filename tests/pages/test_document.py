"""One environment makes every page: what it is given is text, and nothing else in the package makes markup."""

import ast
from pathlib import Path

import jinja2
import pytest

import fastgan
from fastgan.pages import document

PACKAGE = Path(fastgan.__file__).parent
TEMPLATES = sorted(PACKAGE.rglob("*.html.j2"))
DRAW = {"pages/curves.py", "study/figures.py"}  # SVG, by hand


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_a_template_compiles_and_trusts_nothing_but_drawings_of_ours(path: Path) -> None:
    document._environment().get_template(named(path))
    source = path.read_text()
    assert "safe" not in source
    assert "autoescape" not in source
    assert source.count("| svg") == {"report/page.html.j2": 1, "study/page.html.j2": 1}.get(
        named(path), named(path) == "study/scenario.html.j2"
    )


def test_nothing_else_makes_html() -> None:
    for path in PACKAGE.rglob("*.py"):
        roots = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                roots.add(node.module.split(".")[0])
        assert not roots & {"jinja2", "markupsafe"} or named(path) == "pages/document.py"
        assert "html" not in roots or named(path) in DRAW, f"{named(path)} escapes by hand"


def test_a_value_that_is_not_there_is_an_error_and_no_gap() -> None:
    with pytest.raises(jinja2.UndefinedError, match="cards"):
        document.render("report/cards.html.j2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ x }}", "&lt;b&gt;&amp;&#34;&#39;"),
        ("{{ [x] | join }}", "&lt;b&gt;&amp;&#34;&#39;"),
        ("{{ x | upper }}", "&lt;B&gt;&amp;&#34;&#39;"),
        ("{{ 12345 | number }} {{ 0.1234 | percent }} {{ 0.5 | percent('+.0f') }}", "12,345 12.3 +50"),
        ("{{ 1500 | label }} {{ 65 | clock }} {{ 0.012345678 | number('.3g') }}", "1,500 1:05 0.0123"),
    ],
)
def test_values_are_escaped_and_numbers_written_alike(text: str, expected: str) -> None:
    assert document._environment().from_string(text).render(x="<b>&\"'") == expected
