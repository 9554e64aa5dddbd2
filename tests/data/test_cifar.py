"""CIFAR in its four downloads, made small: same files, same opcodes and bytes."""

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
import torch

from fastgan.data import open_dataset
from fastgan.errors import DataError
from tests.data.python2 import dumps

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HUNDRED = [f"fine_{index}" for index in range(100)]
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python", "cifar-100-binary")
TRAIN = {"10": [f"data_batch_{index}" for index in range(1, 6)], "100": ["train"]}
TEST = {"10": "test_batch", "100": "test"}


def batch(seed: int, classes: int, count: int = 4) -> tuple[np.ndarray, list[int]]:
    """Pixels uint8 [count, 3072] and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), rng.integers(0, classes, count).tolist()


def files(folder: str) -> dict[str, bytes]:
    """The files of one version."""
    size, is_binary = folder.split("-")[1], folder.endswith(("bin", "binary"))
    names = TEN if size == "10" else HUNDRED
    parts = {name: batch(seed, len(names)) for seed, name in enumerate([*TRAIN[size], TEST[size]])}
    if is_binary:
        found = {}
        for name, (pixels, labels) in parts.items():
            columns = [np.array(labels, np.uint8)[:, None]]
            coarse = [] if size == "10" else [np.full((len(labels), 1), 7, np.uint8)]
            found[f"{name}.bin"] = np.concatenate([*coarse, *columns, pixels], 1).tobytes()
        meta = "batches.meta.txt" if size == "10" else "fine_label_names.txt"
        return {**found, meta: ("\n".join(names) + "\n\n").encode()}
    key = "labels" if size == "10" else "fine_labels"
    meta, names_key = ("batches.meta", "label_names") if size == "10" else ("meta", "fine_label_names")
    found = {
        name: dumps({"data": pixels, key: labels, "coarse_labels": [0]})
        for name, (pixels, labels) in parts.items()
    }
    return {**found, meta: dumps({names_key: names, "num_vis": 3072})}


def archived(content: dict[str, bytes], folder: str, target) -> None:
    """A .tar.gz as downloaded: the folder first, then its files in no helpful order."""
    with tarfile.open(target, "w:gz") as archive:
        top = tarfile.TarInfo(folder)
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for name in sorted(content, reverse=True):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content[name])
            archive.addfile(member, io.BytesIO(content[name]))


def extracted(content: dict[str, bytes], folder) -> None:
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("folder", FOLDERS)
def test_archive_folder_and_parent_give_the_same_set(tmp_path, folder):
    content = files(folder)
    archived(content, folder, tmp_path / "download.tar.gz")
    extracted(content, tmp_path / "data" / folder)
    sets = [
        open_dataset(tmp_path / name, split="all") for name in ("download.tar.gz", "data", f"data/{folder}")
    ]
    size = folder.split("-")[1]
    assert len({dataset.content_hash for dataset in sets}) == 1
    dataset = sets[0]
    names = TEN if size == "10" else HUNDRED
    parts = [batch(seed, len(names)) for seed in range(len(TRAIN[size]) + 1)]
    expected = np.concatenate([pixels for pixels, _ in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(dataset.images.numpy(), expected)
    assert dataset.labels.tolist() == [label for _, labels in parts for label in labels]
    assert dataset.class_names == tuple(names)
    assert dataset.provenance["kind"] == "cifar"


@pytest.mark.parametrize("folder", FOLDERS)
def test_official_splits(tmp_path, folder):
    archived(files(folder), folder, tmp_path / "c.tar.gz")
    everything = open_dataset(tmp_path / "c.tar.gz", split="all")
    train, test = open_dataset(tmp_path / "c.tar.gz"), open_dataset(tmp_path / "c.tar.gz", split="test")
    assert torch.equal(torch.cat([train.images, test.images]), everything.images)
    assert torch.equal(torch.cat([train.labels, test.labels]), everything.labels)
    assert len(test) == 4
    assert any("only the training split" in note and "split='all'" in note for note in train.notes)
    assert train.class_names == test.class_names
    assert test.provenance["splits"] == ["test"]
    with pytest.raises(DataError, match="no images of its val split, only train, test"):
        open_dataset(tmp_path / "c.tar.gz", split="val")


def test_python_and_binary_hold_the_same(tmp_path):
    for folder in FOLDERS:
        archived(files(folder), folder, tmp_path / f"{folder}.tar.gz")
    hashes = [open_dataset(tmp_path / f"{folder}.tar.gz").content_hash for folder in FOLDERS]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]


class Evil:
    """Says what it did."""

    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def changed(**replaced) -> dict[str, bytes | None]:
    content = dict(files(FOLDERS[0]))
    for name, data in replaced.items():
        content[name.replace("META", "batches.meta")] = data
    return {name: data for name, data in content.items() if data is not None}


PIXELS, LABELS = batch(0, 10)
BROKEN = {
    "malicious": (
        {"data_batch_2": pickle.dumps(Evil(), 2)},
        r"data_batch_2 is a pickle that wants to run \w+\.exec",
    ),
    "cut short": ({"data_batch_3": files(FOLDERS[0])["data_batch_3"][:500]}, r"data_batch_3 is cut short"),
    "missing": ({"test_batch": None}, r"lacks (cifar-10-batches-py/)?test_batch"),
    "no pixels": ({"test_batch": dumps({"labels": LABELS})}, r"test_batch holds no images"),
    "odd pixels": (
        {"test_batch": dumps({"data": PIXELS[:, :-1], "labels": LABELS})},
        r"no images of 3072 bytes",
    ),
    "no labels": ({"test_batch": dumps({"data": PIXELS})}, r"test_batch holds no list of labels"),
    "few labels": ({"test_batch": dumps({"data": PIXELS, "labels": [1]})}, r"4 images and 1 labels"),
    "wild label": (
        {"test_batch": dumps({"data": PIXELS, "labels": [1, 2, 3, 10]})},
        r"the label 10, and there are 10",
    ),
    "no names": ({"META": dumps({"label_names": []})}, r"batches\.meta does not name the classes"),
    "not a dict": ({"META": dumps([1])}, r"batches\.meta does not name the classes"),
}


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("what", BROKEN)
def test_broken_batches_are_one_sentence(tmp_path, what, as_folder):
    replaced, message = BROKEN[what]
    content = changed(**replaced)
    if as_folder:
        extracted(content, tmp_path / "cifar-10-batches-py")
        source = tmp_path / "cifar-10-batches-py"
    else:
        archived(content, "cifar-10-batches-py", tmp_path / "c.tar.gz")
        source = tmp_path / "c.tar.gz"
    with pytest.raises(DataError, match=message) as error:
        open_dataset(source)
    assert "\n" not in str(error.value)


def test_a_binary_batch_cut_short(tmp_path):
    content = files(FOLDERS[1])
    content["data_batch_1.bin"] = content["data_batch_1.bin"][:-1]
    archived(content, FOLDERS[1], tmp_path / "c.tar.gz")
    with pytest.raises(DataError, match=r"data_batch_1\.bin is cut short.*no multiple of 3073"):
        open_dataset(tmp_path / "c.tar.gz")


@pytest.mark.parametrize("keep", [5, 2000, -100])
def test_an_archive_cut_short(tmp_path, keep):
    archived(files(FOLDERS[0]), FOLDERS[0], tmp_path / "whole.tar.gz")
    whole = (tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(whole[:keep])
    with pytest.raises(
        DataError, match=r"cifar-10-python\.tar\.gz is cut short or damaged.*download it again"
    ):
        open_dataset(tmp_path / "cifar-10-python.tar.gz")


def test_other_archives_are_not_taken_for_it(tmp_path):
    archived({"a.txt": b"x"}, "something", tmp_path / "x.tar.gz")
    (tmp_path / "y.tar.gz").write_bytes(gzip.compress(b"no tar"))
    for name, message in {"x.tar.gz": "holds no images", "y.tar.gz": "no plain tar"}.items():
        with pytest.raises(DataError, match=message):
            open_dataset(tmp_path / name)
