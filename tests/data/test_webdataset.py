"""WebDataset shards, and what tar files can be when they are not whole."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fastgan.data import open_dataset, pack, packed
from fastgan.errors import DataError
from tests.data.images import encoded, noise


def shard(path: Path, files: dict[str, bytes], *, mode: str = "w", form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def image(seed: int, kind: str = "PNG") -> bytes:
    return encoded(noise(16, 16, seed=seed), kind).getvalue()


def samples(start: int, count: int, **notes) -> dict[str, bytes]:
    """`count` samples; notes: extension -> function of the sample's number."""
    files = {}
    for index in range(start, start + count):
        files[f"{index:05d}.png"] = image(index)
        files |= {f"{index:05d}.{extension}": make(index).encode() for extension, make in notes.items()}
    return files


def test_shards_in_a_folder_a_pattern_and_one_alone(tmp_path):
    for number in range(3):
        shard(tmp_path / "set" / f"part-{number:02d}.tar", samples(number * 4, 4, cls=lambda i: str(i % 3)))
    folder = open_dataset(tmp_path / "set")
    np.testing.assert_array_equal(
        folder.images.numpy(), np.stack([noise(16, 16, seed=seed) for seed in range(12)])
    )
    assert folder.labels.tolist() == [index % 3 for index in range(12)]
    assert folder.class_names == ("0", "1", "2")
    assert folder.names[4] == "part-01.tar/00004.png"
    assert open_dataset(tmp_path / "set" / "part-{00..02}.tar").content_hash == folder.content_hash
    assert open_dataset(tmp_path / "set" / "part-{00,01,02}.tar").content_hash == folder.content_hash
    assert torch.equal(open_dataset(tmp_path / "set" / "part-01.tar").images, folder.images[4:8])
    with pytest.raises(DataError, match=r"2 of the 5 shards .* are not there, .*part-03\.tar first"):
        open_dataset(tmp_path / "set" / "part-{00..04}.tar")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_and_long_names(tmp_path, form):
    long = f"{'d' * 60}/{'n' * 80}"
    path = shard(
        tmp_path / "x.tar",
        {f"{long}.png": image(1), f"{long}.cls": b"7", "b.webp": image(2, "WEBP")},
        form=form,
    )
    dataset = open_dataset(path)
    np.testing.assert_array_equal(dataset.images[0].numpy(), noise(16, 16, seed=1))
    assert dataset.names[0] == f"x.tar/{long}.png"


def test_classes_and_attributes_of_json(tmp_path):
    def note(index: int) -> str:
        attributes = {"smiling": index % 2, "age": None if index == 1 else 20.5 + index}
        return json.dumps({"label": "truck" if index else "car", "attributes": attributes, "caption": "x"})

    dataset = pack(shard(tmp_path / "x.tar", samples(0, 3, json=note)), tmp_path / "x.fgd")
    assert dataset.class_names == ("car", "truck")
    assert dataset.labels.tolist() == [0, 1, 1]
    assert dataset.attribute_names == ("smiling", "age")
    expected = torch.tensor([[0, 20.5], [1, torch.nan], [0, 22.5]])
    torch.testing.assert_close(dataset.attributes, expected, equal_nan=True)
    packed.verify(tmp_path / "x.fgd")


def test_texts_are_classes_when_they_repeat_and_captions_when_not(tmp_path):
    classes = shard(tmp_path / "a.tar", samples(0, 6, txt=lambda i: ("cat", "dog")[i % 2]))
    assert open_dataset(classes).class_names == ("cat", "dog")
    captions = open_dataset(shard(tmp_path / "b.tar", samples(0, 6, txt=lambda i: f"photo number {i}")))
    assert captions.labels is None
    assert any("captions (6 different ones)" in note for note in captions.notes)


def test_a_sample_without_a_class_means_no_labels(tmp_path):
    path = shard(tmp_path / "x.tar", {**samples(0, 2, cls=str), **samples(2, 1)})
    dataset = open_dataset(path)
    assert dataset.labels is None
    assert any("1 of 3 images are in no class" in note for note in dataset.notes)


def test_splits_by_name(tmp_path):
    shard(tmp_path / "set" / "train-0.tar", samples(0, 3))
    shard(tmp_path / "set" / "test-0.tar", samples(3, 2))
    assert len(open_dataset(tmp_path / "set")) == 3
    assert len(open_dataset(tmp_path / "set", split="test")) == 2
    assert len(open_dataset(tmp_path / "set", split="all")) == 5


def test_a_damaged_image_is_skipped_by_name(tmp_path):
    path = shard(tmp_path / "x.tar", {**samples(0, 4), "bad.jpg": b"no image", "../up.png": image(9)})
    dataset = open_dataset(path, max_bad=1)
    assert [str(bad) for bad in dataset.bad] == ["bad.jpg (not an image in a known format)"]
    assert not (tmp_path.parent / "up.png").exists()


