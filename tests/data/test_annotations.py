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
    "no header": (
        ROW + "00000/1.png,0,5\n",
        r"line 1 is that of an image \(00000/0\.png\).*put a line such as file,attribute1,attribute2 before it",
    ),
    "no header, of another image": (
        "x/9.JPG,1\n" + "00000/1.png,0\n",
        r"line 1 is that of an image \(x/9\.JPG\)",
    ),
    "no header, semicolons": (
        "00000/0.png;1\n00000/1.png;0\n",
        r"line 1 is that of an image .* such as file;attribute1 before",
    ),
    "no header, tabs": ("00000/0.png\t1\n", r"such as file<tab>attribute1 before it"),
    "a long name": ("file,x\n" + "9" * 10_000 + ",1\n", r"names 9{197}\.\.\. that is not there"),
    "names alone": ("00000/0.png\n00000/1.png\n", r"such as file,attribute1 before it"),
    "header alone": ("file,a\n", r"names no images: add a line for each"),
    "an enormous cell": ("y" * 200_000 + ",a\n" + ROW, r"line 1 is no CSV \(field larger than field limit"),
    "an impossible separator": ('sep="\n' + ROW, r"attributes\.csv line"),
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
    "no json": ('{"labels": [', r"dataset\.json is not valid JSON"),
    "missing image": (labels([1, 2, 3, 4, 5]), r"names 00000/4\.png that is not there"),
    "image without": (labels([1, 2]), r"has no label for (photos/)?00000/2\.png and 1 more"),
    "not a list": ('{"labels": 3}', r"labels should be a list"),
    "not pairs": ('{"labels": [["00000/0.png", 1], ["x"]]}', r"labels\[1\] is \['x'\]: it should be"),
    "twice": (labels([1] * 5, ["00000/0.png", *(f"00000/{i}.png" for i in range(4))]), r"more than once"),
    "twice, written another way": (
        labels([1] * 5, ["./00000/0.png", *(f"00000/{i}.png" for i in range(4))]),
        r"names 00000/0\.png more than once, also as \./00000/0\.png",
    ),
    "mixed": (
        labels([1, [1], 2, 3]),
        r"gives 00000/0\.png the label 1: use a list of 1 numbers for every image, or a class",
    ),
    "lengths": (
        labels([[1, 2], [1], [1, 2], [3, 4]]),
        r"gives 00000/1\.png the label \[1\]: use a list of 2",
    ),
    "empty lists": (labels([[], [], [], []]), r"gives 00000/0\.png the label \[\]: use a list of 1"),
    "not finite": (labels([[math.nan], [1], [1], [3]]), r"gives 00000/0\.png the label \[nan\]"),
    "too large": (labels([[10**200], [1], [1], [3]]), r"gives 00000/0\.png the label \[1000"),
    "some null": (labels([None, 1, 2, 3]), r"gives 00000/0\.png no label \(null\) where others have one"),
    "fraction": (labels([0.5, 1, 2, 3]), r"gives 00000/0\.png the label 0\.5: use class numbers or names"),
    "truth": (labels([True, 1, 2, 3]), r"gives 00000/0\.png the label True: use class numbers or names"),
    "no labels": ('{"name": "mine", "images": 4}', r"says nothing of labels: write .*another program's"),
    "empty list": ('{"labels": []}', r"has no label for (photos/)?00000/0\.png and 3 more"),
    "empty": ("{}", r"says nothing of labels"),
    "bare null": ("null", r"says nothing of labels"),
    "bare list of words": ('["00000/0.png", "x"]', r"labels\[0\] is 00000/0\.png: it should be"),
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


