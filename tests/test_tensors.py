"""Safetensors files: every one that is cut, damaged or changing is refused, and nothing else is."""

import json
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fastgan.tensors import count_not_finite, open_tensors, save_tensors

TENSORS = {
    "x": torch.arange(3.0),
    "empty": torch.empty(0, 2),
    "one": torch.tensor(True),
    "half": torch.arange(6, dtype=torch.bfloat16).view(2, 3).t(),
    "rows": torch.arange(4),
}


def read(path: Path) -> dict[str, torch.Tensor]:
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor] = TENSORS) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
        for name, tensor in expected.items()
    )


def write(path: Path, header: object, content: bytes = bytes(8)) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def test_what_is_written_is_what_the_library_reads_and_the_other_way_round(tmp_path: Path) -> None:
    save_tensors(tmp_path / "ours", TENSORS, {"a": "b"})
    assert same(load_file(tmp_path / "ours"))
    save_file({name: tensor.contiguous() for name, tensor in TENSORS.items()}, tmp_path / "theirs")
    assert same(read(tmp_path / "theirs"))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.safetensors")
    save_tensors(path, TENSORS, {"a": "b"})
    assert same(read(path))
    with open_tensors(path) as file:
        assert file.metadata()["a"] == "b"


def test_every_flipped_bit_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    save_tensors(path, TENSORS, {"a": "b"})
    whole = path.read_bytes()
    draw = random.Random(1)
    start = 8 + int.from_bytes(whole[:8], "little")
    name = whole.index(b"sha256")  # without which the file would be one of an older version
    for at in [*range(start, len(whole)), *draw.sample(range(start), 200), *range(name, name + 6)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(SafetensorError):
            read(path)
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    path.write_bytes(flipped)
    monkeypatch.setenv("FASTGAN_VERIFY", "0")
    assert not same(read(path))


def test_fingerprints_tell_tensors_apart_that_have_the_same_bytes(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x", {"a": torch.zeros(4), "b": torch.ones(4)})
    whole = (tmp_path / "x").read_bytes()
    swapped = whole.replace(b'"a":{"dtype', b'"?":{"dtype').replace(b'"b":{"dtype', b'"a":{"dtype')
    (tmp_path / "x").write_bytes(swapped.replace(b'"?":{"dtype', b'"b":{"dtype'))
    with pytest.raises(SafetensorError, match=r"the tensor [ab] is not as it was written"):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "does not have 4 bytes"),
        ({"x": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 8]}}, "does not have 8 bytes"),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, "its header speaks of"),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "does not begin where"),
        ({"x": {"dtype": "F32", "shape": [-2, -1], "data_offsets": [0, 8]}}, "nothing writes"),
        ({"x": {"dtype": "F3", "shape": [2], "data_offsets": [0, 8]}}, "nothing writes"),
        ({"x": {"dtype": "F32", "shape": "22", "data_offsets": [0, 8]}}, "should be a list"),
        ({"x": {"dtype": "F32", "shape": [2]}}, "does not describe"),
        ({"x": 7}, "should be a table"),
        ({"__metadata__": {"a": 1}}, "its metadata"),
        ([], "should be a table"),
    ],
)
def test_a_header_that_does_not_fit_the_file(tmp_path: Path, header: object, reason: str) -> None:
    with pytest.raises(SafetensorError, match=reason):
        read(write(tmp_path / "x", header))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_is_told_from_one_that_is_no_file(tmp_path: Path, share: float) -> None:
    save_tensors(tmp_path / "x", TENSORS)
    os.truncate(tmp_path / "x", int(share * (tmp_path / "x").stat().st_size))
    with pytest.raises(SafetensorError):
        read(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "y")


@pytest.mark.parametrize("harm", ["cut", "written over"])
def test_a_file_that_changes_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path, harm: str) -> None:
    save_file({"x": torch.zeros(1 << 20)}, tmp_path / "x")  # without fingerprints
    with open_tensors(tmp_path / "x") as file:
        if harm == "cut":
            os.truncate(tmp_path / "x", 4096)
        else:
            with open(tmp_path / "x", "r+b") as other:
                other.seek(5000)
                other.write(b"other")
            os.utime(tmp_path / "x", (1, 1))
        with pytest.raises(SafetensorError, match=r"it ends within|another program wrote"):
            file.get_tensor("x")


def test_numbers_that_are_none_are_counted() -> None:
    assert count_not_finite(torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])) == 3
    assert count_not_finite(torch.full((9,), torch.finfo(torch.float32).max)) == 0  # their sum is infinite
    assert count_not_finite(torch.tensor([2**62])) == 0
