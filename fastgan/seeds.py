"""Seeds, and the latent vector that each of them stands for.

The stream of a seed, exactly, so that any other implementation can give the same images:

1. Philox4x64-10 (Salmon et al. 2011) with key = (seed, 0) and 256-bit counter = 1, 2, 3, ... gives four 64-bit
   words a block, least significant first: raw[0], raw[1], ...
2. Words are taken in pairs: u = ((raw[2k] >> 11) + 1) / 2^53 in (0, 1], v = (raw[2k+1] >> 11) / 2^53 in [0, 1).
3. Box-Muller in float64: r = sqrt(-2 ln u); z[2k] = r cos(2 pi v), z[2k+1] = r sin(2 pi v); rounded to float32.
   An odd z_dim drops the last value.

The second word of the key is 0 for z, 1 for what a seed's conditions are drawn by (`uniforms`), and 2 for a seed's own
noise (layer by layer, row by row, one after the other); other values are kept for further streams of the same seed.
numpy promises that the words of its Philox never change, which it does not promise for `standard_normal`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastgan import arguments
from fastgan.errors import ConfigError
from fastgan.naming import named

MAX_SEED = 2**64 - 1
MAX_SEEDS = 10_000_000  # in one call: what a list of them still fits in memory comfortably
_LONGEST = 2**20  # numbers of one z; more is a slip
_CHUNK = 2**18  # numbers at a time; keeps the float64 intermediates in cache, and memory bounded


def latents(seeds: Iterable[int], z_dim: int) -> NDArray[np.float32]:
    """Standard normal z for each seed: float32 [n, z_dim]; row i depends on seeds[i] alone.

    100,000 seeds take about half a second for 100 dimensions and two seconds for 512. Raises ConfigError for a
    seed outside 0 ... 2^64 - 1.
    """
    return normals(listed(seeds), arguments.whole_number(z_dim, "z_dim", 1, _LONGEST), stream=0)


def listed(seeds: Iterable[int]) -> Sequence[int]:
    """Seeds as a sequence. Raises ConfigError for what is none, such as one number or a text."""
    try:
        if not isinstance(seeds, str | bytes):
            return seeds if isinstance(seeds, range | list) else list(seeds)
    except TypeError:  # a 0-d tensor or array is said to be iterable, and is not
        pass
    raise ConfigError(
        f"{named('seeds', seeds)} is no list of seeds: give several, as in range(64) or [3, 14]."
    )


def normals(seeds: Sequence[int], count: int, *, stream: int) -> NDArray[np.float32]:
    """The first `count` standard normal numbers of a stream of each seed: float32 [n, count]."""
    numbers = np.empty((len(seeds), count), np.float32)
    chunk = max(1, _CHUNK // count)
    for start in range(0, len(seeds), chunk):
        raw = _words(seeds[start : start + chunk], count + count % 2, stream=stream)
        numbers[start : start + chunk] = _box_muller(raw)[:, :count]
    return numbers


def uniforms(seeds: Iterable[int]) -> NDArray[np.float64]:
    """One number in [0, 1) for each seed, independent of its z: (raw[0] >> 11) / 2^53 of stream 1."""
    raw = _words(listed(seeds), 1, stream=1)[:, 0]
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _words(seeds: Sequence[int], count: int, *, stream: int) -> NDArray[np.uint64]:
    """The first `count` words of a stream of each seed: uint64 [n, count]."""
    for seed in seeds:
        _check_seed(seed)
    raw = np.empty((len(seeds), count), np.uint64)
    philox = np.random.Philox(key=0)
    state = philox.state
    for row, seed in zip(raw, seeds, strict=True):
        # Setting the state of one generator is six times faster than making one a seed.
        state["state"]["key"][:] = seed, stream
        state["state"]["counter"][:] = 0  # numpy counts up before each block: the first is block 1
        state["buffer_pos"] = 4
        philox.state = state
        row[:] = philox.random_raw(count)
    return raw


def _box_muller(raw: NDArray[np.uint64]) -> NDArray[np.float32]:
    bits = (raw >> np.uint64(11)).astype(np.float64)
    radius = np.sqrt(-2 * np.log((bits[:, 0::2] + 1) * 2.0**-53))
    angle = 2 * np.pi * (bits[:, 1::2] * 2.0**-53)
    z = np.empty(raw.shape, np.float32)
    z[:, 0::2] = radius * np.cos(angle)
    z[:, 1::2] = radius * np.sin(angle)
    return z


def parse_seeds(spec: str, parameter: str = "spec") -> Sequence[int]:
    """The seeds that "0-999,2000" names, both ends included, in that order, each once.

    parameter: whose value `spec` is, for messages. Raises ConfigError for anything else.
    """
    seeds: dict[int, None] = {}
    parts = spec.split(",")
    for part in parts:
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not (_is_number(first) and (_is_number(last) if dash else True)):
            raise ConfigError(
                f"{named(parameter, spec)}: {part.strip()!r} is not a seed or a range; write it like 0-999,2000."
            )
        low, high = int(first), int(last or first)
        if high < low:
            raise ConfigError(
                f"{named(parameter, spec)}: the range {part.strip()} runs backwards; write {high}-{low}."
            )
        _check_seed(high)
        if high - low >= MAX_SEEDS or len(seeds) + high - low >= MAX_SEEDS:
            raise ConfigError(
                f"{named(parameter, spec)}: more than {MAX_SEEDS:,} seeds; generate them in several runs."
            )
        if len(parts) == 1:
            return range(low, high + 1)
        seeds.update(dict.fromkeys(range(low, high + 1)))
    return list(seeds)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20  # as MAX_SEED has


def _check_seed(seed: int) -> None:
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:  # quick for the usual: there may be millions
        arguments.whole_number(seed, "seed", 0, MAX_SEED)


def as_seeds(seeds: str | Iterable[int], parameter: str = "seeds") -> Sequence[int]:
    """Seeds that are listed, or that a text names (`parse_seeds`), in that order, each once. ConfigError for others."""
    if isinstance(seeds, str):
        return parse_seeds(seeds, parameter)
    found = listed(seeds)
    if not 1 <= len(found) <= MAX_SEEDS:
        raise ConfigError(f"{named(parameter)} names {len(found):,} seeds: give from 1 to {MAX_SEEDS:,}.")
    if isinstance(found, range):
        _check_seed(min(found[0], found[-1]))
        _check_seed(max(found[0], found[-1]))
        return found
    return list(dict.fromkeys(arguments.whole_number(seed, "seed", 0, MAX_SEED) for seed in found))


def choose_seeds(
    n: int | None, seed: int | None, seeds: str | Iterable[int] | None, default: int = 64
) -> Sequence[int]:
    """The seeds that a number and a first one, or a list, ask for; ConfigError if they contradict each other."""
    if seeds is not None:
        if n is not None or seed is not None:
            raise ConfigError(
                f"{named('seeds')} names every seed: give either {named('seeds')}, or {named('n')} and "
                f"{named('seed')}."
            )
        return as_seeds(seeds)
    count = arguments.integer(default if n is None else n)
    if count is None or not 1 <= count <= MAX_SEEDS:
        raise ConfigError(f"{named('n', n)} is impossible: give a number from 1 to {MAX_SEEDS:,}.")
    first = arguments.integer(0 if seed is None else seed)
    if first is None or not 0 <= first <= MAX_SEED - count + 1:
        raise ConfigError(
            f"{named('seed', seed)} is out of range: give a number from 0 to {MAX_SEED - count + 1}."
        )
    return range(first, first + count)
