"""Outputs: nothing of the user's is replaced unasked, no device ever, and no command writes onto what it reads."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastgan.__main__ import run
from fastgan.data import open_dataset, pack
from fastgan.errors import OutputError
from fastgan.exporters import external, triton
from fastgan.files import check_output
from fastgan.study import write
from tests.tiny import tiny_run


def fastgan(*arguments: object) -> int:
    return run([*map(str, arguments)])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tiny_run(tmp_path / "run", "dcgan")
    (folder / "config.toml").write_text("[train]\n")
    (folder / "log.jsonl").write_text('{"cur_nimg": 8, "loss_d": 1.0}\n')
    return folder


def every_output(model: Path, images: Path, target: Path) -> dict[str, list[object]]:
    return {
        "pack": ["data", "pack", images, "-o", target.with_suffix(".fgd")],
        "avatars": ["data", "avatars", "-n", 2, "--workers", 1, "-o", target.with_suffix(".fgd")],
        "report": ["report", model, "-o", target],
        "onnx": ["export", model, "--onnx", target.with_suffix(".onnx")],
        "card": ["eval", model, "--data", images, "-n", 8, "--metrics", "kid", "-o", target],
        "reference": ["eval", model, "--data", images, "-n", 8, "--save-reference", target],
        "bench": ["bench", "ops", "--quick", "--json", target],
        "page": ["bench", "ops", "--quick", "--html", target],
    }


KINDS = ["pack", "avatars", "report", "onnx", "card", "reference", "bench", "page"]


@pytest.mark.parametrize("kind", KINDS)
def test_devices_and_pipes_are_refused_and_stay(
    kind: str, model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = every_output(model, images, tmp_path / "out")[kind]
    target = Path(str(arguments[-1]))
    target.symlink_to("/dev/full")
    assert fastgan(*arguments, "--overwrite") == 2
    assert "it is a device" in capsys.readouterr().err
    assert target.is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    target.unlink()
    os.mkfifo(target)
    assert fastgan(*arguments, "--overwrite") == 2
    assert "it is a named pipe" in capsys.readouterr().err
    assert target.is_fifo()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_users_is_replaced_only_when_asked(
    kind: str, model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = every_output(model, images, tmp_path / "out")[kind]
    target = Path(str(arguments[-1]))
    target.write_text("precious")
    assert fastgan(*arguments) == 2
    assert "is there already: choose another name, or give --overwrite" in capsys.readouterr().err
    assert target.read_text() == "precious"


def test_what_an_earlier_call_wrote_is_replaced(model: Path, images: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert [fastgan("report", model, "-o", page) for _ in range(2)] == [0, 0]
    (model / "report.html").write_text("of an earlier fastgan")
    assert fastgan("report", model) == 0
    packed = tmp_path / "x.fgd"
    assert fastgan("data", "pack", images, "-o", packed) == 0
    before = packed.stat().st_ino
    assert fastgan("data", "pack", images, "-o", packed) == 2
    assert packed.stat().st_ino == before
    assert fastgan("data", "pack", images, "-o", packed, "--overwrite") == 0
    assert packed.stat().st_ino != before


@pytest.mark.parametrize("how", ["same", "spelling", "link", "hard link"])
def test_a_packed_set_is_never_written_onto_itself(how: str, images: Path, tmp_path: Path) -> None:
    source = tmp_path / "x.fgd"
    pack(images, source)
    names = {"same": "x.fgd", "spelling": "images/../x.fgd", "link": "l.fgd", "hard link": "h.fgd"}
    target = tmp_path / names[how]
    if how == "link":
        target.symlink_to(source)
    if how == "hard link":
        target.hardlink_to(source)
    content = source.read_bytes()
    assert fastgan("data", "pack", source, "-o", target, "--size", 8, "--overwrite") == 2
    with pytest.raises(OutputError, match="is being read"):
        pack(source, target, resolution=8, overwrite=True)
    assert source.read_bytes() == content
    assert open_dataset(source).resolution == 16


def test_no_output_is_a_link_into_its_source(images: Path, tmp_path: Path) -> None:
    (tmp_path / "x.fgd").symlink_to(images / "0.png")
    assert fastgan("data", "pack", images, "-o", tmp_path / "x.fgd", "--overwrite") == 2
    assert len(open_dataset(images).images) == 8


@pytest.mark.parametrize("name", ["config.toml", "log.jsonl", "latest"])
def test_a_report_never_replaces_what_it_is_about(name: str, model: Path, tmp_path: Path) -> None:
    before = (model / name).read_bytes()
    (tmp_path / "link").symlink_to(model / name)
    for target in (model / name, tmp_path / "link"):
        assert fastgan("report", model, "-o", target, "--overwrite") == 2
    assert (model / name).read_bytes() == before


def test_statistics_are_never_written_onto_what_they_are_of(
    model: Path, images: Path, tmp_path: Path
) -> None:
    pack(images, tmp_path / "x.fgd")
    content = (tmp_path / "x.fgd").read_bytes()
    common = ("eval", model, "--data", tmp_path / "x.fgd", "-n", 8, "--overwrite")
    assert fastgan(*common, "-o", tmp_path / "x.fgd") == 2
    assert fastgan(*common, "--save-reference", tmp_path / "x.fgd") == 2
    assert (tmp_path / "x.fgd").read_bytes() == content


def test_an_export_replaces_neither_its_source_nor_the_users_weights(tmp_path: Path) -> None:
    (tmp_path / "release.safetensors").write_bytes(b"x")
    (tmp_path / "m.onnx").hardlink_to(tmp_path / "release.safetensors")
    assert (
        fastgan("export", tmp_path / "release.safetensors", "--onnx", tmp_path / "m.onnx", "--overwrite") == 2
    )
    names = ["m.onnx.0123456789abcdef.data", "m.onnx.backup.data", "mXonnx.0123456789abcdef.data"]
    for name in names:
        (tmp_path / name).touch()
    assert [file.name for file in external.weights_beside(tmp_path / "m.onnx")] == names[:1]


def test_a_folder_is_replaced_only_where_it_is_what_would_be_written(tmp_path: Path) -> None:
    theirs = tmp_path / "models" / "m"
    theirs.mkdir(parents=True)
    (theirs / "notes.txt").touch()
    with pytest.raises(OutputError, match="no model of Triton's"):
        triton.check_target(theirs, tmp_path / "m.onnx", overwrite=True)
    (theirs / "config.pbtxt").touch()
    triton.check_target(theirs, tmp_path / "m.onnx", overwrite=True)
    with pytest.raises(OutputError, match="is being read"):
        triton.check_target(theirs, theirs / "1" / "model.onnx", overwrite=True)
    with pytest.raises(OutputError, match="is there already"):
        triton.check_target(theirs, tmp_path / "m.onnx", overwrite=False)
    for document in ("[]", "not JSON", '{"format": "another"}'):
        (theirs / "manifest.json").write_text(document)
        with pytest.raises(OutputError, match=r"name a new folder$"):
            write.check(theirs, overwrite=True)
    (theirs / "manifest.json").write_text(json.dumps({"format": write.FORMAT}))
    write.check(theirs, overwrite=True)
    with pytest.raises(OutputError, match="overwrite"):
        write.check(theirs)


def test_a_place_where_no_file_can_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is not a folder that you may write to"):
        check_output(tmp_path / "file" / "below" / "x")
    assert check_output(tmp_path / "new" / "x") == tmp_path / "new" / "x"
