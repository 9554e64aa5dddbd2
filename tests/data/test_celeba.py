"""CelebA in small: the names, columns and numbers of the original files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fastgan.data import open_dataset, pack, packed
from fastgan.errors import DataError
from tests.data.images import noise, save

ATTRIBUTES = ["5_o_Clock_Shadow", "Black_Hair", "Smiling", "Young"]
COUNT = 12
SPLIT = [0] * 8 + [1] * 2 + [2] * 2


def value(index: int, column: int) -> int:
    return 1 if (index * 7 + column * 3) % 5 < 2 else -1


def names() -> list[str]:
    return [f"{index:06d}.jpg" for index in range(1, COUNT + 1)]


def attribute_lines() -> list[str]:
    rows = [f"{name} " + " ".join(f"{value(i, c):2d}" for c in range(4)) for i, name in enumerate(names())]
    return [str(COUNT), " ".join(ATTRIBUTES) + " ", *rows]


def partition_lines() -> list[str]:
    return [f"{name} {part}" for name, part in zip(names(), SPLIT, strict=True)]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def celeba(tmp_path) -> Path:
    root = tmp_path / "celeba"
    for index, name in enumerate(names()):
        save(root / "img_align_celeba" / name, noise(22, 18, seed=index), quality=95)
    write(root / "list_attr_celeba.txt", attribute_lines())
    write(root / "list_eval_partition.txt", partition_lines())
    return root


def expected(rows: range) -> list[list[float]]:
    return [[float(value(i, c) > 0) for c in range(4)] for i in rows]


def test_attributes_and_official_splits(celeba):
    train = open_dataset(celeba, resolution=16)
    assert train.attribute_names == tuple(ATTRIBUTES)
    assert train.attributes.tolist() == expected(range(8))
    assert train.labels is None
    assert train.names == tuple(names()[:8])
    assert train.provenance["kind"] == "celeba"
    for split, rows in (("val", range(8, 10)), ("test", range(10, 12)), ("all", range(12))):
        part = open_dataset(celeba, resolution=16, split=split)
        assert part.attributes.tolist() == expected(rows)


def test_every_layout_gives_the_same_set(celeba, tmp_path):
    reference = open_dataset(celeba, resolution=16, split="all")
    assert (
        open_dataset(celeba / "img_align_celeba", resolution=16, split="all").content_hash
        == reference.content_hash
    )
    with zipfile.ZipFile(celeba / "img_align_celeba.zip", "w") as archive:
        for name in reversed(names()):
            archive.write(celeba / "img_align_celeba" / name, f"img_align_celeba/{name}")
    zipped = open_dataset(celeba / "img_align_celeba.zip", resolution=16, split="all")
    original = tmp_path / "original"  # as the authors' drive has it
    for place, name in (
        ("Img", "img_align_celeba.zip"),
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
    ):
        (original / place).mkdir(parents=True)
        (celeba / name).rename(original / place / name)
    moved = open_dataset(original, resolution=16, split="all")
    assert zipped.content_hash == moved.content_hash == reference.content_hash
    assert len(open_dataset(original, resolution=16, split="test")) == 2


def test_comma_separated_lists(celeba):
    reference = open_dataset(celeba, resolution=16)
    for stem, lines, header in (
        ("list_attr_celeba", attribute_lines()[2:], ["image_id", *ATTRIBUTES]),
        ("list_eval_partition", partition_lines(), ["image_id", "partition"]),
    ):
        (celeba / f"{stem}.txt").unlink()
        write(celeba / f"{stem}.csv", [",".join(header), *(",".join(line.split()) for line in lines)])
    found = open_dataset(celeba, resolution=16)
    assert (found.content_hash, found.attribute_names) == (reference.content_hash, reference.attribute_names)


def test_packed_and_verified(celeba, tmp_path):
    dataset = pack(celeba, tmp_path / "c.fgd", resolution=16, fit="pad")
    found = packed.verify(tmp_path / "c.fgd")
    assert torch.equal(found.attributes, dataset.attributes)
    assert found.attribute_names == tuple(ATTRIBUTES)
    assert (found.images[:, :, 0] == 0).all()  # 22 x 18 are padded left and right
    assert "padded" in found.provenance["resize"]


def test_without_a_partition_there_are_no_splits(celeba):
    (celeba / "list_eval_partition.txt").unlink()
    dataset = open_dataset(celeba, resolution=16)
    assert len(dataset) == COUNT
    assert any("no official splits" in note for note in dataset.notes)
    with pytest.raises(DataError, match=r"has no official splits, so there is no test in it"):
        open_dataset(celeba, split="test")


def test_without_attributes_it_is_a_folder(celeba):
    (celeba / "list_attr_celeba.txt").unlink()
    assert open_dataset(celeba, resolution=16).provenance["kind"] == "folder"


def test_images_that_are_not_in_the_list_are_unknown(celeba):
    (celeba / "list_eval_partition.txt").unlink()
    save(celeba / "img_align_celeba" / "000099.jpg", noise(22, 18))
    dataset = open_dataset(celeba, resolution=16)
    assert dataset.attributes[-1].isnan().all()
    assert any("1 of 13 images are not in list_attr_celeba.txt" in note for note in dataset.notes)


ATTR, PART = "list_attr_celeba.txt", "list_eval_partition.txt"
BROKEN = {
    "missing image": (
        ATTR,
        ["13", *attribute_lines()[1:], "000077.jpg 1 1 1 1"],
        r"names 000077\.jpg that is not there",
    ),
    "cut short": (ATTR, attribute_lines()[:-3], r"is cut short: it announces 12 images and lists 9"),
    "columns": (
        ATTR,
        [*attribute_lines()[:-1], "000012.jpg 1 1 1"],
        r"000012\.jpg has 3 values for 4 attributes",
    ),
    "value": (
        ATTR,
        [*attribute_lines()[:-1], "000012.jpg 1 1 1 2"],
        r"000012\.jpg has the value '2', which is not -1 or 1",
    ),
    "twice": (ATTR, [*attribute_lines()[:-1], attribute_lines()[-2]], r"lists 000011\.jpg twice"),
    "same name": (ATTR, ["12", "A B A C", *attribute_lines()[2:]], r"has two columns called A"),
    "empty": (ATTR, [], r"list_attr_celeba\.txt is empty"),
    "part": (
        PART,
        [*partition_lines()[:-1], "000012.jpg 3"],
        r"'000012\.jpg 3' is not an image and 0, 1 or 2",
    ),
    "unlisted": (PART, partition_lines()[:-2], r"does not list 000011\.jpg"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_lists_are_one_sentence(celeba, what):
    name, lines, message = BROKEN[what]
    write(celeba / name, lines)
    with pytest.raises(DataError, match=message) as error:
        open_dataset(celeba)
    assert "\n" not in str(error.value)


def test_a_list_that_is_no_text(celeba):
    (celeba / ATTR).write_bytes(np.arange(128, 255, dtype=np.uint8).tobytes())
    with pytest.raises(DataError, match=r"cannot read .*list_attr_celeba\.txt"):
        open_dataset(celeba)
