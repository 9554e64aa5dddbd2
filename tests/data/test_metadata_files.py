"""Hugging Face's metadata.csv and metadata.jsonl beside images."""

import json
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from fastgan.data import open_dataset
from fastgan.errors import DataError
from tests.data.images import fill

CSV = "file_name,label,age,smiling,text,empty\n0.png,cat,3,True,a cat,\n1.png,dog,4.5,false,b,\n2.png,cat,,True,x,\n"
ROWS = [
    {"file_name": "0.png", "label": "cat", "age": 3, "smiling": True, "text": "a\u2028cat"},
    {"file_name": "./1.png", "label": "dog", "age": 4.5, "smiling": False, "objects": {"bbox": [1, 2]}},
    {"file_name": "2.png", "label": "cat", "age": None, "smiling": True},
]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n"
FORMS = {"metadata.csv": CSV, "metadata.jsonl": LINES}


def made(folder: Path, name: str, text: str) -> Path:
    fill(folder, 3)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, f"top/{file.relative_to(folder)}")
    return folder.with_suffix(".zip")


def tarred(folder: Path) -> Path:
    with tarfile.open(folder.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(folder, ".")
    return folder.with_suffix(".tar.gz")


@pytest.mark.parametrize("pack", [lambda folder: folder, zipped, tarred])
@pytest.mark.parametrize("name", FORMS)
def test_labels_and_numbers_are_taken_and_texts_are_said(tmp_path, name, pack):
    dataset = open_dataset(pack(made(tmp_path / "set", name, FORMS[name])))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1, 0]
    assert dataset.attribute_names == ("age", "smiling")
    expected = torch.tensor([[3, 1], [4.5, 0], [torch.nan, 1]])
    torch.testing.assert_close(dataset.attributes, expected, equal_nan=True)
    (note,) = [note for note in dataset.notes if "not numbers" in note]
    assert note.startswith(f"{name}: not numbers, so no attributes: text ('a")
    assert ("objects" in note) == (name == "metadata.jsonl")
    assert not any("passed over" in note for note in dataset.notes)


def test_one_in_each_split(tmp_path):
    for split, labels in (("train", "01"), ("test", "11")):
        fill(tmp_path / split, 2)
        lines = [f"{index}.png,{label}" for index, label in enumerate(labels)]
        (tmp_path / split / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    assert open_dataset(tmp_path).labels.tolist() == [0, 1]
    assert open_dataset(tmp_path, split="test").labels.tolist() == [1, 1]


def test_an_image_without_a_line_is_in_no_class_and_unknown(tmp_path):
    dataset = open_dataset(made(tmp_path, "metadata.csv", "file_name,label,age\n0.png,1,2\n1.png,,3\n"))
    assert dataset.labels is None
    assert any("2 of 3 images are in no class" in note for note in dataset.notes)
    assert any("1 of 3 images are not in metadata.csv" in note for note in dataset.notes)


def test_numbers_are_classes_too_and_the_folders_then_are_none(tmp_path):
    for folder in ("a", "b"):
        fill(tmp_path / folder, 1, seed=ord(folder))
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "a/0.png", "label": 3}\n{"file_name": "b/0.png", "label": 3.0}\n'
    )
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("3",)


def test_without_labels_the_folders_stay_the_classes(tmp_path):
    for folder in ("a", "b"):
        fill(tmp_path / folder, 1, seed=ord(folder))
    (tmp_path / "metadata.csv").write_text("file_name,text\na/0.png,x\nb/0.png,y\n")
    assert open_dataset(tmp_path).class_names == ("a", "b")


def test_a_file_of_another_kind_is_said_and_costs_nothing(tmp_path):
    dataset = open_dataset(made(tmp_path, "metadata.csv", "camera,lens\nx,y\n"))
    assert any("metadata.csv is not read: it has no column file_name" in note for note in dataset.notes)


BROKEN = {
    "missing": (
        "metadata.csv",
        "file_name,label\n7.png,1\n",
        r"metadata\.csv names 7\.png that is not there",
    ),
    "twice": (
        "metadata.csv",
        "file_name,label\n0.png,1\n0.png,2\n",
        r"metadata\.csv line 3: file_name is '0\.png'",
    ),
    "columns": ("metadata.csv", "file_name,label\n0.png\n", r"line 2 has 1 columns and the header has 2"),
    "header": ("metadata.csv", "file_name,a,a\n0.png,1,2\n", r"two columns called a"),
    "json": (
        "metadata.jsonl",
        '{"file_name": "0.png"}\n{"file\n',
        r"metadata\.jsonl line 2 is not valid JSON",
    ),
    "list": ("metadata.jsonl", "[1]\n", r"line 1 should be a table of names and values, and is a list"),
    "deep": ("metadata.jsonl", "[" * 100_000, r"line 1 is nested too deep"),
    "name": ("metadata.jsonl", '{"file_name": 3}\n', r"line 1: file_name is 3"),
    "label": (
        "metadata.jsonl",
        '{"file_name": "0.png", "label": [1]}\n',
        r"gives 0\.png the label \[1\]: use class numbers",
    ),
    "binary": ("metadata.csv", "file_name\xff", None),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_one_sentence(tmp_path, what):
    name, text, message = BROKEN[what]
    fill(tmp_path, 3)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message or "is not UTF-8 text") as error:
        open_dataset(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("attributes.csv", "name,age\n0.png,1\n", "attributes"),
        ("dataset.json", '{"labels": [["0.png", 1], ["1.png", 0], ["2.png", 0]]}', "labels"),
        ("metadata.jsonl", LINES, "keep one of the two"),
    ],
)
def test_two_files_that_say_the_same_are_refused(tmp_path, name, text, what):
    (made(tmp_path, "metadata.csv", CSV) / name).write_text(text)
    with pytest.raises(DataError, match=what):
        open_dataset(tmp_path)
