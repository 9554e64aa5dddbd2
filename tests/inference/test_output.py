"""What is written: files that read back, whole or absent; the manifest; restarts; folders in use; full disks."""

import errno
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastgan.errors import ConfigError, OutputError
from fastgan.inference import manifest, pipeline, writers
from fastgan.inference.encoders import to_pil
from fastgan.inference.folder import OutputFolder
from fastgan.inference.grid import columns_for, contact_sheet
from fastgan.inference.image_sets import Layout
from fastgan.inference.shards import Shard
from tests.inference.fakes import SETTINGS, FakeRuntime, contents, expected, lines, names, write

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def test_images_and_manifest(tmp_path: Path) -> None:
    seeds = [3, 123456789, 0, 2**64 - 1, 7, 8]
    runtime, out = FakeRuntime(batch=4), tmp_path / "new" / "out"
    assert write(out, seeds, runtime=runtime) == 6
    assert runtime.batches == 2
    assert [line["seed"] for line in lines(out)] == sorted(seeds)
    for line in lines(out):
        file = out / line["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == line["sha256"]
        np.testing.assert_array_equal(np.asarray(Image.open(file)), expected(line["seed"]))
    assert names(out) == {"fastgan.json", "manifest.jsonl", *(line["file"] for line in lines(out))}
    assert {"seed123456789.png", "seed00000003.png"} <= names(out)
    stored = json.loads((out / "fastgan.json").read_text())
    assert stored["set"]["seeds"] == f"3,123456789,0,{2**64 - 1},7-8"
    assert (stored["set"]["format"], stored["set"]["batch"]) == ("png", 4)


def test_second_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    assert write(tmp_path, range(5)) == 5
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.png")}
    runtime = FakeRuntime()
    assert write(tmp_path, range(5), runtime=runtime) == 0
    assert runtime.batches == 0
    (tmp_path / "seed00000002.png").unlink()
    assert write(tmp_path, range(5, 12)) == 7  # further seeds; the missing one is not among them
    assert write(tmp_path, range(7)) == 1
    for name, modified in before.items():
        if name != "seed00000002.png":
            assert (tmp_path / name).stat().st_mtime_ns == modified
    assert [line["seed"] for line in lines(tmp_path)] == list(range(12))
    assert json.loads((tmp_path / "fastgan.json").read_text())["set"]["seeds"] == "0-11"


@pytest.mark.parametrize("killed_after", [0, 1, 6, 9])
def test_killed_run_is_finished_right(
    killed_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.replace, 0

    def dies(source: Path, target: Path) -> None:
        nonlocal calls
        calls += str(target).endswith(".png")
        if calls > killed_after:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(writers.os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", range(10))
    monkeypatch.undo()
    assert len(lines(tmp_path / "out")) >= killed_after  # a line goes before its image
    with open(tmp_path / "out" / "manifest.jsonl", "a") as file:
        file.write('{"seed": 4, "fi')  # cut by the kill
    there = len(list((tmp_path / "out").glob("seed*.png")))
    assert there == killed_after
    assert write(tmp_path / "out", range(10)) == 10 - there
    write(tmp_path / "straight", range(10))
    assert contents(tmp_path / "out") == contents(tmp_path / "straight")
    assert lines(tmp_path / "out") == lines(tmp_path / "straight")
    assert names(tmp_path / "out") == names(tmp_path / "straight")


def test_images_that_a_power_cut_emptied_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of the newest lines may the images be unwritten: those are held against their bytes."""
    write(tmp_path, range(12))
    for seed in (2, 11):
        (tmp_path / f"seed{seed:08d}.png").write_bytes(b"")
    monkeypatch.setattr(manifest, "SYNC", 4)
    assert write(tmp_path, range(12)) == 1
    assert (tmp_path / "seed00000011.png").stat().st_size
    monkeypatch.undo()
    assert write(tmp_path, range(12)) == 1
    assert [line["seed"] for line in lines(tmp_path)] == list(range(12))


def test_images_are_synced_before_more_lines_than_a_restart_looks_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[list[str]] = []
    monkeypatch.setattr(writers, "SYNC", 6)
    monkeypatch.setattr(writers, "sync_files", lambda _, files: synced.append([f.name for f in files]))
    write(tmp_path, range(16), runtime=FakeRuntime(batch=8))
    assert [len(some) for some in synced] == [6, 2, 6, 2]
    assert len({name for some in synced for name in some}) == 16


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["open_new", "os.replace", "Journal.add"])
def test_full_disk_while_writing_images(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, range(4))
    monkeypatch.setattr(f"fastgan.inference.writers.{where}", full)
    with pytest.raises(OutputError, match=r"No space left on device.*same command again"):
        write(tmp_path, range(10))
    monkeypatch.undo()
    assert len(contents(tmp_path)) == 4
    assert not [name for name in names(tmp_path) if name.endswith(".part")]
    assert write(tmp_path, range(10)) == 6


def test_folder_in_use(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear")
    with pytest.raises(OutputError, match="not made by fastgan generate"):
        OutputFolder(tmp_path, SETTINGS)
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]
    OutputFolder(tmp_path, SETTINGS, overwrite=True)
    assert letter.read_text() == "dear"
    with pytest.raises(OutputError, match="is a file"):
        OutputFolder(letter, SETTINGS)
    with pytest.raises(OutputError, match="cannot write to"):
        OutputFolder(letter / "out", SETTINGS)


def test_other_settings_are_refused_or_replace(tmp_path: Path) -> None:
    write(tmp_path, range(3))
    (tmp_path / "notes.txt").write_text("mine")
    other = SETTINGS | {"truncation": 0.5}
    with pytest.raises(OutputError, match=r"truncation 1\.0, now 0\.5"):
        OutputFolder(tmp_path, other)
    with pytest.raises(OutputError, match=r"batch 4, now 8"):
        write(tmp_path, range(3), runtime=FakeRuntime(batch=8))
    with pytest.raises(OutputError, match=r"format png, now webp, encoder Pillow .*now libwebp"):
        write(tmp_path, range(3), image_format="webp")
    assert len(list(tmp_path.glob("*.png"))) == 3
    OutputFolder(tmp_path, other, overwrite=True)
    assert names(tmp_path) == {"fastgan.json", "notes.txt"}


def test_an_encoder_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, range(3))
    monkeypatch.setattr("PIL.__version__", "99.0")
    with pytest.raises(OutputError, match=r"encoder Pillow.*now Pillow 9"):
        write(tmp_path, range(5))


def test_unreadable_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "fastgan.json").write_text("{")
    with pytest.raises(OutputError, match="other settings"):
        OutputFolder(tmp_path, SETTINGS)


def test_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "out", range(1))
    victim = tmp_path / "victim.png"
    victim.write_text("x")
    with open(tmp_path / "out" / "manifest.jsonl", "a") as file:
        file.write(json.dumps({"seed": 1, "file": "../victim.png", "sha256": "0"}) + "\n[1]\n")
    assert write(tmp_path / "out", range(2)) == 1
    assert len(lines(tmp_path / "out")) == 2
    OutputFolder(tmp_path / "out", SETTINGS, overwrite=True)
    assert victim.exists()


def test_two_processes_do_not_write_the_same(tmp_path: Path) -> None:
    out = OutputFolder(tmp_path, SETTINGS)
    settings = {"format": "png"}

    def held(shard: Shard) -> Any:
        return out.writing(settings, range(9), shard, may_grow=True)

    with held(Shard(0, 2, "--shard")), held(Shard(1, 2, "--shard")):
        for other in (Shard(1, 2, "--shard"), Shard(1, 3, "--shard"), Shard()):
            with pytest.raises(
                OutputError, match=r"another fastgan generate is writing manifest-0000\d-of-00002"
            ):
                held(other).__enter__()
        with pytest.raises(OutputError, match="another fastgan generate"):
            OutputFolder(tmp_path, SETTINGS, overwrite=True)
    with held(Shard()):
        pass


def test_npz(tmp_path: Path) -> None:
    seeds = [5, 2, 2**64 - 1, 9, 11]
    assert write(tmp_path, seeds, image_format="npz") == 5
    with np.load(tmp_path / "images.npz", allow_pickle=False) as archive:
        assert archive["images"].shape == (5, 8, 8, 3)
        np.testing.assert_array_equal(archive["seeds"], np.array(seeds, np.uint64))
        for image, seed in zip(archive["images"], seeds, strict=True):
            np.testing.assert_array_equal(image, expected(seed))
    assert write(tmp_path, seeds, image_format="npz") == 0
    with pytest.raises(OutputError, match="seeds 5,2,"):
        write(tmp_path, seeds[:3], image_format="npz")
    assert zipfile.ZipFile(tmp_path / "images.npz").testzip() is None
    line = next(line for line in lines(tmp_path) if line["seed"] == 9)
    assert line["sha256"] == hashlib.sha256(expected(9).tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"image_format": "gif"}, "choose one of png, jpg, webp, webp-lossless, webdataset, parquet, npz"),
        ({"image_format": "png", "encoding": "jpg"}, "`encoding` says what is inside"),
        ({"image_format": "parquet", "encoding": "bmp"}, "encoding='bmp' is unknown"),
        ({"image_format": "jpg", "per_file": 3}, "a jpg is one"),
        ({"image_format": "npz", "per_file": 0}, "per_file=0 is out of range"),
    ],
)
def test_layouts_that_cannot_be(layout: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Layout(**layout)


def test_contact_sheet() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 4, 3), np.uint8) + 1
    sheet = contact_sheet(images, 3)
    assert sheet.shape == (4, 12, 3)
    assert sheet[0, :, 0].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert sheet[3, :, 2].tolist() == [4] * 4 + [5] * 4 + [0] * 4


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (16, 4), (17, 5)])
def test_columns(count: int, columns: int) -> None:
    assert columns_for(count, 64) == columns


def test_sheet_too_large() -> None:
    assert columns_for(256 * 256, 64) == 256
    with pytest.raises(ConfigError, match="at most 65536 images"):
        columns_for(256 * 256 + 1, 64)


def test_grid_of_all_channels(tmp_path: Path) -> None:
    for channels, mode in MODES.items():
        runtime = FakeRuntime(img_channels=channels)
        folder = OutputFolder(tmp_path / mode, SETTINGS)
        path = pipeline.write_grid(runtime, range(5), folder, advance=lambda n: None)
        with Image.open(path) as sheet:
            assert (sheet.mode, sheet.size) == (mode, (24, 16))
            first = sheet.crop((0, 0, 8, 8))
        np.testing.assert_array_equal(np.asarray(first), np.asarray(to_pil(expected(0, channels))))
