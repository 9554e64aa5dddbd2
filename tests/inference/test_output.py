"""What is written: files that read back, whole or absent; the manifest; restarts; folders in use; full disks."""

import errno
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastgan.errors import ConfigError, OutputError
from fastgan.inference import Facts, Inputs, Runtime, latents, pipeline
from fastgan.inference.folder import MANIFEST, OutputFolder
from fastgan.inference.grid import columns_for, contact_sheet
from fastgan.inference.runtime import Fetch
from fastgan.inference.writers import check_format, encode, npz_holds, open_npz, to_pil

SETTINGS = {"model": "fake", "truncation": 1.0}
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class FakeRuntime(Runtime):
    """Images that are a function of z, and a count of the batches that were run."""

    name, precision, device = "fake", "fp32", "cpu"

    def __init__(self, *, batch: int = 4, img_channels: int = 3) -> None:
        facts = Facts(
            source="fake", model="fake", resolution=8, img_channels=img_channels, z_dim=5, has_truncation=True,
            cur_nimg=None, data_hash=None, fingerprint="0" * 64,
        )  # fmt: skip
        super().__init__(facts, batch=batch)
        self.batches = 0

    def _begin(self, inputs: Inputs) -> Fetch:
        assert inputs.z.shape == (self.batch, 5)
        self.batches += 1
        pixels = np.outer(inputs.z[:, 0], np.linspace(1, 200, 8 * 8 * self.img_channels))
        pixels = pixels * inputs.truncation_psi
        return lambda: pixels.astype(np.int64).astype(np.uint8).reshape(-1, 8, 8, self.img_channels)


def write(folder: Path, seeds: Any, *, runtime: Runtime | None = None, image_format: str = "png") -> int:
    opened = OutputFolder(folder, SETTINGS)
    return pipeline.write_images(
        runtime or FakeRuntime(), seeds, opened, image_format, advance=lambda n: None
    )


def expected(seed: int, img_channels: int = 3) -> np.ndarray:
    return FakeRuntime(batch=1, img_channels=img_channels).generate(latents([seed], 5))[0]


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


