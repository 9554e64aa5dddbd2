"""Tars, parquet tables and .npz files: what is in them, that it comes back as data, that kills leave none torn."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastgan.data import sources
from fastgan.errors import ConfigError, OutputError
from fastgan.inference import archives, writers
from fastgan.inference.archives import check_contents
from fastgan.inference.image_sets import Layout
from fastgan.inference.shards import Shard
from tests.inference.fakes import FakeRuntime, contents, lines, names, write

pytest.importorskip("pyarrow")
FILES = ("webdataset", "parquet", "npz")


@pytest.mark.parametrize("encoding", ["png", "webp-lossless"])
@pytest.mark.parametrize("image_format", ["webdataset", "parquet"])
def test_comes_back_as_data(image_format: str, encoding: str, tmp_path: Path) -> None:
    """Images, classes and attributes, unknown ones too, are those that were generated."""
    runtime = FakeRuntime(classes=3)
    made = write(
        tmp_path, range(23), runtime=runtime, image_format=image_format, encoding=encoding, per_file=9
    )
    assert made == 23
    read = sources.find(tmp_path)[1].read(tmp_path)
    assert len(read.names) == 23
    assert read.class_names == runtime.facts.class_names
    assert read.attribute_names == runtime.facts.attribute_names
    wanted = runtime.data.draw(range(23), runtime.request()).arrays()
    np.testing.assert_array_equal(read.labels, wanted["labels"])
    np.testing.assert_array_equal(read.attributes, wanted["attributes"])
    for row, image in enumerate(runtime.sample(23)):
        np.testing.assert_array_equal(np.asarray(Image.open(read.load(row)).convert("RGB")), image)


@pytest.mark.parametrize("image_format", FILES)
def test_the_manifest_says_what_is_where(image_format: str, tmp_path: Path) -> None:
    assert (
        write(tmp_path, range(10), runtime=FakeRuntime(classes=2), image_format=image_format, per_file=4)
        == 10
    )
    found = lines(tmp_path)
    assert [line["seed"] for line in found] == list(range(10))
    assert [line["file"][:12] for line in found] == ["images-00000"] * 4 + ["images-00001"] * 4 + [
        "images-00002"
    ] * 2
    for line in found:
        assert line["file_sha256"] == contents(tmp_path)[line["file"]]
        assert line["key"] == f"seed{line['seed']:08d}"
        assert line["class"] in ("class0", "class1")
    if image_format == "webdataset":
        with tarfile.open(tmp_path / found[5]["file"]) as archive:
            data = archive.extractfile(f"{found[5]['key']}.png").read()
            assert {member.mtime for member in archive.getmembers()} == {0}
        assert hashlib.sha256(data).hexdigest() == found[5]["sha256"]


@pytest.mark.parametrize("image_format", ["png", *FILES])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_give_the_bytes_of_one_run(image_format: str, count: int, tmp_path: Path) -> None:
    """Also where files are no multiple of the batch, and where there are more shards than files."""
    layout: dict[str, Any] = {"image_format": image_format}
    if image_format != "png":
        layout["per_file"] = 6
    write(tmp_path / "one", range(5, 27), **layout)
    made = [
        write(tmp_path / "all", range(5, 27), shard=Shard(k, count, "--shard"), **layout)
        for k in reversed(range(count))
    ]
    assert sum(made) == 22
    assert contents(tmp_path / "all") == contents(tmp_path / "one")
    assert lines(tmp_path / "all") == lines(tmp_path / "one")
    assert f"manifest-00000-of-{count:05d}.jsonl" in names(tmp_path / "all")
    # Another number of shards takes over what is there.
    assert write(tmp_path / "all", range(5, 27), **layout) == 0
    assert write(tmp_path / "all", range(5, 27), shard=Shard(1, 5, "--shard"), **layout) == 0
    (tmp_path / "all" / lines(tmp_path / "one")[0]["file"]).unlink()
    lost = 1 if image_format == "png" else 6
    assert write(tmp_path / "all", range(5, 27), shard=Shard(0, 4, "--shard"), **layout) == lost
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


@pytest.mark.parametrize("image_format", FILES)
@pytest.mark.parametrize("step", ["adding", "naming", "listing"])
def test_a_kill_leaves_files_that_are_whole_or_absent(
    image_format: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = {"image_format": image_format, "per_file": 4}
    calls, ends = 0, [f"images-0000{k}-of-00003.{archives.ARCHIVES[image_format]}" for k in range(3)]

    def killed(real: Any, after: int) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += step != "naming" or Path(arguments[1]).name in ends
            if calls > after:
                raise KeyboardInterrupt
            return real(*arguments)

        return call

    patched: tuple[Any, str, int] = {
        "adding": (archives.KINDS[image_format], "add", 6),
        "naming": (writers.os, "replace", 1),
        "listing": (writers.Journal, "add", 1),
    }[step]
    monkeypatch.setattr(patched[0], patched[1], killed(getattr(*patched[:2]), patched[2]))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", range(10), **layout)
    monkeypatch.undo()
    assert len(contents(tmp_path / "out")) == 1
    assert write(tmp_path / "out", range(10), **layout) == 6
    write(tmp_path / "one", range(10), **layout)
    assert contents(tmp_path / "out") == contents(tmp_path / "one")
    assert lines(tmp_path / "out") == lines(tmp_path / "one")
    assert names(tmp_path / "out") == names(tmp_path / "one")


def test_other_seeds_are_refused(tmp_path: Path) -> None:
    write(tmp_path, range(10), image_format="webdataset")
    with pytest.raises(OutputError, match="seeds 0-9, now 0-19"):
        write(tmp_path, range(20), image_format="webdataset")


def test_parquet_has_row_groups_and_class_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from pyarrow import parquet

    monkeypatch.setattr(archives, "_GROUP_ROWS", 4)
    write(tmp_path, range(10), runtime=FakeRuntime(classes=2), image_format="parquet")
    file = parquet.ParquetFile(tmp_path / "images-00000-of-00001.parquet")
    assert [file.metadata.row_group(g).num_rows for g in range(3)] == [4, 4, 2]
    features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["class0", "class1"], "_type": "ClassLabel"}
    assert features["image"] == {"_type": "Image"}
    row = file.read().slice(3, 1).to_pylist()[0]
    assert (row["seed"], row["image"]["path"]) == (3, "seed00000003.png")
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (8, 8)


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(ConfigError, match="column label of its own"):
        check_contents("parquet", ("smiling", "label"))
    with pytest.raises(ConfigError, match="npz' is one file and there are 3 shards"):
        Layout(image_format="npz").check(FakeRuntime(), 10, Shard(0, 3, "--shard"))
    with pytest.raises(ConfigError, match="encoding='jpg' cannot hold the model's alpha"):
        Layout(image_format="webdataset", encoding="jpg").check(FakeRuntime(img_channels=4), 10, Shard())
