"""Pickles as data: what CIFAR's authors wrote is read, and nothing in a pickle is ever run."""

import os
import pickle

import numpy as np
import pytest

from fastgan.data import pickles
from fastgan.errors import DataError
from tests.data.python2 import dumps


class Evil:
    """Unpickled by `pickle`, it would make a folder."""

    def __init__(self, folder) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    content = pickle.dumps({b"data": [Evil(tmp_path / "owned")]}, protocol)
    with pytest.raises(DataError, match=r"x: batch is a pickle that wants to run (posix|nt)\.mkdir") as error:
        pickles.load("x: batch", content)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "owned").exists()
    pickle.loads(content)  # it would indeed have worked
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "builtins getattr",
        "os system",
        "numpy load",
        "numpy.core.multiarray scalar",
        "copyreg _reconstructor",
    ],
)
def test_no_other_name_is_known_however_harmless(name):
    module, attribute = name.split()
    with pytest.raises(DataError, match=f"wants to run {module}.{attribute}"):
        pickles.load("x", f"c{module}\n{attribute}\n.".encode())


def test_python_2_batches_are_read():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5), dtype=np.uint8)
    found = pickles.load("x", dumps({"data": pixels, "labels": [1, 0, 300], "batch_label": "batch 1 of 5"}))
    np.testing.assert_array_equal(found[b"data"], pixels)
    assert found[b"labels"] == [1, 0, 300]
    assert found[b"batch_label"] == b"batch 1 of 5"


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_saved_by_python_3_are_read(protocol, order):
    pixels = np.asarray(np.arange(200, dtype=np.uint8).reshape(4, 50), order=order)
    np.testing.assert_array_equal(
        pickles.load("x", pickle.dumps({b"data": pixels}, protocol))[b"data"], pixels
    )


@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_cut_short(keep):
    content = dumps({"data": np.zeros((2, 9), np.uint8)})
    with pytest.raises(DataError, match="x is cut short or no pickle"):
        pickles.load("x", content[:keep])


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros(3, np.int8), np.array([object()], object)])
def test_arrays_of_anything_but_bytes_are_refused(array):
    with pytest.raises(DataError, match=r"x is (cut short or no pickle|a pickle that wants to run)"):
        pickles.load("x", pickle.dumps({b"data": array}, 2))


def test_an_array_whose_bytes_do_not_fill_it_is_refused():
    content = dumps({"data": np.zeros((2, 9), np.uint8)}).replace(b"K\x02K\x09", b"K\x03K\x09")
    with pytest.raises(DataError, match=r"18 bytes for \[3, 9\]"):
        pickles.load("x", content)
