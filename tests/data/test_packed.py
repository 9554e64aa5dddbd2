"""The packed file: whole, mapped, reproducible, and refused with a sentence when it is not what it should be."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fastgan.data import BadImage, Dataset, open_dataset, pack, packed, verified
from fastgan.data.dataset import content_hash, encode_names
from fastgan.errors import DataError, OutputError
from tests.data.images import fill, noise


def full(n: int = 6, size: int = 8, channels: int = 3) -> Dataset:
    """A set with every optional part."""
    images = torch.from_numpy(noise(n * size, size, channels).reshape(n, size, size, channels))
    labels = torch.arange(n) % 2
    attributes = (torch.arange(n)[:, None] % torch.tensor([2, 3])).clamp(max=1).float()
    return Dataset(
        images=images,
        labels=labels,
        class_names=("zwei", "猫"),
        attributes=attributes,
        attribute_names=("smiling", "hat"),
        content_hash=content_hash(images, labels, attributes),
        bad=(BadImage("a/b.jpg", "not an image"),),
        notes=("a note",),
        provenance={"source": "test", "found": n + 1},
        name_bytes=encode_names([f"{index}\n.png" for index in range(n)]),
    )


def same(a: Dataset, b: Dataset) -> None:
    for name in ("images", "labels", "attributes"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    for name in ("class_names", "attribute_names", "bad", "notes", "provenance", "content_hash", "names"):
        assert getattr(a, name) == getattr(b, name), name


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_round_trip(tmp_path, channels):
    dataset = full(channels=channels)
    packed.write(tmp_path / "x.fgd", dataset)
    same(packed.read(tmp_path / "x.fgd"), dataset)
    same(packed.verify(tmp_path / "x.fgd"), dataset)
    same(open_dataset(tmp_path / "x.fgd"), dataset)
    assert dataset.names[0] == "0 .png"


def test_unknown_attributes_survive_and_are_hashed(tmp_path):
    whole = full()
    attributes = whole.attributes.clone()
    attributes[1, 0], attributes[2, 1] = torch.nan, -17.25
    dataset = replace(
        whole, attributes=attributes, content_hash=content_hash(whole.images, whole.labels, attributes)
    )
    packed.write(tmp_path / "x.fgd", dataset)
    found = packed.verify(tmp_path / "x.fgd")
    torch.testing.assert_close(found.attributes, attributes, equal_nan=True, atol=0, rtol=0)
    assert found.content_hash != whole.content_hash
    small = open_dataset(tmp_path / "x.fgd", channels=1)
    torch.testing.assert_close(small.attributes, attributes, equal_nan=True, atol=0, rtol=0)


def test_a_file_of_the_first_version_is_still_read(tmp_path):
    dataset, expected = packed.verify(Path(__file__).with_name("version1.fgd")), full()
    assert dataset.content_hash.startswith("cbe1cc7f94a7")
    assert dataset.images.shape == expected.images.shape
    for name in ("labels", "attributes"):
        assert torch.equal(getattr(dataset, name), getattr(expected, name))
    for name in ("class_names", "attribute_names", "bad", "notes", "provenance", "names"):
        assert getattr(dataset, name) == getattr(expected, name)


def test_any_safetensors_reader_opens_it(tmp_path):
    dataset = full()
    packed.write(tmp_path / "x.fgd", dataset)
    with safe_open(tmp_path / "x.fgd", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("images"), dataset.images.numpy())
        np.testing.assert_array_equal(file.get_tensor("labels"), dataset.labels.numpy())
        assert json.loads(file.metadata()["class_names"]) == ["zwei", "猫"]


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="only Linux lists its maps")
def test_images_stay_in_the_file(tmp_path):
    packed.write(tmp_path / "x.fgd", full())
    dataset = packed.read(tmp_path / "x.fgd")
    with open("/proc/self/maps") as maps:
        assert not any("x.fgd" in line for line in maps)  # a map of a file that is cut ends the process
    with pytest.raises(TypeError, match="change a copy"):
        dataset.images[0] = 0


def test_the_same_source_gives_the_same_bytes(tmp_path):
    for place in ("here", "there"):
        fill(tmp_path / place / "set" / "a", 3)
        fill(tmp_path / place / "set" / "b", 2, seed=1)
        pack(tmp_path / place / "set", tmp_path / f"{place}.fgd")
    content = (tmp_path / "here.fgd").read_bytes()
    assert content == (tmp_path / "there.fgd").read_bytes()
    assert str(tmp_path).encode() not in content
    in_memory = open_dataset(tmp_path / "here" / "set")
    packed.write(tmp_path / "saved.fgd", in_memory)
    assert content == (tmp_path / "saved.fgd").read_bytes()
    assert in_memory.content_hash == content_hash(in_memory.images, in_memory.labels)


def test_smaller_and_grey_from_a_packed_set(tmp_path):
    dataset = full(size=16)
    packed.write(tmp_path / "x.fgd", dataset)
    small = open_dataset(tmp_path / "x.fgd", resolution=8, channels=1)
    assert small.images.shape == (6, 8, 8, 1)
    assert torch.equal(small.labels, dataset.labels)
    assert small.attribute_names == dataset.attribute_names
    assert small.content_hash == content_hash(small.images, small.labels, small.attributes)
    same(pack(tmp_path / "x.fgd", tmp_path / "y.fgd", resolution=8, channels=1), small)
    with pytest.raises(DataError, match=r"packed at size 16.*--size 32"):
        open_dataset(tmp_path / "x.fgd", resolution=32)


def test_a_set_is_not_packed_onto_itself(tmp_path):
    packed.write(tmp_path / "x.fgd", full(size=16))
    with pytest.raises(OutputError, match="is being read"):
        pack(tmp_path / "x.fgd", tmp_path / "x.fgd", resolution=8, overwrite=True)
    assert packed.verify(tmp_path / "x.fgd").resolution == 16
    assert [file.name for file in tmp_path.iterdir()] == ["x.fgd"]


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_file_cut_short(tmp_path, keep):
    packed.write(tmp_path / "x.fgd", full())
    whole = (tmp_path / "x.fgd").read_bytes()
    (tmp_path / "x.fgd").write_bytes(whole[: int(len(whole) * keep) if keep == 0.5 else keep])
    with pytest.raises(DataError, match=r"x\.fgd is cut short, damaged or no packed set"):
        open_dataset(tmp_path / "x.fgd")


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "none.fgd")
    save_file({"weight": torch.zeros(3)}, tmp_path / "model.fgd")
    with pytest.raises(DataError, match="no packed set"):
        open_dataset(tmp_path / "model.fgd")
    (tmp_path / "text.fgd").write_text("hello there, this is a text and not a packed set at all")
    with pytest.raises(DataError, match="no packed set"):
        open_dataset(tmp_path / "text.fgd")


def broken(tmp_path, **changes) -> None:
    """A packed file with some tensors or metadata replaced (None: left out)."""
    packed.write(tmp_path / "good.fgd", full())
    with safe_open(tmp_path / "good.fgd", "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        metadata = {key: text for key, text in file.metadata().items() if key not in ("sha256", "shape")}
    for name, value in changes.items():
        target = (
            tensors if isinstance(value, torch.Tensor) or (value is None and name in tensors) else metadata
        )
        target.pop(name, None)
        if value is not None:
            target[name] = value
    save_file(tensors, tmp_path / "x.fgd", metadata)


@pytest.mark.parametrize(
    "changes",
    [
        {"images": None},
        {"images": torch.zeros(6, 8, 8, 3)},
        {"images": torch.zeros(6, 8, 9, 3, dtype=torch.uint8)},
        {"images": torch.zeros(6, 8, 8, 2, dtype=torch.uint8)},
        {"images": torch.zeros(0, 8, 8, 3, dtype=torch.uint8)},
        {"labels": torch.full((6,), 2)},
        {"labels": torch.full((6,), -1)},
        {"labels": torch.zeros(5, dtype=torch.int64)},
        {"labels": torch.zeros(6)},
        {"attributes": torch.zeros(6, 3)},
        {"attributes": torch.full((6, 2), torch.inf)},
        {"class_names": "[not json"},
        {"class_names": None},
        {"content_hash": None},
        {"version": "2"},
    ],
)
def test_parts_that_do_not_fit_together(tmp_path, changes):
    broken(tmp_path, **changes)
    with pytest.raises(DataError, match=r"x\.fgd is a (broken packed set|packed set of version 2)") as error:
        open_dataset(tmp_path / "x.fgd")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["images", "labels", "attributes"])
def test_a_changed_value_is_noticed_by_all_but_who_reads_the_header_alone(tmp_path, part):
    packed.write(tmp_path / "good.fgd", full())
    with safe_open(tmp_path / "good.fgd", "pt") as file:
        changed = file.get_tensor(part).clone()
    changed.view(-1)[0] = 1 - changed.view(-1)[0]
    broken(tmp_path, **{part: changed})
    packed.read(tmp_path / "x.fgd")
    for read in (packed.verify, open_dataset):
        with pytest.raises(DataError, match="changed or damaged"):
            read(tmp_path / "x.fgd")


def flip(path, at):
    content = path.read_bytes()
    at %= len(content)
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_a_flipped_bit_anywhere_is_seen(tmp_path):
    path = tmp_path / "x.fgd"
    packed.write(path, full())
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 150):
        flip(path, at)
        with pytest.raises(DataError, match=r"damaged|cut short|no packed set|packed set of version|broken"):
            open_dataset(path)
        path.write_bytes(whole)
    same(open_dataset(path), full())


def test_a_large_set_is_verified_once_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verified, "SMALL", 100)
    path, told = tmp_path / "x.fgd", []
    packed.write(path, full())
    shared = {"progress": lambda *said: told.append(said)}
    open_dataset(path, **shared)
    assert told == [("check", 6, 6)]
    open_dataset(path, **shared)
    assert len(told) == 1
    flip(path, -60)
    with pytest.raises(DataError, match="changed or damaged"):
        open_dataset(path, **shared)
    monkeypatch.setenv("FASTGAN_VERIFY", "0")
    assert len(open_dataset(path, **shared)) == 6
    assert len(told) == 2
    monkeypatch.setenv("FASTGAN_VERIFY", "1")
    flip(path, -60)
    (tmp_path / "cache" / "verified").rename(tmp_path / "cache" / "other")
    (tmp_path / "cache" / "verified").touch()  # nothing can be kept there
    open_dataset(path, **shared)
    open_dataset(path, **shared)
    assert len(told) == 4


def test_what_cannot_be_written_is_one_sentence_and_leaves_the_old_file(tmp_path, monkeypatch):
    packed.write(tmp_path / "x.fgd", full())
    before = (tmp_path / "x.fgd").read_bytes()

    def full_disk(tensor: torch.Tensor) -> list[torch.Tensor]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed, "pieces", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        packed.write(tmp_path / "x.fgd", full(size=16))
    assert (tmp_path / "x.fgd").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.fgd"]


def test_a_dataset_of_mismatched_parts_is_a_bug():
    with pytest.raises(ValueError, match="images must be uint8"):
        Dataset(images=torch.zeros(2, 8, 8, 3), content_hash="")
    with pytest.raises(ValueError, match="labels has 1 rows for 2 images"):
        Dataset(images=torch.zeros(2, 8, 8, 3, dtype=torch.uint8), labels=torch.zeros(1), content_hash="")
