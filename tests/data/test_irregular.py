"""Sources that are no regular files, or claim more than they hold: one sentence, soon, in little memory."""

import bz2
import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastgan.data import members, open_dataset
from fastgan.errors import DataError
from tests.data.images import encoded, fill, noise

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes"),
]
PIPE = r"is a named pipe, not a regular file"


def test_an_image_that_is_a_pipe_a_device_or_enormous_is_a_bad_image(tmp_path):
    fill(tmp_path, 3)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(600 << 20)
    dataset = open_dataset(tmp_path, max_bad=3)
    reasons = {bad.name: bad.reason for bad in dataset.bad}
    assert reasons["pipe.png"] == "is a named pipe, not a regular file"
    assert reasons["zero.png"] == "is a device, not a regular file"
    assert reasons["sparse.png"].startswith("has 629 MB, more than the 537 MB that are read of such a file")
    assert len(dataset) == 3


def _folder_with(name: str):
    def make(path: Path) -> Path:
        fill(path, 3)
        os.mkfifo(path / name)
        return path

    return make


def _cifar(path: Path) -> Path:
    folder = path / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("a\nb\n")
    os.mkfifo(folder / "data_batch_1.bin")
    return folder


def _celeba(path: Path) -> Path:
    fill(path / "img_align_celeba", 2)
    os.mkfifo(path / "list_attr_celeba.txt")
    return path


def _alone(name: str):
    def make(path: Path) -> Path:
        path.mkdir()
        os.mkfifo(path / name)
        return path / name

    return make


def _idx(path: Path) -> Path:
    path.mkdir()
    os.mkfifo(path / "train-images-idx3-ubyte")
    return path


PIPES = {
    "dataset.json": _folder_with("dataset.json"),
    "attributes.csv": _folder_with("attributes.csv"),
    "cifar batch": _cifar,
    "celeba": _celeba,
    "idx in a folder": _idx,
    **{
        name: _alone(name)
        for name in ("x.tar", "x.tar.gz", "x.zip", "x.parquet", "train-images-idx3-ubyte.gz", "x")
    },
}


@pytest.mark.parametrize("what", PIPES)
def test_a_pipe_in_any_place_is_a_sentence(tmp_path, what):
    with pytest.raises(DataError, match=PIPE) as error:
        open_dataset(PIPES[what](tmp_path / "data"))
    assert "\n" not in str(error.value)


def test_a_packed_set_that_is_a_pipe_is_a_sentence(tmp_path):
    os.mkfifo(tmp_path / "x.fgd")
    with pytest.raises(DataError):
        open_dataset(tmp_path / "x.fgd")


def _zip(
    path: Path, entries: dict[str, bytes], sizes: dict[str, int], kind: int = zipfile.ZIP_DEFLATED
) -> Path:
    """A zip whose directory claims other sizes than its entries have."""
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        (length,) = struct.unpack_from("<H", data, at + 28)
        name = data[at + 46 : at + 46 + length].decode()
        if name in sizes:
            struct.pack_into("<I", data, at + 24, sizes[name])
        at += 4
    path.write_bytes(data)
    return path


def test_a_zip_entry_that_claims_a_gigabyte_is_a_bad_image(tmp_path):
    good = {f"{index}.png": encoded(noise(16, 16, seed=index)).getvalue() for index in range(3)}
    path = _zip(tmp_path / "x.zip", good | {"big.png": b"x"}, {"big.png": 1 << 30})
    (bad,) = open_dataset(path, max_bad=1).bad
    assert bad.reason.startswith("has 1,074 MB, more than the 537 MB")


def test_a_document_of_3_gb_in_a_zip_is_not_unpacked(tmp_path):
    path = _zip(
        tmp_path / "x.zip",
        {"0.png": encoded(noise(16, 16)).getvalue(), "dataset.json": b"{}"},
        {"dataset.json": 3_000_000_000},
    )
    with pytest.raises(DataError, match=r"dataset\.json has 3,000 MB, more than the 268 MB"):
        open_dataset(path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_entry_that_unpacks_to_more_than_it_claims_takes_no_memory(tmp_path, kind):
    bomb = encoded(noise(16, 16)).getvalue() + bytes(96 << 20)
    path = _zip(
        tmp_path / "x.zip",
        {"bomb.png": bomb, "0.png": encoded(noise(16, 16)).getvalue()},
        {"bomb.png": 2000},
        kind,
    )
    tracemalloc.start()
    try:
        (bad,) = open_dataset(path, resolution=16, channels=3, max_bad=1).bad
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()
    assert bad.reason.startswith("damaged in the zip")


def test_what_is_large_in_an_archive_lies_in_a_file_and_not_in_memory(tmp_path):
    size = members.IN_MEMORY + 1
    tracemalloc.start()
    try:
        with open("/dev/zero", "rb") as zeros, members.take(zeros, size, "x") as taken:
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
            assert len(taken.read()) == size
    finally:
        tracemalloc.stop()


def test_a_compressed_tar_that_unpacks_to_far_more_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "UNPACKED_BYTES", 1 << 20)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(30 << 20)))
    with pytest.raises(DataError, match=r"x\.tar\.gz .*has 2 MB, more than the 1 MB"):
        open_dataset(tmp_path / "x.tar.gz")
    monkeypatch.setenv("FASTGAN_MAX_FILE", "1GB")
    with pytest.raises(DataError, match="holds no images"):
        open_dataset(tmp_path / "x.tar.gz")


