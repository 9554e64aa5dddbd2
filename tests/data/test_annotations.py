"""dataset.json and attributes.csv beside anyone's images, in a folder and in a zip."""

import json
import math
import zipfile
from pathlib import Path

import pytest
import torch

from fastgan.data import open_dataset, pack, packed
from fastgan.errors import DataError
from tests.data.images import fill


@pytest.fixture(params=["folder", "zip", "zip with a folder on top"])
def source(request, tmp_path):
    """make(files) -> a source of four images with these text files beside them."""

    def make(**files: str | bytes) -> Path:
        root = tmp_path / "set"
        fill(root / "00000", 4)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (root / name.replace("_", ".")).write_bytes(data)
        if request.param == "folder":
            return root
        top = "photos/" if "top" in request.param else ""
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, top + file.relative_to(root).as_posix())
        return tmp_path / "set.zip"

    return make


def labels(values: list, names: list[str] | None = None) -> str:
    names = names or [f"00000/{index}.png" for index in range(len(values))]
    return json.dumps({"labels": [list(pair) for pair in zip(names, values, strict=True)]})


def test_classes_of_dataset_json(source):
    dataset = open_dataset(source(dataset_json=labels([10, 2, 10, 2])))
    assert dataset.class_names == ("2", "10")
    assert dataset.labels.tolist() == [1, 0, 1, 0]


def test_vectors_of_dataset_json(source):
    dataset = open_dataset(source(dataset_json=labels([[0, 1.5], [1, 2], [0, 0], [1, -3]])))
    assert dataset.labels is None
    assert dataset.attribute_names == ("label0", "label1")
    assert dataset.attributes.tolist() == [[0, 1.5], [1, 2], [0, 0], [1, -3]]


def test_null_labels_are_none(source):
    dataset = open_dataset(source(dataset_json='{"labels": null}'))
    assert dataset.labels is dataset.attributes is None


CSV = "file,smiling,age\n00000/0.png,1,33\n./00000/1.png,0,\n00000/3.png, 0 ,-4.5\n\n"


def test_attributes_csv(source, tmp_path):
    where = source(attributes_csv="\ufeff" + CSV)
    dataset = pack(where, tmp_path / "x.fgd")
    assert dataset.attribute_names == ("smiling", "age")
    expected = torch.tensor([[1, 33], [0, math.nan], [math.nan, math.nan], [0, -4.5]])
    torch.testing.assert_close(dataset.attributes, expected, equal_nan=True, atol=0, rtol=0)
    assert any("1 of 4 images are not in attributes.csv" in note for note in dataset.notes)
    packed.verify(tmp_path / "x.fgd")
    assert open_dataset(where).content_hash == dataset.content_hash


def test_the_hash_covers_the_attributes(source, tmp_path):
    where = source(attributes_csv=CSV)
    first = open_dataset(where).content_hash
    if where.is_dir():
        (where / "attributes.csv").write_text(CSV.replace("33", "34"))
        assert open_dataset(where).content_hash != first


def test_classes_and_attributes_together(source):
    dataset = open_dataset(source(dataset_json=labels([0, 1, 1, 0]), attributes_csv=CSV))
    assert dataset.labels.tolist() == [0, 1, 1, 0]
    assert dataset.attributes.shape == (4, 2)


ROW = "00000/0.png,1,33\n"
BROKEN_CSV = {
    "missing image": (
        CSV + "00000/9.png,1,2\nx.png,1,2\n",
        r"names 00000/9\.png and 1 more that are not there",
    ),
    "columns": (CSV + "00000/2.png,1\n", r"attributes\.csv line 6 has 2 columns and the header has 3"),
    "text": (CSV + "00000/2.png,yes,1\n", r"line 6: smiling is 'yes': use 0, 1 or a number"),
    "infinite": (CSV + "00000/2.png,1,inf\n", r"line 6: age is 'inf'"),
    "too large": (CSV + "00000/2.png,1,1e39\n", r"line 6: age is '1e39'"),
    "twice": (CSV + ROW, r"line 6 names 00000/0\.png a second time"),
    "same column": ("file,a,a\n" + ROW, r"two columns called a"),
    "no columns": ("file\n00000/0.png\n", r"line 1 should name the columns"),
    "empty": ("", r"line 1 should name the columns"),
    "nul": ("file,a\n00000/0.png,\x001\n", r"line \d"),
    "binary": (b"\xff\xfe\x00", r"attributes\.csv is not UTF-8"),
}


@pytest.mark.parametrize("what", BROKEN_CSV)
def test_a_broken_csv_is_one_sentence(source, what):
    content, message = BROKEN_CSV[what]
    with pytest.raises(DataError, match=message) as error:
        open_dataset(source(attributes_csv=content))
    assert "\n" not in str(error.value)


BROKEN_JSON = {
    "no json": ('{"labels": [', r"dataset\.json is no JSON"),
    "missing image": (labels([1, 2, 3, 4, 5]), r"names 00000/4\.png that are not there"),
    "image without": (labels([1, 2]), r"has no label for (photos/)?00000/2\.png and 1 more"),
    "not a list": ('{"labels": 3}', r"labels should be a list"),
    "not pairs": ('{"labels": [["00000/0.png", 1], ["x"]]}', r"labels\[1\] is \['x'\]: it should be"),
    "twice": (labels([1] * 5, ["00000/0.png", *(f"00000/{i}.png" for i in range(4))]), r"more than once"),
    "mixed": (labels([1, [1], 2, 3]), r"gives 00000/1\.png the label \[1\]"),
    "lengths": (labels([[1, 2], [1], [1, 2], [3, 4]]), r"gives 00000/1\.png the label \[1\]: use 2 numbers"),
    "not finite": (labels([[math.nan], [1], [1], [3]]), r"gives 00000/0\.png the label \[nan\]"),
    "too large": (labels([[10**400], [1], [1], [3]]), r"gives 00000/0\.png the label \[1000"),
    "null": (labels([None, 1, 2, 3]), r"gives 00000/0\.png the label None"),
}


@pytest.mark.parametrize("what", BROKEN_JSON)
def test_a_broken_json_is_one_sentence(source, what):
    content, message = BROKEN_JSON[what]
    with pytest.raises(DataError, match=message) as error:
        open_dataset(source(dataset_json=content))
    assert "\n" not in str(error.value)


def test_two_files_with_attributes(source):
    with pytest.raises(DataError, match=r"attributes in both dataset\.json and attributes\.csv"):
        open_dataset(source(dataset_json=labels([[1]] * 4), attributes_csv=CSV))
