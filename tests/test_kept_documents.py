"""Documents that fastgan keeps for itself: what has become nonsense is passed over or made again, never believed."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastgan.data.spool import Resumable
from fastgan.errors import MetricError
from fastgan.fastest.choice import Choice, Trial, remember, remembered
from fastgan.inference.folder import SETTINGS, stored_settings
from fastgan.inference.manifest import parse, read_entries
from fastgan.metrics.own_network import open_file
from fastgan.study import plan
from fastgan.study.cells import Cells

RAW = {"deep": "[" * 10**5 + "]" * 10**5, "float": "1e400", "big": "1" + "0" * 400, "huge": "9" * 5000}
WRONG: list[Any] = [
    None,
    5,
    -1,
    True,
    2**63,
    "x",
    "",
    [],
    {},
    [[]],
    ["x"],
    float("nan"),
    *(f"@{key}@" for key in RAW),
]
DELETED = object()


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a document, the whole first; of lists the first two."""
    yield at
    items = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*at, key))


def mutations(document: Any) -> Iterator[str]:
    """The document as text, each of its values replaced by each that is wrong, or left out."""
    for at in places(document):
        for value in [*WRONG, DELETED] if at else WRONG:
            changed = copy.deepcopy(document)
            node = changed
            for key in at[:-1]:
                node = node[key]
            if not at:
                changed = value
            elif value is DELETED:
                del node[at[-1]]
            else:
                node[at[-1]] = value
            text = json.dumps(changed)
            for key, raw in RAW.items():
                text = text.replace(f'"@{key}@"', raw)
            yield text


RESULT = {
    "measures": {
        "accuracy": 0.5,
        "macro_f1": 0.5,
        "recall": [0.5, 0.25],
        "calibration_error": 0.1,
        "gap": 0.1,
        "confusion": [[1, 2], [3, 4]],
    },
    "val": 0.5,
    "hyper": {"lr": 0.1, "decay": 0.1},
    "seconds": 1.0,
    "real": 3,
    "synthetic": None,
    "filter": None,
}
CHOSEN = {"recipe": "flip", "recipes": {"flip": 0.5}, "tap": 2, "taps": {"2": 0.5}}


@pytest.mark.parametrize(("identity", "result"), [({"arm": {}, "names": ["a", "b"]}, RESULT), ({}, CHOSEN)])
def test_a_cell_of_a_study_is_what_was_put_there_or_nothing(identity, result, tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.put(identity, result)
    assert cells.get(identity) == result
    (path,) = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    for text in mutations(kept):
        path.write_text(text)
        assert cells.get(identity) in (None, result)
    # Of an older version, without a fingerprint: types, classes and recipes are checked all the same
    for changed in (
        {"tap": 9},
        {"recipe": "dance"},
        {"taps": {"x": 1.0}},
        {"measures": {**RESULT["measures"], "recall": [1.0]}},
    ):
        path.write_text(json.dumps({"result": {**result, **changed}}))
        assert cells.get(identity) in (
            None,
            {**result, **changed} if changed.keys() - result.keys() else None,
        )


def test_a_plan_gives_seconds_or_nothing(tmp_path: Path) -> None:
    study: Any = SimpleNamespace(folder=tmp_path, content="abc")
    for text in mutations({"content": "abc", "gan_seconds": 60.0}):
        (tmp_path / "plan.json").write_text(text)
        seconds = plan._kept(study)
        assert seconds is None or 0 < seconds < 1e9
    (tmp_path / "plan.json").write_text('{"content": "abc", "gan_seconds": 60}')
    assert plan._kept(study) == 60


def test_the_remembered_way_is_the_one_that_was_measured_or_none(tmp_path: Path) -> None:
    trial = Trial(runtime="torch", precision="fp32", batch=4, images_per_second=10.0)
    choice = Choice(chosen=trial, tried=(trial,), left_out=("int8 is too coarse",))
    path = tmp_path / "choice.json"
    remember(path, choice)
    assert remembered(path) == choice
    for text in mutations(json.loads(path.read_text())):
        path.write_text(text)
        assert remembered(path) in (None, choice)


def test_settings_of_a_folder_are_of_the_right_types_or_none(tmp_path: Path) -> None:
    settings = {
        "model": "dcgan",
        "runtime": "torch",
        "precision": "fp32",
        "set": {"seeds": "0-3", "batch": 16},
    }
    for text in mutations(settings):
        (tmp_path / SETTINGS).write_text(text)
        found = stored_settings(tmp_path)
        assert found is not None
        assert isinstance(found.get("runtime", ""), str)
        assert found == {} or "set" not in found or isinstance(found["set"]["seeds"], str)


def test_lines_of_a_manifest_name_a_seed_and_a_file(tmp_path: Path) -> None:
    line = {"seed": 7, "file": "seed00000007.png", "sha256": "ab", "file_sha256": "cd", "class": "truck"}
    for text in [*mutations(line), json.dumps({**line, "seed": 2**64})]:
        entry = parse(text.encode() + b"\n")
        if entry is not None:
            assert isinstance(entry["file"], str)
            assert 0 <= entry["seed"] < 2**64
    (tmp_path / "manifest.jsonl").write_text(json.dumps({**line, "seed": 2**64 - 1}) + "\n")
    assert [entry["seed"] for entry in read_entries(tmp_path / "manifest.jsonl")] == [2**64 - 1]


def test_a_journal_that_says_nonsense_begins_anew(tmp_path: Path) -> None:
    with Resumable(tmp_path, 2, 1, "photos") as spool:
        for value in range(3):
            spool.add((np.full((2, 2, 1), value, np.uint8), 2))
        spool.finish()
    journal, pixels = (tmp_path / "journal").read_text(), (tmp_path / "pixels").read_bytes()
    identity, *notes = journal.splitlines()
    texts = [f"{text}\n{notes[-1]}\n" for text in mutations(json.loads(identity))]
    texts += [f"{identity}\n{text}\n" for text in mutations(json.loads(notes[-1]))]
    for text in [*texts, journal]:
        (tmp_path / "journal").write_text(text)
        (tmp_path / "pixels").write_bytes(pixels)
        with Resumable(tmp_path, 2, 1, "photos") as again:
            assert 0 <= again.done <= 3
            assert 0 <= again.count <= 3
    assert again.done == 3


def test_how_a_network_wants_its_images_is_asked_again(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "net.pt"
    torch.jit.script(torch.nn.Flatten()).save(str(path))  # type: ignore[no-untyped-call]
    settings = {"size": 8, "resizer": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3, "logits": False}
    for wrong in mutations(settings):
        (tmp_path / "net.json").write_text(wrong)
        with suppress(MetricError):  # some changes are none: another size, no logits
            open_file(path, torch.device("cpu"))
    for changed in (
        {"mean": "0.5"},
        {"std": [0.5, 0, 0.5]},
        {"size": 10**6},
        {"resizer": ["bicubic"]},
        {"more": 1},
    ):
        (tmp_path / "net.json").write_text(json.dumps(settings | changed))
        with pytest.raises(MetricError, match=r"net\.json"):
            open_file(path, torch.device("cpu"))