@pytest.mark.parametrize("img_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("image_format", ["png", "jpg", "webp"])
def test_files_read_back(img_channels: int, image_format: str, tmp_path: Path) -> None:
    if image_format == "jpg" and img_channels in (2, 4):
        with pytest.raises(ConfigError, match="alpha"):
            check_format(image_format, img_channels)
        return
    check_format(image_format, img_channels)
    smooth = np.add.outer(np.arange(9, 73, 2), np.arange(9, 73, 2)).astype(np.uint8)[..., None]
    image = np.repeat(smooth, img_channels, axis=2)
    path = tmp_path / f"image.{image_format}"
    path.write_bytes(encode(image, image_format))
    with Image.open(path) as read:
        back = np.asarray(read.convert(MODES[img_channels])).reshape(32, 32, -1)
    tolerance = 0 if image_format == "png" else 6
    assert np.abs(back.astype(int) - image).max() <= tolerance


def test_unknown_format() -> None:
    with pytest.raises(ConfigError, match="choose one of png, jpg, webp, npz"):
        check_format("gif", 3)


def test_images_and_manifest(tmp_path: Path) -> None:
    seeds = [3, 123456789, 0, 2**64 - 1, 7, 8]
    runtime = FakeRuntime(batch=4)
    ticks: list[int] = []
    folder = OutputFolder(tmp_path / "new" / "out", SETTINGS)
    assert pipeline.write_images(runtime, seeds, folder, "png", advance=ticks.append) == 6
    assert runtime.batches == 2
    assert sum(ticks) == 6
    lines = manifest(folder.path)
    assert sorted(line["seed"] for line in lines) == sorted(seeds)
    for line in lines:
        file = folder.path / line["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == line["sha256"]
        np.testing.assert_array_equal(np.asarray(Image.open(file)), expected(line["seed"]))
    named = {"fastgan.json", "manifest.jsonl", *(line["file"] for line in lines)}
    assert {file.name for file in folder.path.iterdir()} == named
    assert "seed123456789.png" in named
    assert "seed00000003.png" in named


def test_second_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    assert write(tmp_path, range(5)) == 5
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.png")}
    runtime = FakeRuntime()
    assert write(tmp_path, range(5), runtime=runtime) == 0
    assert runtime.batches == 0
    (tmp_path / "seed00000002.png").unlink()
    assert write(tmp_path, range(7)) == 3
    for name, modified in before.items():
        if name != "seed00000002.png":
            assert (tmp_path / name).stat().st_mtime_ns == modified
    assert sorted(line["seed"] for line in manifest(tmp_path)) == list(range(7))
    assert write(tmp_path, range(3), image_format="webp") == 3


@pytest.mark.parametrize("killed_after", [0, 1, 6, 9])
def test_killed_run_is_finished_right(
    killed_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = pipeline.replace_bytes, 0

    def dies(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > killed_after:
            path.with_name(f".{path.name}.part").write_bytes(data[:10])
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(pipeline, "replace_bytes", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", range(10))
    monkeypatch.undo()
    with open(tmp_path / "out" / MANIFEST, "a") as file:
        file.write('{"seed": 4, "fi')  # a line cut by the kill
    there = len(list((tmp_path / "out").glob("seed*.png")))
    assert there <= killed_after
    assert write(tmp_path / "out", range(10)) == 10 - there
    write(tmp_path / "straight", range(10))
    for file in (tmp_path / "straight").glob("*.png"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    key = "seed"
    assert sorted(manifest(tmp_path / "out"), key=lambda e: e[key]) == manifest(tmp_path / "straight")
    assert not list((tmp_path / "out").glob(".*"))


def test_full_disk_while_writing_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(pipeline, "replace_bytes", full)
    with pytest.raises(OutputError, match=r"No space left on device.*same command again"):
        write(tmp_path, range(10))


def test_full_disk_while_writing_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, images: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fastgan.inference.writers.NpzStream.append", full)
    with pytest.raises(OutputError, match="No space left on device"):
        pipeline.write_npz(FakeRuntime(), range(3), OutputFolder(tmp_path, SETTINGS), advance=lambda n: None)
    assert [file.name for file in tmp_path.iterdir()] == ["fastgan.json"]


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
    assert len(list(tmp_path.glob("*.png"))) == 3
    OutputFolder(tmp_path, other, overwrite=True)
    assert {file.name for file in tmp_path.iterdir()} == {"fastgan.json", "notes.txt"}


def test_unreadable_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "fastgan.json").write_text("{")
    with pytest.raises(OutputError, match="other settings"):
        OutputFolder(tmp_path, SETTINGS)


def test_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "out", range(1))
    victim = tmp_path / "victim.png"
    victim.write_text("x")
    with open(tmp_path / "out" / MANIFEST, "a") as file:
        file.write(json.dumps({"seed": 1, "file": "../victim.png", "sha256": "0"}) + "\n[1]\n")
    OutputFolder(tmp_path / "out", SETTINGS)
    assert len(manifest(tmp_path / "out")) == 1
    OutputFolder(tmp_path / "out", SETTINGS, overwrite=True)
    assert victim.exists()


def test_npz(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path, SETTINGS)
    seeds = [5, 2, 2**64 - 1, 9, 11]
    assert pipeline.write_npz(FakeRuntime(), seeds, folder, advance=lambda n: None) == 5
    with np.load(tmp_path / "images.npz", allow_pickle=False) as archive:
        assert archive["images"].shape == (5, 8, 8, 3)
        np.testing.assert_array_equal(archive["seeds"], np.array(seeds, np.uint64))
        for image, seed in zip(archive["images"], seeds, strict=True):
            np.testing.assert_array_equal(image, expected(seed))
    assert pipeline.write_npz(FakeRuntime(), seeds, folder, advance=lambda n: None) == 0
    with pytest.raises(OutputError, match="other seeds"):
        pipeline.write_npz(FakeRuntime(), seeds[:3], folder, advance=lambda n: None)
    assert zipfile.ZipFile(tmp_path / "images.npz").testzip() is None


def test_npz_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    with pytest.raises(RuntimeError, match="announced"), open_npz(path, [1, 2], (8, 8, 3)) as stream:
        stream.append(np.zeros((1, 8, 8, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"PK")
    assert not npz_holds(path, [1])


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


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the disk, only a few batches wait."""
    seen: list[int] = []
    submitted = 0
    real = pipeline._write_one

    class Counting(FakeRuntime):
        def _begin(self, inputs: Inputs) -> Fetch:
            nonlocal submitted
            submitted += len(inputs)
            seen.append(submitted - len(done))
            return super()._begin(inputs)

    done: list[int] = []

    def slow(*arguments: Any) -> str:
        import time

        time.sleep(0.001)
        digest = real(*arguments)
        done.append(1)
        return digest

    monkeypatch.setattr(pipeline, "_write_one", slow)
    write(tmp_path, range(100), runtime=Counting(batch=4))
    assert max(seen) <= (pipeline._IN_FLIGHT + 2) * 4
