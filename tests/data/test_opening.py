"""Folders and zips as users have them: classes, names, broken files, nonsense."""

import errno
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fastgan.data import open_dataset, pack, sources
from fastgan.data.ingest import allowed_bad
from fastgan.errors import DataError, OutputError
from tests.data.images import fill, noise, png_claiming, save


def zipped(folder: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, top + file.relative_to(folder).as_posix())
    return target


@pytest.fixture
def pets(tmp_path):
    """Two classes of 3 and 2 images, one nested deeper, with names that sort oddly."""
    root = tmp_path / "pets"
    for index, name in enumerate(
        ["cat 10/1.png", "cat 2/1.png", "cat 2/b/10.png", "cat 2/b/9.png", "cat 10/ü 猫.png"]
    ):
        save(root / name, noise(16, 16, seed=index))
    return root


ORDER = ("cat 2/1.png", "cat 2/b/9.png", "cat 2/b/10.png", "cat 10/1.png", "cat 10/ü 猫.png")


def test_class_folders_become_labels_in_natural_order(pets):
    dataset = open_dataset(pets)
    assert dataset.class_names == ("cat 2", "cat 10")
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1]
    assert dataset.labels.dtype == torch.int64
    assert dataset.names == ORDER
    assert dataset.images.shape == (5, 16, 16, 3)
    expected = [noise(16, 16, seed=seed) for seed in (1, 3, 2, 0, 4)]
    np.testing.assert_array_equal(dataset.images.numpy(), np.stack(expected))


def test_natural_order():
    numbers = [
        "",
        "01",
        "1",
        "2",
        "10",
        "A",
        "a",
        "a/z",
        "a1",
        "A1b",
        "a01b",
        "a1b2",
        "a2",
        "a10",
        "ab",
        "b",
        "é",
    ]
    folders = ["c", "c/9", "c/10", "c b/1", "c-/1", "d/1", "猫9", "猫10"]
    assert sorted([*folders, *numbers], key=sources.path_key) == [
        *numbers[:-1],
        *folders[:-2],
        "é",
        *folders[-2:],
    ]


@pytest.mark.parametrize("top", ["", "holiday/", "a/b/"])
def test_a_zip_gives_what_the_folder_gives(pets, tmp_path, top):
    folder, archive = open_dataset(pets), open_dataset(zipped(pets, tmp_path / "pets.zip", top))
    assert folder.content_hash == archive.content_hash
    assert archive.class_names == folder.class_names
    assert archive.names == tuple(top + name for name in ORDER)


def test_folders_called_train_and_test_are_splits(tmp_path):
    for split, counts in (("train", (3, 2)), ("Test", (1, 2)), ("val", (1, 1))):
        for name, count in zip(("cat", "dog"), counts, strict=True):
            fill(tmp_path / "set" / split / name, count, seed=len(split) + count)
    train = open_dataset(tmp_path / "set")
    assert train.class_names == ("cat", "dog")
    assert train.labels.tolist() == [0, 0, 0, 1, 1]
    assert any("only the training split was taken, 5 of 10" in note for note in train.notes)
    assert open_dataset(tmp_path / "set", split="test").labels.tolist() == [0, 1, 1]
    assert len(open_dataset(tmp_path / "set", split="all")) == 10


def test_a_path_that_two_sources_claim_needs_a_word(tmp_path):
    fill(tmp_path / "set", 2)
    with tarfile.open(tmp_path / "set" / "x.tar", "w") as archive:
        archive.add(tmp_path / "set" / "1.png", "1.png")
    (tmp_path / "set" / "y.parquet").write_bytes(b"PAR1")
    message = (
        r"could be parquet files of images \(kind='parquet'\) and WebDataset .tar shards \(kind='webdataset'\) "
        r"and a folder of images such as 0.png \(kind='folder'\): say which"
    )
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "set")
    assert len(open_dataset(tmp_path / "set", kind="webdataset")) == 1
    assert len(open_dataset(tmp_path / "set", kind="folder")) == 2
    with pytest.raises(DataError, match="kind='tar' is unknown: choose one of celeba, cifar, folder"):
        open_dataset(tmp_path / "set", kind="tar")
    with pytest.raises(DataError, match="is not CelebA: leave `kind` out"):
        open_dataset(tmp_path / "set", kind="celeba")


def test_a_path_that_may_not_be_looked_at(tmp_path, monkeypatch):
    def forbidden(_path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sources.all_kinds()["folder"], "matches", forbidden)
    with pytest.raises(DataError, match=r"cannot read .*set: Permission denied"):
        open_dataset(tmp_path / "set")


def test_padding_keeps_whole_images_and_chooses_by_the_long_side(tmp_path):
    for index in range(2):
        save(tmp_path / "in" / f"{index}.png", noise(16, 64, seed=index))
    assert open_dataset(tmp_path / "in").resolution == 16
    dataset = open_dataset(tmp_path / "in", fit="pad")
    assert dataset.resolution == 64
    np.testing.assert_array_equal(dataset.images[1, 24:40].numpy(), noise(16, 64, seed=1))
    assert (dataset.images[:, :24] == 0).all()
    assert dataset.provenance["upscaled"] == 0


