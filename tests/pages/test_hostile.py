"""Names and words of others, in whatever place a page has for them, change nothing of its structure."""

import json
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fastgan.api.tables import html_table
from fastgan.benchmark.page import render as bench_page
from fastgan.report.page import render as run_page
from fastgan.report.read import read
from fastgan.report.real import Real
from fastgan.study.page import render as study_page

HARMLESS = "word"
HOSTILE = [
    "<script>fuzz()</script>",
    '"><img src=x onerror=fuzz()>',
    "' onmouseover='fuzz()",
    "</style></title></svg><b>",
    "{{ 7 * 7 }}{% raw %}&amp;<!--",
    "\u202e\u2066\x07\x1b[2J",
]


class Structure(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[object] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attributes)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data


def run(folder: Path, word: str) -> str:
    """The page of a run with `word` in all of its files."""
    state = {
        "precision": word,
        "stopped": word,
        "best": {"metric": word, "value": 2.0, "cur_nimg": 4},
        "data": {"images": 5, "content_hash": word},
        "machine": {word: word, "other": [word]},
        "versions": {"python": word},
    }
    card = {
        "format": "fastgan.eval",
        "scores": {word: 1.0},
        "protocol": {"generated_n": word, "truncation": word, "reference_sha256": word},
        "generated": {"seeds": word},
        "warnings": [word],
    }
    events = [{"cur_nimg": 4, "kind": word, "text": word}]
    (folder / "grids").mkdir(parents=True)
    (folder / "checkpoints/000000004").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "grids/000000004.png")
    quoted = json.dumps(word)
    settings = f"[model]\nname = {quoted}\n[data]\nsource = {quoted}\n[{quoted}]\n{quoted} = {quoted}\n"
    (folder / "config.toml").write_text(settings)
    lines = [{"cur_nimg": n, word: 1.0, "loss_d": 0.5} for n in (2, 4)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "checkpoints/000000004/state.json").write_text(json.dumps(state))
    (folder / "latest").write_text("checkpoints/000000004\n")
    (folder / "eval.json").write_text(json.dumps(card))
    return run_page(read(folder), Real(word, np.zeros((1, 8, 8, 3), np.uint8)))


def bench(folder: Path, word: str) -> str:
    """The page of a benchmark of a model, on a machine and with contenders called `word`."""
    rate = {"median": 2.0, "q1": 1.0, "q3": 3.0}
    row = {
        "model": word,
        "batch": 4,
        "images_per_second": {"fastgan": rate, word: rate},
        "speedup": {word: rate},
    }
    document = {
        "device": word,
        "processor": {"name": word, "cores": 2},
        "threads": 1,
        "ops": {"isa": word},
        "versions": {"torch": word, "fastgan": word},
        "backend": word,
        "commit": word,
        "date": word,
        "sections": {"train": {"quick": True, "rows": [row]}},
    }
    return bench_page(document)


def study(folder: Path, word: str) -> str:
    """The page of a study of two scenarios, whose classes and arms are called `word`."""
    number = {"mean": 0.5, "interval": [0.4, 0.6]}
    against = number | {"p_holm": 0.02}
    measures = dict.fromkeys(("accuracy", "macro_f1", "gap", "calibration_error", "main"), number)
    counts = {"real_images": 8, "val": 0.5, "confusion": [[3, 1], [0, 4]]}
    kept = {"synthetic": False, "synthetic_images": 0, "filter": None, "over_best": None, "over_same": None}
    added = {
        "synthetic": True,
        "synthetic_images": 8,
        "filter": {word: 2},
        "over_best": against,
        "over_same": against,
    }
    arms = [
        measures | counts | kept | {"name": word, "ceiling": False},
        measures | counts | added | {"name": f"{word} too", "ceiling": True},
    ]
    verdict = {"outcome": word, "sentence": word, "best_without": word, "arm": f"{word} too"}
    scenarios = [
        {
            "name": f"{word} {n}",
            "per_class": n,
            "minority": None,
            "seeds": [0, 1],
            "measure_title": word,
            "verdict": verdict,
            "choices": {"recipe": word, "tap": word, "taps": [word]},
            "arms": arms,
        }
        for n in (8, 16)
    ]
    report = {
        "version": word,
        "settings": {"gan_budget": word, word: word},
        "data": {
            "sha256": word, "kind": "classes", "names": [word, word], "side": 8, "channels": 3, "notes": [word],
            "images": {"train": 8},
        },
        "gans": [], "cells": [], "classifier_seconds": 3.0, "scenarios": scenarios,
    }  # fmt: skip
    without_pictures = {"stand_in": None, "gan_run": lambda *_: None, "arms": lambda scenario: []}
    named = [SimpleNamespace(name=found["name"]) for found in scenarios]
    task = SimpleNamespace(names=[word, word])
    return study_page(SimpleNamespace(folder=folder, task=task, scenarios=named, **without_pictures), report)


def table(folder: Path, word: str) -> str:
    """What a notebook shows."""
    return html_table([[word, word]], [word], [word])


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("make", [run, bench, study, table])
def test_no_word_becomes_markup(make, hostile: str, tmp_path: Path) -> None:
    plain = Structure(make(tmp_path / "plain", HARMLESS))
    html = make(tmp_path / "hostile", hostile)
    found = Structure(html)
    assert found.tags == plain.tags
    assert plain.text.count(HARMLESS) > 2
    assert not set(html) & set("\u202e\u2066\x07\x1b")
    assert "fuzz()" not in hostile or "fuzz()" in found.text
