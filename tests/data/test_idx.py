"""MNIST's idx files, small ones."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from fastgan.data import open_dataset, pack
from fastgan.errors import DataError

NAMES = {"train": "train", "test": "t10k"}


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as LeCun wrote them."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(seed: int, count: int, side: int = 28) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10


def put(folder: Path, part: str, content: bytes, *, kind: str = "images-idx3", zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAMES.get(part, part)}-{kind}-ubyte{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def mnist(folder: Path, zipped: bool = True, side: int = 28) -> Path:
    for seed, (part, count) in enumerate((("train", 12), ("test", 10))):
        images, labels = digits(seed, count, side)
        put(folder, part, idx(images), zipped=zipped)
        put(folder, part, idx(labels), kind="labels-idx1", zipped=zipped)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
def test_both_parts_are_found_and_split(tmp_path, zipped):
    mnist(tmp_path / "mnist", zipped)
    everything = open_dataset(tmp_path / "mnist", resolution=28, split="all")
    parts = [open_dataset(tmp_path / "mnist", resolution=28, split=split) for split in (None, "test")]
    for seed, (count, part) in enumerate(zip((12, 10), parts, strict=True)):
        images, labels = digits(seed, count)
        np.testing.assert_array_equal(part.images[..., 0].numpy(), images)
        assert part.labels.tolist() == labels.tolist()
    assert torch.equal(everything.images, torch.cat([part.images for part in parts]))
    assert everything.class_names == tuple("0123456789")
    assert everything.channels == 1


def test_28_pixels_become_32_not_16(tmp_path):
    dataset = open_dataset(mnist(tmp_path / "mnist"))
    assert dataset.resolution == 32
    assert any(
        "size 32 is the power of two nearest to the images' median side of 28" in n for n in dataset.notes
    )
    assert open_dataset(mnist(tmp_path / "large", side=64)).resolution == 64
    assert open_dataset(mnist(tmp_path / "odd", side=48)).resolution == 32


def test_fashion_has_names(tmp_path):
    assert open_dataset(mnist(tmp_path / "Fashion-MNIST")).class_names[7] == "sneaker"


def test_one_file_of_images_takes_its_own_labels(tmp_path):
    mnist(tmp_path)
    dataset = open_dataset(tmp_path / "t10k-images-idx3-ubyte.gz")
    assert len(dataset) == 10
    assert dataset.labels.tolist() == list(range(10))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    bare = open_dataset(tmp_path / "t10k-images-idx3-ubyte.gz")
    assert bare.labels is None
    assert any("no labels" in note for note in bare.notes)


def test_colour_and_packing(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    path = put(tmp_path, "x", idx(images), kind="images-idx4", zipped=False)
    np.testing.assert_array_equal(pack(path, tmp_path / "x.fgd").images.numpy(), images)


IMAGES, LABELS = digits(0, 3)
BROKEN = {
    "magic": (
        b"\x00\x00\x0d" + idx(IMAGES)[3:],
        idx(LABELS),
        r"begins with 0x00000d03, not 0x00000803 or 0x00000804",
    ),
    "labels as images": (idx(LABELS), idx(LABELS), r"begins with 0x00000801"),
    "empty": (b"", idx(LABELS), r"begins with 0x, not"),
    "half a header": (idx(IMAGES)[:9], idx(LABELS), r"images.*is cut short"),
    "cut short": (
        idx(IMAGES)[:-1],
        idx(LABELS),
        r"images.*is cut short or damaged \(23\d\d of 23\d\d bytes\)",
    ),
    "labels cut short": (idx(IMAGES), idx(LABELS)[:-1], r"labels.*is cut short"),
    "too few labels": (
        idx(IMAGES),
        idx(LABELS[:2]),
        r"labels.*has 2 labels for the 3 images of train-images",
    ),
    "no images": (idx(IMAGES[:0]), idx(LABELS[:0]), r"holds an array of \[0, 28, 28\]"),
    "far too large": (
        b"\0\0\x08\3" + b"\xff" * 12 + b"x",
        idx(LABELS),
        r"images.*(is cut short|unpacks to \d+)",
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_one_sentence(tmp_path, what, zipped):
    images, labels, message = BROKEN[what]
    put(tmp_path, "train", images, zipped=zipped)
    put(tmp_path, "train", labels, kind="labels-idx1", zipped=zipped)
    with pytest.raises(DataError, match=message) as error:
        open_dataset(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [3, 30, -4])
def test_a_gz_cut_short(tmp_path, keep):
    path = put(tmp_path, "train", idx(IMAGES))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="is cut short or damaged"):
        open_dataset(tmp_path)


def test_several_sets_in_a_folder(tmp_path):
    for name in ("emnist-letters-train", "emnist-digits-train"):
        put(tmp_path, name, idx(IMAGES))
    with pytest.raises(DataError, match=r"holds several sets.*give one file"):
        open_dataset(tmp_path)
