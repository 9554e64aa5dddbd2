"""Parquet tables as Hugging Face writes them, and the sentence when pyarrow is not there."""

import json
import sys

import numpy as np
import pytest
import torch

from fastgan.data import open_dataset, pack, packed
from fastgan.errors import DataError
from tests.data.images import encoded, noise


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="needs the extra fastgan[parquet]")


def picture(seed: int) -> bytes:
    return encoded(noise(16, 16, seed=seed)).getvalue()


def table(path, rows: range, *, names=(), row_group_size: int = 3, nested: bool = True, **columns):
    """Images of the given seeds, with further columns."""
    import pyarrow
    import pyarrow.parquet

    content = [{"bytes": picture(seed), "path": f"{seed}.png"} if nested else picture(seed) for seed in rows]
    made = pyarrow.table({"image": content, **columns})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(made, path, row_group_size=row_group_size)
    return path


def expected(rows: range) -> np.ndarray:
    return np.stack([noise(16, 16, seed=seed) for seed in rows])


@pytest.mark.parametrize("nested", [True, False])
def test_one_file_of_several_row_groups(parquet, tmp_path, nested):
    path = table(
        tmp_path / "x.parquet", range(10), nested=nested, label=[i % 3 for i in range(10)], names="abc"
    )
    dataset = open_dataset(path)
    np.testing.assert_array_equal(dataset.images.numpy(), expected(range(10)))
    assert dataset.class_names == ("a", "b", "c")
    assert dataset.labels.tolist() == [i % 3 for i in range(10)]
    assert dataset.names[3] == "x.parquet/3"


@pytest.mark.parametrize("below", ["", "data"])
def test_a_folder_with_splits(parquet, tmp_path, below):
    folder = tmp_path / "set" / below
    table(folder / "train-00000-of-00002.parquet", range(4), label=[0, 1, 0, 1], names=("cat", "dog"))
    table(folder / "train-00001-of-00002.parquet", range(4, 7), label=[1, 1, 0], names=("cat", "dog"))
    table(folder / "test-00000-of-00001.parquet", range(7, 9), label=[-1, -1], names=("cat", "dog"))
    train = open_dataset(tmp_path / "set")
    np.testing.assert_array_equal(train.images.numpy(), expected(range(7)))
    assert train.labels.tolist() == [0, 1, 0, 1, 1, 1, 0]
    assert train.class_names == ("cat", "dog")
    test = open_dataset(tmp_path / "set", split="test")
    assert test.labels is None  # Hugging Face's -1 is no class
    assert len(open_dataset(tmp_path / "set", split="all")) == 9


def test_columns_of_bool_and_float_are_attributes(parquet, tmp_path):
    path = table(
        tmp_path / "x.parquet", range(3), smiling=[True, None, False], age=[1.5, 2.0, None], id=[7, 8, 9]
    )
    dataset = pack(path, tmp_path / "x.fgd")
    assert dataset.attribute_names == ("smiling", "age")
    values = torch.tensor([[1, 1.5], [torch.nan, 2], [0, torch.nan]])
    torch.testing.assert_close(dataset.attributes, values, equal_nan=True)
    packed.verify(tmp_path / "x.fgd")


def test_class_names_in_the_column(parquet, tmp_path):
    dataset = open_dataset(table(tmp_path / "x.parquet", range(3), label=["dog", "cat", "dog"]))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [1, 0, 1]


def test_rows_without_an_image_are_bad_images(parquet, tmp_path):
    import pyarrow

    path = tmp_path / "x.parquet"
    parquet.write_table(pyarrow.table({"image": [picture(0), None, b"no image"]}), path)
    reasons = {bad.name: bad.reason for bad in open_dataset(path, max_bad=2).bad}
    assert reasons == {
        "x.parquet/1": "the table holds no bytes for it",
        "x.parquet/2": "not an image in a known format",
    }


def test_broken_tables_are_one_sentence(parquet, tmp_path):
    import pyarrow

    def raises(path, message: str) -> None:
        with pytest.raises(DataError, match=message) as error:
            open_dataset(path)
        assert "\n" not in str(error.value)

    whole = table(tmp_path / "x.parquet", range(4))
    (tmp_path / "cut.parquet").write_bytes(whole.read_bytes()[:-20])
    raises(tmp_path / "cut.parquet", r"cut\.parquet is cut short or no parquet file")
    (tmp_path / "empty.parquet").write_bytes(b"")
    raises(tmp_path / "empty.parquet", r"empty\.parquet is cut short")
    parquet.write_table(pyarrow.table({"picture": [b"x"]}), tmp_path / "other.parquet")
    raises(tmp_path / "other.parquet", r"no column image of encoded images, only picture")
    raises(
        table(tmp_path / "l.parquet", range(2), label=[0, 2], names="ab"),
        r"label holds 2, and there are 2 class",
    )
    raises(table(tmp_path / "v.parquet", range(2), label=[[1], [2]]), r"label holds \[1\]: use class numbers")
    raises(
        table(tmp_path / "i.parquet", range(2), age=[1.0, float("inf")]), r"i\.parquet row 1: age is infinite"
    )
    table(tmp_path / "two" / "a.parquet", range(2))
    table(tmp_path / "two" / "b.parquet", range(2), label=[0, 1])
    raises(tmp_path / "two", r"b\.parquet has other columns than a\.parquet")


def test_two_columns_of_one_name_and_a_part_that_is_no_file_are_refused(parquet, tmp_path):
    path = table(tmp_path / "set" / "a.parquet", range(3), label=[0, 1, 0])
    whole = parquet.read_table(path)
    parquet.write_table(whole.append_column("image", whole.column("image")), tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"has two columns called image: give each a name of its own"):
        open_dataset(tmp_path / "twice.parquet")
    (tmp_path / "set" / "b.parquet").symlink_to("/dev/null")
    with pytest.raises(DataError, match=r"b\.parquet is cut short or no parquet file \(.*is a device"):
        open_dataset(tmp_path / "set")


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"needs the package pyarrow: pip install 'pyarrow"):
        open_dataset(tmp_path / "x.parquet")
