"""Random words that are a function of seed and position alone, and that no numpy version may change.

Philox (Salmon et al. 2011) is a function of key and counter: the seed is in the key, and the purpose in the top word of
the 256-bit counter, so that what is drawn for one purpose says nothing of another, and a word of any position can be
had without those before it.
"""

import numpy as np

ORDER, MIRROR, CONDITIONS, HOLDOUT, FLIP_VERTICAL, ROTATE, SCALE = range(1, 8)
"""Purposes. Their numbers are part of what a resumed run relies on: add at the end."""


def philox(seed: int, key: int, block: int, purpose: int) -> np.random.Philox:
    """The generator that stands at block (4 words) `block` of the stream of (seed, key, purpose)."""
    words = np.array([seed % 2**64, key], dtype=np.uint64)
    return np.random.Philox(key=words, counter=np.array([block, 0, 0, purpose], dtype=np.uint64))


def words(seed: int, start: int, count: int, purpose: int) -> np.ndarray:
    """uint64 [count]: one word for each of the positions start, start+1, ..."""
    return philox(seed, 0, start // 4, purpose).random_raw(count + start % 4)[start % 4 :]


def signed(seed: int, start: int, count: int, purpose: int) -> np.ndarray:
    """float64 [count], uniform in [-1, 1), for the positions start, start+1, ..."""
    return (words(seed, start, count, purpose) >> np.uint64(11)) * 2.0**-52 - 1  # all 53 bits of a double
