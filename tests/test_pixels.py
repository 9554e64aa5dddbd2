"""Pixels: one rule of rounding for torch and numpy, and the way back."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fastgan.pixels import array_to_uint8, snr, snr_db, to_float, to_uint8

VALUES = np.concatenate([np.linspace(-1.5, 1.5, 70001), (np.arange(256) + 0.5) / 127.5 - 1]).astype(
    np.float32
)


def test_torch_and_numpy_round_alike() -> None:
    expected = np.clip(np.round(VALUES * np.float32(127.5) + np.float32(127.5)), 0, 255)
    np.testing.assert_array_equal(array_to_uint8(VALUES[None, None, None]).reshape(-1), expected)
    np.testing.assert_array_equal(
        to_uint8(torch.from_numpy(VALUES)[None, None, None]).reshape(-1).numpy(), expected
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_rounded_in_float32(dtype: torch.dtype) -> None:
    images = torch.from_numpy(VALUES[:70000].reshape(7, 2, 50, 100)).to(dtype)
    assert torch.equal(to_uint8(images), to_uint8(images.float()))
    assert to_uint8(images).shape == (7, 50, 100, 2)
    assert to_uint8(images).is_contiguous()


def test_uint8_to_floats_and_back_is_the_same() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(3).view(2, 16, 8, 3)
    floats = to_float(images)
    assert floats.shape == (2, 3, 16, 8)
    assert floats.is_contiguous(memory_format=torch.channels_last)
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(to_uint8(floats), images)
    np.testing.assert_array_equal(array_to_uint8(floats.numpy()), images.numpy())


def test_the_rule_for_arrays_needs_no_torch() -> None:
    code = "import sys, fastgan.pixels; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_decibels() -> None:
    reference = np.full((1, 2, 2, 3), 255, np.uint8)
    assert snr(reference, reference) == float("inf")
    assert snr(reference - 51, reference) == pytest.approx(20 * np.log10(255 / 2 / 51))
    assert snr_db(np.zeros(3), np.ones(3)) == pytest.approx(
        10 * np.log10(1e-12 / 3)
    )  # no signal is a number, too
