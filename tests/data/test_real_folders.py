"""Folders and zips as programs and people leave them: what is taken for something else than it is, or left out."""

import json
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastgan.data import open_dataset, pack
from fastgan.errors import DataError
from tests.data.images import fill, noise, save


def windows_zip(folder: Path, target: Path, top: str = "") -> Path:
    r"""A zip whose names have \ between folders, as .NET's older compressors write them."""
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            entry = zipfile.ZipInfo("x")
            entry.filename = (top + file.relative_to(folder).as_posix()).replace("/", "\\")
            if file.is_dir():
                entry.filename += "\\"
            archive.writestr(entry, b"" if file.is_dir() else file.read_bytes())
    return target


def write_labels(folder: Path, labels: object) -> None:
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))


def storage(root: Path, count: int = 6) -> Path:
    """Images as StyleGAN's dataset_tool.py stores them, but three to a folder."""
    for index in range(count):
        number = index // 2 * 1000 + index
        save(root / f"{number:08d}"[:5] / f"img{number:08d}.png", noise(16, 16, seed=index))
    return root


# images beside archives


@pytest.mark.parametrize("stray", ["x.tar", "meta.parquet", "data/meta.parquet"])
@pytest.mark.parametrize("where", ["", "cats"])
def test_a_stray_archive_among_images_needs_a_word(tmp_path, stray, where):
    root = tmp_path / "set"
    fill(root / where, 4)
    (root / stray).parent.mkdir(exist_ok=True)
    if stray.endswith(".tar"):
        with tarfile.open(root / stray, "w") as archive:
            archive.add(root / where / "1.png", "1.png")
    else:
        (root / stray).write_bytes(b"PAR1")
    kind = "webdataset" if stray.endswith(".tar") else "parquet"
    message = rf"\(kind='{kind}'\) and a folder of images such as .*\.png \(kind='folder'\): say which"
    with pytest.raises(DataError, match=message):
        open_dataset(root)
    assert len(open_dataset(root, kind="folder")) == 4


def test_archives_with_no_images_beside_them_are_read_as_ever(tmp_path):
    fill(tmp_path / "in", 2)
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "x.tar", "w") as archive:
        archive.add(tmp_path / "in" / "1.png", "1.png")
    (tmp_path / "set" / "readme.txt").write_text("x")
    (tmp_path / "set" / ".thumb.png").write_bytes(b"x")
    assert len(open_dataset(tmp_path / "set")) == 1


# names in archives


@pytest.mark.parametrize("top", ["", "set/", ".\\", "C:\\me\\"])
def test_a_zip_from_windows(tmp_path, top):
    for name, count in (("a", 2), ("b", 1)):
        fill(tmp_path / "in" / name, count)
    source = windows_zip(tmp_path / "in", tmp_path / "w.zip", top)
    dataset = open_dataset(source)
    assert dataset.class_names == ("a", "b")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert dataset.names[0].endswith("a/0.png")
    assert "\\" not in "".join(dataset.names)
    write_labels(tmp_path / "in", [["a\\0.png", 7], ["a/1.png", 8], [".\\b\\0.png", 7]])
    dataset = open_dataset(windows_zip(tmp_path / "in", tmp_path / "l.zip", top))
    assert dataset.class_names == ("7", "8")
    assert dataset.labels.tolist() == [0, 1, 0]


def test_a_way_out_of_a_zip_in_windows_writing_is_refused(tmp_path):
    fill(tmp_path / "in", 2)
    source = windows_zip(tmp_path / "in", tmp_path / "w.zip", "..\\")
    with pytest.raises(DataError, match="points outside the zip"):
        open_dataset(source)