def test_nothing_is_scanned_when_nothing_is_left_open(damaged):
    stages = set()
    dataset = open_dataset(
        damaged, resolution=8, channels=3, max_bad=3, progress=lambda stage, *_: stages.add(stage)
    )
    assert stages == {"decode"}
    assert len(dataset.bad) == 3


def test_images_beside_class_folders_mean_no_labels_and_a_note(pets):
    save(pets / "loose.png", noise(16, 16, seed=9))
    dataset = open_dataset(pets)
    assert dataset.labels is None
    assert dataset.class_names == ()
    assert any("1 of 6 images are in no class" in note for note in dataset.notes)


def test_one_folder_inside_is_looked_through(tmp_path):
    fill(tmp_path / "set" / "img_align", 3)
    assert open_dataset(tmp_path / "set").labels is None


def test_hidden_files_and_other_suffixes_are_not_looked_at(tmp_path):
    fill(tmp_path, 2)
    for name in (".hidden.png", "__MACOSX/._0.png", ".git/x.png", "list.txt", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not an image")
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("0.png", "1.png")
    assert dataset.bad == ()
    assert open_dataset(zipped(tmp_path, tmp_path / "s.zip")).names == ("0.png", "1.png")


def test_linked_folders_are_followed_once(tmp_path):
    fill(tmp_path / "real", 2)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(root)
    assert len(open_dataset(root)) == 2


@pytest.mark.skipif(os.name != "posix", reason="file names are text elsewhere")
def test_a_file_name_that_is_not_utf8(tmp_path):
    fill(tmp_path / "in", 1)
    try:
        os.rename(tmp_path / "in" / "0.png", os.fsencode(tmp_path / "in") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system refuses such names")
    assert pack(tmp_path / "in", tmp_path / "out.fgd").names == ("\ufffd.png",)


def test_resolution_is_the_power_of_two_nearest_to_the_median_short_side(tmp_path):
    def chosen(*shapes: tuple[int, int]) -> int:
        folder = tmp_path / "-".join(f"{h}x{w}" for h, w in shapes)
        for index, (height, width) in enumerate(shapes):
            save(folder / f"{index}.png", noise(height, width))
        return open_dataset(folder).resolution

    assert chosen((64, 64)) == 64
    assert chosen((63, 200), (200, 63)) == 64
    assert chosen((28, 28)) == 32
    assert chosen((48, 48)) == 32
    assert chosen((20, 20), (100, 140), (1000, 1000)) == 128
    assert chosen((600, 600)) == 256
    assert chosen((3, 5)) == 8


def test_channels_come_from_the_data(tmp_path):
    fill(tmp_path / "grey", 2, channels=1)
    fill(tmp_path / "both", 2, channels=1)
    save(tmp_path / "both" / "colour.png", noise(16, 16))
    fill(tmp_path / "alpha", 2, channels=4)
    assert open_dataset(tmp_path / "grey").channels == 1
    assert open_dataset(tmp_path / "grey", channels=3).channels == 3
    assert open_dataset(tmp_path / "both").channels == 3
    assert open_dataset(tmp_path / "alpha").channels == 3
    assert open_dataset(tmp_path / "alpha", channels=4).channels == 4


def test_enlarging_is_counted(tmp_path):
    fill(tmp_path, 2, size=16)
    save(tmp_path / "big.png", noise(40, 40))
    dataset = open_dataset(tmp_path, resolution=32)
    assert dataset.provenance["upscaled"] == 2
    assert any("2 of 3 images are smaller than 32" in note for note in dataset.notes)


@pytest.fixture
def damaged(tmp_path):
    """Ten good images and three bad ones."""
    root = tmp_path / "damaged"
    fill(root, 10)
    (root / "text.jpg").write_text("hello")
    (root / "bomb.png").write_bytes(png_claiming(100_000, 100_000))
    whole = (root / "0.png").read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    return root


@pytest.mark.parametrize("as_zip", [False, True])
def test_bad_images_are_skipped_by_name_up_to_the_limit(damaged, tmp_path, as_zip):
    source = zipped(damaged, tmp_path / "damaged.zip") if as_zip else damaged
    dataset = open_dataset(source, max_bad=3)
    assert len(dataset) == 10
    reasons = {bad.name: bad.reason for bad in dataset.bad}
    assert sorted(reasons) == ["bomb.png", "cut.png", "text.jpg"]
    assert "limit" in reasons["bomb.png"]
    assert "truncated" in reasons["cut.png"]
    assert "not an image" in reasons["text.jpg"]
    for limit in (2, 0.2, "2", "20%", 0):
        with pytest.raises(DataError, match=r"3 of 13 images cannot be used.*bomb\.png.*max_bad=3"):
            open_dataset(source, max_bad=limit)


def test_a_hundred_bad_images_make_a_short_message(tmp_path):
    for index in range(100):
        (tmp_path / f"{index}.jpg").write_text("x")
    with pytest.raises(DataError, match=r"100 of 100.*; \.\.\.; none is left") as error:
        open_dataset(tmp_path, max_bad=1.0)
    assert len(str(error.value)) < 600


def test_odd_zip_entries_are_bad_images(tmp_path):
    fill(tmp_path / "in", 3)
    target = zipped(tmp_path / "in", tmp_path / "odd.zip")
    picture = (tmp_path / "in" / "0.png").read_bytes()
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("../escape.png", picture)
        archive.writestr("/etc/root.png", picture)
        archive.writestr("broken.png", picture)
        archive.writestr("secret.png", picture)
    data = bytearray(target.read_bytes())
    with zipfile.ZipFile(target) as archive:
        start = archive.getinfo("broken.png").header_offset + 60
    data[start] ^= 0xFF  # its checksum no longer fits
    entry = data.rindex(b"secret.png") - 46  # its record in the central directory
    data[entry + 8] |= 1  # marked as encrypted
    target.write_bytes(data)
    reasons = {bad.name: bad.reason for bad in open_dataset(target, max_bad=4).bad}
    assert reasons["../escape.png"] == reasons["/etc/root.png"] == "its name points outside the zip"
    assert reasons["secret.png"] == "encrypted"
    assert "damaged in the zip" in reasons["broken.png"]
    assert not (tmp_path.parent / "escape.png").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.mkdir(), "holds no images"),
        (lambda p: (p.mkdir(), (p / "a.txt").write_text("x")), "holds no images"),
        (
            lambda p: p.write_text("hello"),
            "is of no known kind: give a folder of images, a .tar.gz of images, a .zip",
        ),
        (lambda p: zipfile.ZipFile(p, "w").close(), "holds no images"),
    ],
)
def test_sources_that_cannot_be(tmp_path, make, message):
    make(tmp_path / "source")
    with pytest.raises(DataError, match=message) as error:
        open_dataset(tmp_path / "source")
    assert "\n" not in str(error.value)


