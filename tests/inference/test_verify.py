"""--verify names what is wrong with a set, and nothing where nothing is."""

from pathlib import Path

import pytest

from fastgan.errors import OutputError
from fastgan.inference.folder import OutputFolder
from fastgan.inference.shards import Shard
from fastgan.inference.verify import verify
from tests.inference.fakes import SETTINGS, lines, write


@pytest.mark.parametrize("image_format", ["png", "webdataset", "npz"])
def test_a_whole_set(image_format: str, tmp_path: Path) -> None:
    layout = {} if image_format == "png" else {"per_file": 4}
    for index in (0, 1):
        shard = Shard(index, 2, "--shard")
        write(tmp_path, range(10), shard=shard, image_format=image_format, **layout)
    (tmp_path / "notes.txt").write_text("mine")
    found = verify(tmp_path)
    found.check()
    assert (found.images, found.whole) == (10, True)
    assert "is whole: 10 images" in found.lines()[0]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    write(tmp_path, range(12), shard=Shard(0, 2, "--shard"))
    (tmp_path / "seed00000001.png").unlink()
    (tmp_path / "seed00000002.png").write_bytes(b"torn")
    (tmp_path / "seed00000077.png").write_bytes(b"?")
    found = verify(tmp_path)
    assert found.missing == ["seed00000001.png"]
    assert found.damaged == ["seed00000002.png"]
    assert found.unlisted == ["seed00000077.png"]
    assert (found.absent, found.absent_count) == ("4-11", 8)
    assert found.lines() == [
        "missing: 1 (seed00000001.png)",
        "damaged: 1 (seed00000002.png)",
        "unlisted: 1 (seed00000077.png)",
        "not made yet: 8 (seeds 4-11)",
    ]
    with pytest.raises(OutputError, match="not whole: remove the files named above"):
        found.check()
    (tmp_path / "seed00000002.png").unlink()
    (tmp_path / "seed00000077.png").unlink()
    write(tmp_path, range(12))
    verify(tmp_path).check()


def test_seeds_in_two_files(tmp_path: Path) -> None:
    write(tmp_path, range(8), image_format="webdataset", per_file=4)
    manifest = tmp_path / "manifest.jsonl"
    line = next(text for text in manifest.read_text().splitlines() if '"seed": 5' in text)
    with open(manifest, "a") as file:
        file.write(line.replace("images-00001", "images-00000") + "\n")
    assert verify(tmp_path).twice == ["5"]
    assert len(lines(tmp_path)) == 9


def test_no_set(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"has no fastgan\.json"):
        verify(tmp_path)
    OutputFolder(tmp_path, SETTINGS)
    with pytest.raises(OutputError, match="only figures or nothing"):
        verify(tmp_path)
