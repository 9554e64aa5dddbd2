"""Images that stay in their file: the same as a tensor in memory, and an error where the file changes under them."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from fastgan.data import Dataset, open_dataset, packed
from fastgan.data.dataset import content_hash
from fastgan.data.feed import Feed
from fastgan.data.row_file import FileImages
from fastgan.errors import DataError

IMAGES = torch.randint(0, 256, (40, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    packed.write(tmp_path / "x.fgd", Dataset(images=IMAGES, content_hash=content_hash(IMAGES)))
    return tmp_path / "x.fgd"


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        slice(5, 9),
        slice(None),
        slice(30, 2),
        slice(1, 30, 7),
        [4, 4, 0],
        torch.tensor([7, -40, 39, 7]),
        torch.tensor([], dtype=torch.long),
        torch.arange(40) % 3 == 0,
        (..., 0),
        (slice(2, 5), 1),
        np.int64(6),
    ],
    ids=str,
)
def test_whatever_is_taken_is_what_a_tensor_gives(path: Path, key: object) -> None:
    found = packed.read(path).images[key]
    assert type(found) is torch.Tensor
    assert torch.equal(found, IMAGES[key])


def test_everything_else_is_computed_of_the_whole(path: Path) -> None:
    images = packed.read(path).images
    assert isinstance(images, FileImages)
    assert (images.shape, len(images), images.nbytes, images.ndim) == (IMAGES.shape, 40, IMAGES.nbytes, 4)
    assert (images.dtype, images.device.type) == (torch.uint8, "cpu")
    assert "x.fgd" in repr(images)
    for function in (
        lambda x: x.float().mean((0, 1)),
        lambda x: torch.cat([x, x[:2]]),
        lambda x: IMAGES[:40] == x,
        lambda x: torch.stack([*x])[1:],
        lambda x: x.permute(0, 3, 1, 2).contiguous(),
        lambda x: torch.from_numpy(x.numpy() + np.asarray(x)),
        lambda x: torch.index_select(x, 0, torch.tensor([3, 1])),
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
    ):
        found = function(images)
        assert type(found) is torch.Tensor
        assert torch.equal(found, function(IMAGES))
    for change in (torch.Tensor.zero_, lambda x: x.mul_(2), lambda x: x.__setitem__(0, 1)):
        with pytest.raises(TypeError, match="change a copy"):
            change(images)
    with pytest.raises(IndexError):
        images[40]
    with pytest.raises(IndexError):
        images[torch.tensor([1, -41])]


def test_threads_read_at_once(path: Path) -> None:
    images = packed.read(path).images
    with ThreadPoolExecutor(8) as pool:
        rows = [torch.randperm(40) for _ in range(200)]
        found = pool.map(lambda chosen: torch.equal(images[chosen], IMAGES[chosen]), rows)
        assert all(found)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("harm", ["cut", "emptied", "longer", "written over"])
def test_a_file_that_changes_is_an_error_and_no_crash(path: Path, harm: str, resident: bool) -> None:
    with Feed(open_dataset(path), device="cpu", resident=resident) as feed:
        feed.batch(0, 8)
        content = path.read_bytes()
        if harm == "written over":
            path.write_bytes(content[:-1] + b"!")
            os.utime(path, (1, 1))
        else:
            os.truncate(path, {"cut": len(content) - 1, "emptied": 0, "longer": len(content) + 1}[harm])
        with pytest.raises(DataError, match=r"x\.fgd was written over or cut while it was read"):
            [feed.batch(8 * step, 8) for step in range(1, 4)]  # the first may have been read before


def test_a_file_that_is_replaced_or_touched_stays_whole(path: Path, tmp_path: Path) -> None:
    images = open_dataset(path).images
    os.utime(path, (1, 1))
    assert torch.equal(images[:], IMAGES)
    (tmp_path / "other").write_bytes(b"other")
    os.replace(tmp_path / "other", path)
    assert torch.equal(images[:], IMAGES)
    path.unlink()
    assert torch.equal(images[3:5], IMAGES[3:5])


def test_commands_on_a_file_that_is_cut_meanwhile_say_so(path: Path, tmp_path: Path) -> None:
    """In a process of its own, which a bus error would end by a signal."""
    program = f"""
import os
from fastgan.data import open_dataset, packed
dataset = open_dataset({str(path)!r})
os.truncate({str(path)!r}, 3000)
for use in (lambda to: packed.write(to, dataset), lambda to: dataset.images.float(), lambda to: list(dataset.images)):
    try:
        use({str(tmp_path / "y.fgd")!r})
    except Exception as error:
        print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["DataError"] * 3), done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["x.fgd"]
