"""What is not read is counted by suffix and said, so that nobody trains on 3 of 33 photos without a word."""

import io
import re
import tarfile
import zipfile

import pytest
from PIL import Image

from fastgan.__main__ import run
from fastgan.data import listing, open_dataset, passed_over
from fastgan.data.decode import suffixes
from fastgan.errors import DataError
from fastgan.evaluation import findings
from fastgan.study import begin
from tests.data.images import encoded, fill, noise

NAMES = [
    *(f"IMG_{i}.HEIC" for i in range(30)),
    "a.psd",
    "b.PSD",
    "note.txt",
    "c.CR2",
    "README",
    "sub/d.svg",
    "clip.mp4",
]
TOLD = (
    r"ONLY 3 of 40 files are read, passed over: 30 \.heic \(pip install 'pillow-heif[^ ]*' reads them\), "
    r"2 \.psd \(not read: export them as PNG\), 1 without a suffix \(.*rename them\), "
    r"1 \.cr2 \(raw photos are not read: export them as JPEG or TIFF\), 1 \.svg, 1 \.mp4 \(videos .*\), 1 \.txt"
)


@pytest.fixture
def no_heif(monkeypatch):
    without = suffixes() - {".heic", ".heif"}
    monkeypatch.setattr(listing, "suffixes", lambda: without)
    monkeypatch.setattr("fastgan.data.tar_index.suffixes", lambda: without)


def _folder(path):
    fill(path, 3)
    for name in [*NAMES, ".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"]:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(b"x")
    return path


def _zip(path):
    with zipfile.ZipFile(f"{path}.zip", "w") as archive:
        for index in range(3):
            archive.writestr(f"{index}.png", encoded(noise(16, 16, seed=index)).getvalue())
        for name in [*NAMES, "__MACOSX/._0.png"]:
            archive.writestr(name, b"x")
    return path.with_suffix(".zip")


def _tar(path):
    with tarfile.open(f"{path}.tar", "w") as archive:
        for name in [
            *(f"{i}.png" for i in range(3)),
            *(name for name in NAMES if name != "note.txt"),
            "x.csv",
        ]:
            content = encoded(noise(16, 16)).getvalue() if name.endswith("png") else b"x"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path.with_suffix(".tar")


@pytest.mark.parametrize("make", [_folder, _zip, _tar])
def test_30_heic_beside_3_png_are_said(tmp_path, no_heif, make):
    source = make(tmp_path / "photos")
    dataset = open_dataset(source)
    assert len(dataset) == 3
    expected = (
        TOLD
        if make is not _tar
        else TOLD.replace("1 \\.mp4", "1 \\.csv \\(tables .*\\), 1 \\.mp4").removesuffix(r", 1 \.txt")
    )
    assert re.fullmatch(expected, dataset.notes[0]), dataset.notes[0]
    assert dataset.provenance["passed_over"][".heic"] == 30


def test_the_commands_cannot_be_misread(tmp_path, no_heif, capsys):
    source = _folder(tmp_path / "photos")
    assert run(["data", "pack", str(source), "-o", str(tmp_path / "x.fgd")]) == 0
    out, err = capsys.readouterr()
    assert "attention   ONLY 3 of 40 files are read" in out
    assert "note: ONLY 3 of 40 files" in err
    assert run(["data", "info", str(tmp_path / "x.fgd")]) == 0
    assert "ONLY 3 of 40" in capsys.readouterr().out
    train = ["train", str(tmp_path / "x.fgd"), "--resolution", "8", "--budget", "8img", "--device", "cpu"]
    small = ["model.width=8", "train.batch=4", "train.precision=fp32", "train.grid_images=4"]
    extra = [part for setting in small for part in ("--set", setting)]
    assert run([*train, *extra, "--out", str(tmp_path / "run")]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert "attention: ONLY 3 of 40 files are read" in out
    assert "ONLY 3 of 40" in err


def test_studies_and_evaluations_say_it_too(tmp_path, no_heif):
    found = open_dataset(_folder(tmp_path / "photos"))
    assert [text for text in begin._warnings(found) if text.startswith("ONLY 3 of 40 files")]
    (text,) = findings.missing(found, None)
    assert text.startswith("photos: ONLY 3 of 40 files")


def test_a_few_other_files_are_a_note_and_no_alarm(tmp_path):
    fill(tmp_path, 3)
    (tmp_path / "captions.txt").write_text("x")
    dataset = open_dataset(tmp_path)
    assert dataset.notes[0] == "passed over: 1 .txt"
    assert passed_over.warnings(dataset.notes) == []


def test_nothing_passed_over_is_no_note(tmp_path):
    fill(tmp_path, 3)
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    dataset = open_dataset(tmp_path)
    assert not any("passed over" in note for note in dataset.notes)
    assert "passed_over" not in dataset.provenance


def test_only_what_is_not_read_is_an_error_that_says_what_there_is(tmp_path, no_heif):
    for index in range(4):
        (tmp_path / f"{index}.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds no images: .*4 \.heic \(pip install 'pillow-heif"):
        open_dataset(tmp_path)


def test_psd_is_not_taken_for_an_image(tmp_path):
    """A PSD may hold a placeholder that asks for Photoshop, where its picture should be."""
    fill(tmp_path, 1)
    (tmp_path / "a.psd").write_bytes(b"8BPS" + bytes(100))
    assert [note for note in open_dataset(tmp_path).notes if ".psd" in note]


def test_heic_is_read_where_the_extra_is_there(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    fill(tmp_path, 1)
    Image.fromarray(noise(16, 16)).save(tmp_path / "a.heic", "HEIF", quality=-1)
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 2
    assert not any("passed over" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.HEIC", ".heic"),
        ("a.b/c", ""),
        (".png", ""),
        ("x." + "a" * 30, ""),
        ("x.\x1b[1m", ""),
        ("a/.b/c.7z", ".7z"),
    ],
)
def test_suffixes(name, suffix):
    assert passed_over.suffix_of(name) == suffix


def test_a_table_of_another_name_is_told_the_names_that_are_read() -> None:
    assert "1 .csv (tables that are read are called attributes.csv or metadata.csv)" in passed_over.told(
        {".csv": 1}, 5
    )


def test_a_single_kind_more_is_named_and_many_are_counted() -> None:
    kinds = {f".a{k}": 1 for k in range(9)}
    assert passed_over.told(kinds, 99).endswith("1 .a8")
    assert passed_over.told({**kinds, ".a9": 1}, 99).endswith("2 of 2 other kinds")


@pytest.mark.parametrize("name", ["x.tar.xz", "x.rar"])
def test_an_archive_that_is_not_read_is_called_one(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"archive of a kind that is not read: unpack it, or pack it as \.zip"
    ):
        open_dataset(tmp_path / name)
