"""Latents: the documented stream, written again from its description, and seeds as text."""

import importlib.util
import math
import subprocess
import sys

import numpy as np
import pytest

from fastgan.errors import ConfigError
from fastgan.seeds import latents, parse_seeds

MASK = 2**64 - 1


def philox_block(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox4x64-10 (Salmon et al. 2011) in Python integers."""
    x = [counter & MASK, (counter >> 64) & MASK, 0, 0]
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(p1 >> 64) ^ x[1] ^ k0, p1 & MASK, (p0 >> 64) ^ x[3] ^ k1, p0 & MASK]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return x


def documented(seed: int, z_dim: int) -> list[float]:
    raw = [word for block in range(1, z_dim // 4 + 2) for word in philox_block(block, (seed, 0))]
    z = []
    for a, b in zip(raw[0::2], raw[1::2], strict=True):
        radius = math.sqrt(-2 * math.log(((a >> 11) + 1) / 2**53))
        angle = 2 * math.pi * (b >> 11) / 2**53
        z += [radius * math.cos(angle), radius * math.sin(angle)]
    return z[:z_dim]


@pytest.mark.parametrize("seed", [0, 1, 12345678901, 2**64 - 1])
@pytest.mark.parametrize("z_dim", [1, 7, 100])
def test_is_the_documented_stream(seed: int, z_dim: int) -> None:
    z = latents([seed], z_dim)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z[0], documented(seed, z_dim), rtol=1e-6, atol=1e-7)


def test_row_depends_on_its_seed_alone() -> None:
    many = latents(range(1500), 9)
    np.testing.assert_array_equal(many[[1400, 3, 700]], latents([1400, 3, 700], 9))
    np.testing.assert_array_equal(many[:4, :6], latents(range(4), 6))


def test_is_standard_normal() -> None:
    z = latents(range(4000), 64).astype(np.float64)
    n = z.size
    assert abs(z.mean()) < 5 / n**0.5
    assert abs(z.var() - 1) < 5 * (2 / n) ** 0.5
    assert abs((z**4).mean() - 3) < 5 * (96 / n) ** 0.5
    correlation = np.corrcoef(z, rowvar=False) - np.eye(64)
    assert np.abs(correlation).max() < 6 / 4000**0.5


def test_no_seeds() -> None:
    assert latents([], 5).shape == (0, 5)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        latents([0, seed], 4)


@pytest.mark.parametrize(
    ("spec", "seeds"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("0-2,2000", [0, 1, 2, 2000]),
        (" 5 - 6 , 1", [5, 6, 1]),
        ("1,0-2", [1, 0, 2]),
    ],
)
def test_parse_seeds(spec: str, seeds: list[int]) -> None:
    assert list(parse_seeds(spec)) == seeds


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "not a seed or a range"),
        ("1,,2", "not a seed or a range"),
        ("-5", "not a seed or a range"),
        ("1-2-3", "not a seed or a range"),
        ("4-", "not a seed or a range"),
        ("1e3", "not a seed or a range"),
        ("٣", "not a seed or a range"),
        ("9-3", "backwards"),
        ("0-99999999999", "several runs"),
        (f"0,{2**64}", "out of range"),
    ],
)
def test_parse_seeds_refuses(spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_seeds(spec)


def test_the_public_name_is_the_function_whatever_was_imported_before() -> None:
    """A module of the name `fastgan.latents` would take its place once it is imported."""
    modules = [
        "fastgan.seeds",
        "fastgan.inference.runtime",
        "fastgan.exporters",
        "fastgan.training.evaluation",
    ]
    code = "import importlib, sys, fastgan; importlib.import_module(sys.argv[1]); print(fastgan.latents([7], 3).shape)"
    for module in modules:
        done = subprocess.run(
            [sys.executable, "-c", code, module], capture_output=True, text=True, check=True
        )
        assert done.stdout == "(1, 3)\n"
    assert importlib.util.find_spec("fastgan.latents") is None
