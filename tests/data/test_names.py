"""What names of files and folders are taken to say."""

import unicodedata

import pytest

from fastgan.data.names import (
    Lookup,
    class_name,
    folder_split,
    is_hidden,
    is_storage,
    separated,
    split_of,
    splits_of,
)
from fastgan.errors import DataError


def test_separators():
    for name in ("a/0.png", "./a/0.png", "a//0.png", ".\\a\\0.png", "a\\.\\0.png"):
        assert separated(name) == "a/0.png"
    assert separated("/etc/./x.png") == "/etc/x.png"
    assert separated("..\\x.png") == "../x.png"


def test_a_name_written_another_way_is_found():
    composed, decomposed = (unicodedata.normalize(form, "café/é.png") for form in ("NFC", "NFD"))
    for there, asked in ((composed, decomposed), (decomposed, composed)):
        assert Lookup(["a.png", there]).row(asked) == 1
    lookup = Lookup(["set/a/0.png", "set/a/1.png", "b\\0.png"])
    assert lookup.row(".\\a\\1.png", "set/") == 1
    assert lookup.row("set/a/1.png", "set/") == 1
    assert lookup.row("b\\0.png") == lookup.row("b/0.png") == 2
    assert lookup.row("a/2.png", "set/") is None
    assert lookup.nearest("1.png") == lookup.nearest("x/1") == "set/a/1.png"
    assert lookup.nearest("9.png") is None


def test_of_two_forms_of_one_name_each_is_found_as_it_is_written():
    forms = [unicodedata.normalize(form, "é.png") for form in ("NFD", "NFC")]
    lookup = Lookup(forms)
    assert [lookup.row(form) for form in forms] == [0, 1]


def test_hidden_names():
    for name in (
        ".x.png",
        "a/.git/x.png",
        "__MACOSX/._0.png",
        "@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "._0.png",
    ):
        assert is_hidden(name), name
    for name in ("./0.png", "../0.png", "a.b/0.png"):
        assert not is_hidden(name), name


def test_splits_by_name():
    files = ("train-00000-of-00004.parquet", "extra-00000.parquet", "test.parquet", "other.parquet")
    assert [split_of(name) for name in files] == [0, 3, 2, None]
    folders = ("train", "Training_Set", "val2017", "test images", "extra", "unlabeled", "dev")
    assert [folder_split(name) for name in folders] == [0, 0, 1, 2, 3, 3, 1]
    for name in ("test-tube", "training station", "trainA", "test1", "extra-large", "cat", None):
        assert folder_split(name) is None, name


def test_when_parts_are_splits():
    assert splits_of([0, 2, 3]) == [0, 2, 3]
    assert splits_of([0, None, 2]) == [0, -1, 2]
    assert splits_of([0, None]) is None  # car, bus, train
    assert splits_of([1, None, 2]) is None  # no train among them
    assert splits_of([None, None]) is None
    assert splits_of([]) is None


def test_storage_folders():
    assert is_storage([("00000", "img00000000.png"), ("00012", "img00012345.png")])  # StyleGAN
    assert is_storage([("00000", "00000.png"), ("69000", "69999.png")])  # FFHQ
    assert not is_storage(
        [("00000", "00000_00001.ppm"), ("00001", "00000_00001.ppm")]
    )  # GTSRB: tracks of classes
    assert not is_storage([("0", "01.png"), ("1", "11.png")])  # digits
    assert not is_storage([("00000", "img00000000.png"), ("cats", "img00001000.png")])
    assert not is_storage([("00000", "img00000000.png"), ("00001", "img00000001.png")])
    assert not is_storage([])


def test_what_a_label_names():
    assert class_name(3) == class_name(3.0) == class_name("3") == "3"
    assert class_name(0.0) == "0"
    assert class_name(None) is None
    for label in (0.5, float("nan"), True, "", [1], {}):
        with pytest.raises(DataError, match="use class numbers or names"):
            class_name(label)