@pytest.mark.parametrize("keep", [0, 100, 700, 1536, "between members", "marker"])
def test_a_shard_cut_short_anywhere(tmp_path, keep):
    path = shard(tmp_path / "x.tar", samples(0, 4))
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    ends = {"between members": last.offset, "marker": last.offset_data + -(-last.size // 512) * 512}
    path.write_bytes(whole[: ends.get(keep, keep)])
    with pytest.raises(DataError, match=r"x\.tar is cut short or no plain tar") as error:
        open_dataset(path)
    assert "\n" not in str(error.value)


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path):
    path = shard(tmp_path / "x.tar", samples(0, 4))
    with tarfile.open(path) as archive:
        offset = archive.getmembers()[2].offset
    data = bytearray(path.read_bytes())
    data[offset + 10] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"neither a file nor the end"):
        open_dataset(path)


BROKEN = {
    "two images": (
        {"a.png": image(0), "a.jpg": image(1)},
        r"x\.tar: the sample a has two images, a\.png and a\.jpg",
    ),
    "no json": ({"a.png": image(0), "a.json": b"{"}, r"x\.tar: a\.json is not valid JSON"),
    "binary class": ({"a.png": image(0), "a.cls": b"\xff"}, r"x\.tar: a\.cls is not UTF-8"),
    "attribute": ({"a.png": image(0), "a.json": b'{"attributes": {"age": "old"}}'}, r"a\.json: age is 'old'"),
    "huge": (
        {"a.png": image(0), "a.json": b'{"attributes": {"age": 1' + b"0" * 400 + b"}}"},
        r"a\.json is not valid JSON \(a number of 401 digits",
    ),
    "no images": ({"a.txt": b"x"}, r"holds no images"),
    "nothing": ({}, r"holds no images"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_shards_are_one_sentence(tmp_path, what):
    files, message = BROKEN[what]
    with pytest.raises(DataError, match=message) as error:
        open_dataset(shard(tmp_path / "x.tar", files))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mode", "name"), [("w:gz", "x.tar.gz"), ("w:gz", "x.tgz"), ("w:bz2", "x.tar.bz2"), ("w:gz", "x.tar")]
)
def test_a_compressed_tar_is_what_it_unpacks_to(tmp_path, mode, name):
    files = samples(0, 5, cls=lambda i: str(i % 2))
    plain = open_dataset(shard(tmp_path / "plain.tar", files))
    dataset = open_dataset(shard(tmp_path / name, files, mode=mode))
    assert dataset.content_hash == plain.content_hash


def test_a_tar_packed_with_zstd(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    plain = shard(tmp_path / "plain.tar", samples(0, 5))
    with arrow.CompressedOutputStream(str(tmp_path / "x.tar.zst"), "zstd") as file:
        file.write(plain.read_bytes())
    assert open_dataset(tmp_path / "x.tar.zst").content_hash == open_dataset(plain).content_hash


@pytest.mark.parametrize("keep", [0.3, 0.95, -4])
def test_a_compressed_tar_cut_short(tmp_path, keep):
    path = shard(tmp_path / "x.tar.gz", samples(0, 5), mode="w:gz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep < 0 else keep * len(whole))])
    with pytest.raises(DataError, match=r"x\.tar\.gz is cut short or no plain tar"):
        open_dataset(path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("top", ["", "./", "photos/", "./photos/"])
def test_a_plain_tar_of_class_folders_has_classes(tmp_path, mode, top):
    files = {f"{top}{'cat' if i % 2 else 'dog'}/{i}.png": image(i) for i in range(6)}
    dataset = open_dataset(shard(tmp_path / ("x.tar.gz" if "gz" in mode else "x.tar"), files, mode=mode))
    assert dataset.class_names == ("cat", "dog")
    by_name = dict(zip(dataset.names, dataset.labels.tolist(), strict=True))
    assert {name.rpartition("/")[2]: label for name, label in by_name.items()} == {
        f"{i}.png": (i + 1) % 2 for i in range(6)
    }
    for row, name in enumerate(dataset.names):
        number = int(name.rpartition("/")[2][:-4])
        np.testing.assert_array_equal(dataset.images[row].numpy(), noise(16, 16, seed=number))


def test_several_plain_tars_have_the_classes_of_their_folders(tmp_path):
    for split, first in (("train", 0), ("val", 4)):
        files = {f"{split}/{'cat' if i % 2 else 'dog'}/{i}.png": image(i) for i in range(first, first + 4)}
        shard(tmp_path / "set" / f"{split}.tar", files)
    dataset = open_dataset(tmp_path / "set")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [1, 0, 1, 0]


def test_a_folder_around_each_shard_is_no_class_and_documents_in_shards_are_said(tmp_path):
    for number in range(2):
        files = {f"part-{number}/{i}.png": image(10 * number + i) for i in range(3)}
        shard(tmp_path / "set" / f"part-{number}.tar", files | {"dataset.json": b"{}"})
    dataset = open_dataset(tmp_path / "set")
    assert dataset.class_names == ()
    assert any("dataset.json is not read" in note for note in dataset.notes)


def test_a_plain_tar_has_the_annotations_of_a_zip(tmp_path):
    files = {f"set/{i}.png": image(i) for i in range(3)}
    labels = {"labels": [[f"{i}.png", i % 2] for i in range(3)]}
    table = b"name,age\n0.png,3\n1.png,\n2.png,5\n"
    files |= {"set/dataset.json": json.dumps(labels).encode(), "set/attributes.csv": table}
    dataset = open_dataset(shard(tmp_path / "x.tar", files))
    assert dataset.labels.tolist() == [0, 1, 0]
    assert dataset.attributes[:, 0].tolist()[::2] == [3, 5]


def test_what_comes_after_the_end_of_a_tar_is_not_lost_without_a_word(tmp_path):
    """A header that was zeroed, and `cat a.tar b.tar`."""
    first, second = shard(tmp_path / "a.tar", samples(0, 3)), shard(tmp_path / "b.tar", samples(3, 3))
    joined = tmp_path / "joined.tar"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with tarfile.open(first) as archive:
        start = archive.getmembers()[1].offset
    content = bytearray(first.read_bytes())
    content[start : start + 512] = bytes(512)
    (tmp_path / "zeroed.tar").write_bytes(content)
    for path in (joined, tmp_path / "zeroed.tar"):
        with pytest.raises(DataError, match=r"its end, at byte \d+, is followed by more"):
            open_dataset(path)
    with open(first, "ab") as file:
        file.write(bytes(100_000))
    assert len(open_dataset(first)) == 3


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.SYMTYPE])
def test_what_is_no_file_in_a_tar_is_counted(tmp_path, kind):
    path = shard(tmp_path / "x.tar", samples(0, 3))
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("00003.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    found = open_dataset(path)
    assert len(found) == 3
    assert any("passed over: 1 .png" in note for note in found.notes)


def test_a_file_added_later_replaces_and_a_hard_link_is_the_same_image(tmp_path):
    path = shard(tmp_path / "x.tar", {"a.png": image(0), "b.png": image(1)})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("c.png")
        link.type, link.linkname = tarfile.LNKTYPE, "b.png"
        archive.addfile(link)
        new = tarfile.TarInfo("a.png")
        new.size = len(image(7))
        archive.addfile(new, io.BytesIO(image(7)))
    dataset = open_dataset(path)
    np.testing.assert_array_equal(
        dataset.images.numpy(), np.stack([noise(16, 16, seed=seed) for seed in (7, 1, 1)])
    )


def test_names_with_dots_are_samples_of_their_own(tmp_path):
    names = ["IMG_2023.01.05", "IMG_2023.01.06", "scan.1", "scan.2", "plot.1", "plot.2"]
    files = {}
    for number, name in enumerate(names):
        files |= {f"{name}.png": image(number), f"{name}.cls": str(number % 2).encode()}
    dataset = open_dataset(shard(tmp_path / "x.tar", files))
    assert dataset.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert (
        len(
            open_dataset(
                shard(tmp_path / "y.tar", {name: text for name, text in files.items() if "png" in name})
            )
        )
        == 6
    )


def test_a_note_of_the_name_before_the_dots_is_for_all_that_begin_so(tmp_path):
    files = {
        "a.1.png": image(0),
        "a.2.png": image(1),
        "a.cls": b"cat",
        "a.2.cls": b"dog",
        "b.png": image(2),
        "b.cls": b"cat",
    }
    dataset = open_dataset(shard(tmp_path / "x.tar", files))
    assert [dataset.class_names[label] for label in dataset.labels] == ["cat", "dog", "cat"]


@pytest.mark.parametrize("parts", [("left", "right"), ("", "mask"), ("input", "target")])
def test_several_images_a_sample_are_refused_and_nobody_is_told_to_delete(tmp_path, parts):
    files = {".".join(filter(None, (f"{i:03d}", part, "png"))): image(i) for i in range(3) for part in parts}
    with pytest.raises(DataError, match=r"the sample 001 has two images, .*put all into a \.zip") as error:
        open_dataset(shard(tmp_path / "x.tar", files))
    assert "keep one" not in str(error.value)


PATTERNS = {
    "part-{0..999999999999}.tar": "more than 1,000,000 shards",
    "{0..999}{0..999}{0..999}{0..999}.tar": "more than 1,000,000 shards",
    "{a,b}{0..900000}.tar": "more than 1,000,000 shards",
    "x{5..3}.tar": "counts down",
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_too_many_shards_end_at_once(tmp_path, pattern):
    with pytest.raises(DataError, match=PATTERNS[pattern]):
        open_dataset(tmp_path / pattern)
