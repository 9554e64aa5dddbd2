"""Variables of the environment that fastgan goes by: each read in one way, and refused where its value is unknown.

FASTGAN_OPS    auto, native or reference: which implementation of the ops runs (fastgan/ops)
FASTGAN_ISA    base, avx2, avx512 or avx512bf16: the widest instruction set that the compiled ops may use
FASTGAN_VERIFY 0 leaves out comparing fingerprints when files are read
FASTGAN_DEBUG  1 shows the traceback of every error

Beside them: FASTGAN_CACHE, FASTGAN_MAX_FILE (fastgan/files.py) and FASTGAN_INCEPTION (the extractor inception-v3-fid).
Other names are left alone: Kubernetes gives each pod FASTGAN_PORT and its like where a service is called fastgan.
"""

import os
from collections.abc import Sequence

from fastgan.errors import ConfigError
from fastgan.text import shown


def choice(name: str, known: Sequence[str]) -> str:
    """The value of the variable `name`, one of `known`; the first of them where it is not set or empty.

    Raises ConfigError for any other value.
    """
    value = os.environ.get(name) or known[0]
    if value not in known:
        raise ConfigError(
            f"{name}={shown(value)} is unknown: set it to one of {', '.join(known)}, or unset it."
        )
    return value


def ops() -> str:
    """FASTGAN_OPS: "auto", "native" or "reference"."""
    return choice("FASTGAN_OPS", ("auto", "native", "reference"))


def isa() -> str:
    """FASTGAN_ISA, which the compiled ops read by themselves: any value that they would not know is refused here."""
    return choice("FASTGAN_ISA", ("avx512bf16", "avx512", "avx2", "base"))


def flag(name: str, *, default: bool) -> bool:
    """Whether the variable `name` is 1; ConfigError unless it is 0 or 1, or not set."""
    return choice(name, ("1", "0") if default else ("0", "1")) == "1"