def test_dots_before_names(tmp_path):
    fill(tmp_path / "in", 2)
    write_labels(tmp_path / "in", [["./0.png", 3], ["1.png", 4]])
    assert open_dataset(tmp_path / "in").class_names == ("3", "4")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "in" / "0.png", "./0.png")
        archive.write(tmp_path / "in" / "1.png", "1.png")
        archive.write(tmp_path / "in" / "dataset.json", "./dataset.json")
    dataset = open_dataset(tmp_path / "x.zip")
    assert dataset.names == ("0.png", "1.png")
    assert dataset.class_names == ("3", "4")


@pytest.mark.parametrize("flag", [True, False])
def test_names_as_macos_writes_them(tmp_path, flag):
    """Decomposed, and without the flag that says UTF-8."""
    fill(tmp_path / "in", 2)
    decomposed = unicodedata.normalize("NFD", "é.png")
    documents = {"dataset.json": json.dumps({"labels": {"é.png": 1, "b.png": 2}})}
    documents["attributes.csv"] = "file,x\né.png,1\nb.png,0\n"
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.write(tmp_path / "in" / "0.png", decomposed)
        archive.write(tmp_path / "in" / "1.png", "b.png")
        archive.writestr("__MACOSX/._b.png", b"x")
        for name, text in documents.items():
            archive.writestr(name, text)
    if not flag:
        data = bytearray((tmp_path / "mac.zip").read_bytes())
        raw, at = decomposed.encode(), -1
        while (at := data.find(raw, at + 1)) >= 0:  # the local record and the central one
            start = at - 30 + 6 if data[at - 30 : at - 26] == b"PK\3\4" else at - 46 + 8
            data[start + 1] &= ~0x08
        (tmp_path / "mac.zip").write_bytes(data)
    dataset = open_dataset(tmp_path / "mac.zip")
    assert dataset.names == ("b.png", decomposed)
    assert dataset.labels.tolist() == [1, 0]
    assert dataset.attributes.flatten().tolist() == [0, 1]
    assert not any("hidden" in note for note in dataset.notes)


def test_class_folders_in_both_forms_are_one_class(tmp_path):
    for index, form in enumerate(("NFC", "NFD")):
        save(tmp_path / "s" / unicodedata.normalize(form, "é") / f"{index}.png", noise(16, 16, seed=index))
    fill(tmp_path / "s" / "b", 1)
    assert open_dataset(tmp_path / "s").class_names == ("b", "é")


def test_a_name_that_is_twice_in_a_zip_is_said(tmp_path):
    fill(tmp_path / "in", 2)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "in" / "0.png", "a/0.png")
        again = zipfile.ZipInfo("x")
        again.filename = "./a/0.png"
        archive.writestr(again, (tmp_path / "in" / "1.png").read_bytes())
    dataset = open_dataset(tmp_path / "x.zip")
    np.testing.assert_array_equal(dataset.images[0].numpy(), noise(16, 16, seed=1))
    assert any("1 names are in the zip more than once" in note for note in dataset.notes)


# classes that are none


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("document", [True, False])
def test_storage_folders_are_no_classes(tmp_path, as_zip, document):
    root = storage(tmp_path / "set")
    if document:
        write_labels(root, None)
    source = windows_zip(root, tmp_path / "set.zip") if as_zip else root
    dataset = open_dataset(source)
    assert dataset.labels is None
    assert dataset.class_names == ()
    told = any("numbered folders, as of 00000/img00000000.png" in note for note in dataset.notes)
    assert told is not document  # who says null knows
    names = [file.relative_to(root).as_posix() for file in sorted(root.rglob("*.png"))]
    write_labels(root, [[name, index % 2] for index, name in enumerate(names)])
    dataset = open_dataset(root)
    assert dataset.labels.tolist() == [0, 1] * 3
    assert not any("no classes" in note for note in dataset.notes)


def test_null_wins_over_class_folders_and_says_so(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "s" / name, 2)
    write_labels(tmp_path / "s", None)
    dataset = open_dataset(tmp_path / "s")
    assert dataset.labels is None
    assert any("no labels: " in note and "folders cat, dog are no classes" in note for note in dataset.notes)