def _tar(path: Path, header: bytes, size: int | None = None) -> Path:
    """A tar that begins with an extended header of that content, or of a size that it only claims."""
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(header) if size is None else size
    image = encoded(noise(16, 16)).getvalue()
    member = tarfile.TarInfo("0.png")
    member.size = len(image)
    blocks = [pax.tobuf(tarfile.USTAR_FORMAT), header, member.tobuf(tarfile.USTAR_FORMAT), image]
    path.write_bytes(b"".join(block + bytes(-len(block) % 512) for block in blocks) + bytes(1024))
    return path


HEADERS = {
    "large": (b"x" * (2 << 20), None),
    "digits": (b"1" * 900_000, None),
    "claim": (b"", 6 << 30),
    "numbers": (b"22 GNU.sparse.major=0\n22 GNU.sparse.minor=1\n21 GNU.sparse.map=x,y\n", None),
    "sparse": (b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", None),
}


@pytest.mark.parametrize("name", ["x.tar", "cifar-10-python.tar.gz"])
@pytest.mark.parametrize("what", HEADERS)
def test_headers_of_a_tar_are_read_within_limits(tmp_path, what, name):
    path = _tar(tmp_path / "x.tar", *HEADERS[what])
    if name.endswith(".gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress((tmp_path / "x.tar").read_bytes()))
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as error:
            open_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)


def test_an_idx_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, 4_000_000, 28, 28) + bytes(1000)))
    with pytest.raises(DataError, match=r"unpacks to 3\.1 GB: unpack it first"):
        open_dataset(path)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "x.tar.gz", "cifar-10-python.tar.gz"])
def test_gigabytes_of_zeros_after_a_gzip_are_not_stepped_over_one_by_one(tmp_path, name):
    """And those that a tape adds are allowed."""
    digits = struct.pack(">IIII", 0x803, 4, 28, 28) + bytes(range(196)) * 16
    fill(tmp_path / "photos", 4)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "photos", "photos")
    content = digits if name.startswith("train") else (tmp_path / "x.tar").read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content))
    whole = path.stat().st_size
    os.truncate(path, 3 << 30)
    with pytest.raises(DataError, match=r"\(it ends in zeros where its checksum should be\): "):
        open_dataset(path)
    if not name.startswith("cifar"):
        os.truncate(path, whole + 10_240)
        assert len(open_dataset(path)) == 4


def test_a_table_with_more_rows_than_bytes_is_damaged(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    image = encoded(noise(8, 8)).getvalue()
    rows = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(1_000_000, np.int32)), [image]).cast(
        arrow.binary()
    )
    pyarrow.parquet.write_table(
        arrow.table({"image": rows}), tmp_path / "x.parquet", row_group_size=1_000_000
    )
    with pytest.raises(DataError, match="claims 1000000 rows"):
        open_dataset(tmp_path / "x.parquet")


def test_images_of_a_table_with_one_large_row_group_are_read_in_pieces(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    from fastgan.data.sources import parquet

    images = [encoded(noise(128, 128, seed=seed % 50)).getvalue() for seed in range(1000)]
    pyarrow.parquet.write_table(arrow.table({"image": images}), tmp_path / "x.parquet", row_group_size=1000)
    found = parquet.read(tmp_path / "x.parquet")
    before = arrow.total_allocated_bytes()
    for row in (*range(600), 20, 999, 500):
        assert found.load(row).read() == images[row]
        assert arrow.total_allocated_bytes() - before < 40 << 20


def test_a_bzip2_bomb_of_a_tar_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "UNPACKED_BYTES", 1 << 20)
    (tmp_path / "x.tar.bz2").write_bytes(bz2.compress(bytes(20 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than the 1 MB"):
            open_dataset(tmp_path / "x.tar.bz2")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_full_temporary_folder_is_said_and_no_bad_image(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    class Full(io.BytesIO):
        write = full

    monkeypatch.setattr(members.tempfile, "TemporaryFile", Full)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(10240)))
    from fastgan.errors import OutputError

    with pytest.raises(OutputError, match=r"temporary folder .*No space left on device.*TMPDIR"):
        open_dataset(tmp_path / "x.tar.gz")
