"""What `fastgan eval` left in a run stands in its report."""

import json
from pathlib import Path

from fastgan.metrics import card
from fastgan.pages.document import render
from fastgan.report.cards import protocol, read_cards


def table(cards: dict) -> str:
    return render("report/cards.html.j2", cards=cards, protocol=protocol)


def made(value: float) -> dict:
    return card.card(
        {"kid[random-conv]": value, "fid[<b>]": float("nan")},
        {"generated_n": 500, "reference_n": 2000, "reference_sha256": "ab" * 32, "truncation": 0.7},
        {"seeds": "0-499", "cur_nimg": 4000},
        {"fastgan": "0.1.0"},
        ["too few"],
    )


def test_cards_become_a_table(tmp_path: Path) -> None:
    card.write(tmp_path / "eval.json", made(0.0123456))
    card.write(tmp_path / "eval-2.json", made(0.5))
    (tmp_path / "other.json").write_text('{"format": "else"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "hollow.json").write_text(json.dumps({"format": card.FORMAT, "scores": 3}))
    (tmp_path / "cut.json").write_text('{"format": "fast')
    found = read_cards(tmp_path)
    assert [*found] == ["eval-2.json", "eval.json"]
    html = table(found)
    for wanted in (
        "<td>0.012346</td>",
        "fid[&lt;b&gt;]",
        "generated: 500, at 4000 images",
        "truncation 0.7",
        "too few",
    ):
        assert wanted in html


def test_a_run_without_cards_has_no_section(tmp_path: Path) -> None:
    assert table(read_cards(tmp_path)).strip() == ""