def named(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


ROWS = ["00000/0.png,1,33", "00000/1.png,0,", "00000/2.png,1,5.5", "00000/3.png,0,-4.5"]
EXPECTED = [[1, 33], [0, math.nan], [1, 5.5], [0, -4.5]]
WRITTEN = {
    "tabs": named(["image\tsmiling\tage", *(row.replace(",", "\t") for row in ROWS)]),
    "semicolons and decimal commas": named(
        ["file_name;smiling;age", *(row.replace(",", ";").replace(".5", ",5") for row in ROWS)]
    ),
    "Excel's first line": named(["sep=;", "f;smiling;age", *(row.replace(",", ";") for row in ROWS)]),
    "windows": "\ufeff" + named(["file,smiling,age", *ROWS]).replace("\n", "\r\n"),
    "old mac": named(["file,smiling,age", *ROWS]).replace("\n", "\r"),
    "quoted": named(
        ['"file","smiling","age"', *(f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in ROWS)]
    ),
    "pandas' index": named([",filename,smiling,age", *(f"{i},{row}" for i, row in enumerate(ROWS))]),
    "names last": named(
        ["smiling,age,image", *(",".join([*row.split(",")[1:], row.split(",")[0]]) for row in ROWS)]
    ),
    "truth": named(
        [
            "file,smiling,age",
            *(row.replace("png,1", "png,True").replace("png,0", "png,FALSE") for row in ROWS),
        ]
    ),
    "blank lines": "\n\n" + named(["file,smiling,age", "", *ROWS, "", ""]),
    "backslashes": named(["file,smiling,age", *(row.replace("/", "\\") for row in ROWS)]),
}


WRITTEN["Excel's Unicode text"] = WRITTEN["tabs"].encode("utf-16")


@pytest.mark.parametrize("what", WRITTEN)
def test_attributes_as_programs_write_them(source, what):
    dataset = open_dataset(source(attributes_csv=WRITTEN[what]))
    assert dataset.attribute_names == ("smiling", "age")
    expected = torch.tensor(EXPECTED)
    torch.testing.assert_close(dataset.attributes, expected, equal_nan=True, atol=0, rtol=0)


TAKEN = {
    "a bare list": json.dumps([[f"00000/{i}.png", i % 2] for i in range(4)]),
    "a bare table": json.dumps({f"00000/{i}.png": i % 2 for i in range(4)}),
    "a table": json.dumps({"labels": {f"00000/{i}.png": i % 2 for i in range(4)}}),
    "fractions of none": labels([0.0, 1.0, 0.0, 1.0]),
    "text": labels(["0", "1", 0, 1.0]),
    "names from Windows": labels([0, 1, 0, 1], [f".\\00000\\{i}.png" for i in range(4)]),
    "a byte order mark": "\ufeff" + labels([0, 1, 0, 1]),
}


@pytest.mark.parametrize("what", TAKEN)
def test_labels_as_programs_write_them(source, what):
    dataset = open_dataset(source(dataset_json=TAKEN[what]))
    assert dataset.class_names == ("0", "1")
    assert dataset.labels.tolist() == [0, 1, 0, 1]


def test_null_for_every_image_is_null(source):
    dataset = open_dataset(source(dataset_json=labels([None] * 4)))
    assert dataset.labels is dataset.attributes is None


def test_names_that_are_nearly_there_are_told(source):
    with pytest.raises(
        DataError, match=r"names 0\.png \(there is (photos/)?00000/0\.png\) and 1 more that are"
    ):
        open_dataset(source(dataset_json=labels([1] * 4, ["0.png", "1.png", "00000/2.png", "00000/3.png"])))


def test_a_name_without_its_suffix_is_told(source):
    with pytest.raises(DataError, match=r"names 00000/3 \(there is (photos/)?00000/3\.png\) that"):
        open_dataset(source(attributes_csv="id,x\n00000/2.png,1\n00000/3,1\n"))


def test_a_document_in_each_of_several_folders(tmp_path):
    for split in ("train", "test"):
        fill(tmp_path / "set" / split, 2)
        (tmp_path / "set" / split / "dataset.json").write_text(labels([1, 2], ["0.png", "1.png"]))
        (tmp_path / "set" / split / "attributes.csv").write_text("file,x\n0.png,1\n1.png,0\n")
    dataset = open_dataset(tmp_path / "set", split="all")
    assert dataset.labels.tolist() == [0, 1, 0, 1]
    assert dataset.attributes.flatten().tolist() == [1, 0, 1, 0]
    (tmp_path / "set" / "test" / "attributes.csv").write_text("file,y\n0.png,1\n1.png,0\n")
    with pytest.raises(DataError, match=r"train.attributes\.csv has other columns than .*test"):
        open_dataset(tmp_path / "set")
    (tmp_path / "set" / "test" / "attributes.csv").unlink()
    (tmp_path / "set" / "attributes.csv").write_text("file,x\ntrain/0.png,1\n")
    with pytest.raises(DataError, match=r"names 0\.png, and so does .*set.attributes\.csv: keep one"):
        open_dataset(tmp_path / "set")