# splits


def svhn(root: Path, names: dict[str, int]) -> Path:
    for split, count in names.items():
        for digit in "12":
            fill(root / split / digit, count, seed=count)
    return root


def test_extra_is_a_split_of_its_own(tmp_path):
    root = svhn(tmp_path / "svhn", {"train": 2, "test": 1, "extra": 3})
    dataset = open_dataset(root)
    assert dataset.class_names == ("1", "2")
    assert len(dataset) == 4
    assert any("4 of 12 images, and not 2 of test, 6 of extra" in note for note in dataset.notes)
    assert len(open_dataset(root, split="extra")) == 6
    assert len(open_dataset(root, split="all")) == 12
    with pytest.raises(DataError, match="no images of its val split, only train, test, extra"):
        open_dataset(root, split="val")


def test_what_lies_beside_splits_is_in_none_of_them(tmp_path):
    root = svhn(tmp_path / "set", {"train": 2, "test": 1})
    save(root / "logo.png", noise(16, 16, seed=9))
    fill(root / "previews" / "odd", 2)
    dataset = pack(root, tmp_path / "x.fgd", split="train")
    assert dataset.class_names == ("1", "2")
    assert len(dataset) == 4
    assert any("2 of test, 3 in none" in note for note in open_dataset(root).notes)
    everything = open_dataset(root, split="all")
    assert len(everything) == 9
    assert everything.provenance["splits"] == ["train", "test"]


def test_a_class_called_train_is_a_class(tmp_path):
    for name in ("car", "bus", "train"):
        fill(tmp_path / "s" / name, 1)
    assert open_dataset(tmp_path / "s").class_names == ("bus", "car", "train")


def test_splits_that_repeat_their_name(tmp_path):
    for split in ("training_set", "test_set"):
        for name in ("cats", "dogs"):
            fill(tmp_path / "s" / split / split / name, 2)
    dataset = open_dataset(tmp_path / "s")
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.labels.tolist() == [0, 0, 1, 1]


# what is passed over


def test_hidden_images_are_counted_and_resource_forks_are_not(tmp_path):
    fill(tmp_path / "s", 2)
    for name in (".ipynb_checkpoints/0-checkpoint.png", ".x.png", "._0.png", "__MACOSX/._1.png", ".DS_Store"):
        (tmp_path / "s" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "s" / name).write_bytes(b"x")
    dataset = open_dataset(tmp_path / "s")
    assert dataset.names == ("0.png", "1.png")
    assert any("and 1 more images were not read: hidden" in note for note in dataset.notes)


def test_a_folder_of_hidden_images_alone_says_so(tmp_path):
    fill(tmp_path / "s" / ".cache", 2)
    with pytest.raises(
        DataError, match=r"holds no images: .*; \.cache/0\.png and 1 more images were not read: hidden"
    ):
        open_dataset(tmp_path / "s")


def test_a_sheet_beside_generated_shards_is_no_loose_image(tmp_path):
    fill(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    with tarfile.open(tmp_path / "out" / "images.tar", "w") as archive:
        archive.add(tmp_path / "in" / "1.png", "1.png")
    save(tmp_path / "out" / "grid.png", noise(64, 64))
    (tmp_path / "out" / "fastgan.json").write_text("{}")
    assert len(open_dataset(tmp_path / "out")) == 1


def test_sheets_of_generated_images_are_no_images_of_theirs(tmp_path):
    fill(tmp_path / "out", 2)
    save(tmp_path / "out" / "grid.png", noise(64, 64))
    assert len(open_dataset(tmp_path / "out")) == 3
    (tmp_path / "out" / "fastgan.json").write_text("{}")
    dataset = open_dataset(tmp_path / "out")
    assert dataset.names == ("0.png", "1.png")
    assert any("grid.png was not read: fastgan generate made it" in note for note in dataset.notes)