def test_a_broken_zip_says_so(tmp_path):
    fill(tmp_path / "in", 3)
    target = zipped(tmp_path / "in", tmp_path / "x.zip")
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(DataError, match="not a readable zip"):
        open_dataset(target)


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": 0},
        {"resolution": 10**6},
        {"channels": 2},
        {"max_bad": "many"},
        {"fit": "x"},
        {"split": "x"},
    ],
)
def test_impossible_options_fail_before_any_work(tmp_path, options):
    fill(tmp_path, 1)
    with pytest.raises(
        DataError, match=r"not possible|is unknown: choose one of|out of range: give a number"
    ):
        open_dataset(tmp_path, **options)


def test_allowed_bad():
    cases = [("1%", 10), ("0.5%", 5), (0.01, 10), ("0.01", 10), ("5", 5), (5, 5), (0, 0), (1, 1), (1.0, 1000)]
    for given, expected in [*cases, ("100%", 1000), (0.29, 290)]:
        assert allowed_bad(given, 1000) == expected, given
    assert allowed_bad("1%", 99) == 0
    for wrong in ("-1", "nan", "x%", "", "1.5", "101%", -0.1, float("nan")):
        with pytest.raises(DataError):
            allowed_bad(wrong, 10)


def test_progress_reaches_the_total_in_each_stage(damaged):
    calls: list[tuple[str, int, int]] = []
    open_dataset(damaged, max_bad=3, progress=lambda *call: calls.append(call))
    for stage, total in (("scan", 13), ("decode", 11)):
        assert [done for name, done, _ in calls if name == stage] == list(range(1, total + 1))


def test_a_set_too_large_for_memory_says_to_pack_it(tmp_path, monkeypatch):
    fill(tmp_path / "in", 4)
    monkeypatch.setattr("fastgan.data.spool.physical_memory", lambda: 1000)
    with pytest.raises(DataError, match="fastgan data pack"):
        open_dataset(tmp_path / "in")
    assert len(pack(tmp_path / "in", tmp_path / "out.fgd")) == 4


def test_pack_refuses_bad_targets_before_decoding(tmp_path):
    (tmp_path / "folder.fgd").mkdir()
    for name, message in (("x.bin", r"should end in \.fgd"), ("folder.fgd", "is a folder")):
        with pytest.raises(OutputError, match=message):
            pack(tmp_path / "not-even-there", tmp_path / name)


def test_an_interrupted_pack_leaves_nothing(tmp_path):
    fill(tmp_path / "in", 8)

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "decode" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path / "in", tmp_path / "out" / "x.fgd", progress=interrupt)
    assert list((tmp_path / "out").iterdir()) == []


def test_every_file_in_sources_is_a_kind_of_source():
    assert {"folder", "zip_file", "cifar", "celeba", "idx", "webdataset", "parquet"} <= set(
        sources.all_kinds()
    )
    for module in sources.all_kinds().values():
        assert callable(module.matches)
        assert callable(module.read)
        assert module.DESCRIBES


def test_a_full_disk_while_decoding_is_one_sentence(tmp_path, monkeypatch):
    class FullDisk(io.BytesIO):
        def write(self, _data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    fill(tmp_path / "in", 3)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: FullDisk())
    with pytest.raises(OutputError, match=r"cannot write in .*out: No space left on device"):
        pack(tmp_path / "in", tmp_path / "out" / "x.fgd")
