"""A checked set of images of one size, in memory or in a packed file."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from fastgan import arguments
from fastgan.errors import ConfigError, DataError
from fastgan.naming import named

PACK = "fastgan data pack"  # the command that has an option for each parameter of `open_dataset`
Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total); stages are "scan", "decode" and "check"."""
_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class BadImage:
    """An image that was skipped: its name inside the source, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images with optional class labels and attribute vectors; immutable by convention, shared without copying."""

    images: torch.Tensor
    """uint8 [N, H, W, C], H == W, C 1 (grey), 3 (RGB) or 4 (RGBA); of an .fgd read as they are used
    (`fastgan.data.row_file.FileImages`)"""
    content_hash: str
    """SHA-256 (hex) of the pixel bytes, then the label bytes, then the attribute bytes"""
    labels: torch.Tensor | None = None
    """int64 [N], indices into `class_names`"""
    class_names: tuple[str, ...] = ()
    attributes: torch.Tensor | None = None
    """float32 [N, A]: 0 and 1, or any finite number; NaN: unknown"""
    attribute_names: tuple[str, ...] = ()
    bad: tuple[BadImage, ...] = ()
    """What was skipped when the set was made"""
    notes: tuple[str, ...] = ()
    """Sentences a user should read once: what was decided for them"""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the set comes from and how it was made (JSON types only, no times, no absolute paths)"""
    name_bytes: torch.Tensor | None = None
    """uint8 [B]: the images' names inside their source, UTF-8, one a line; see `names`"""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 [N, H, W, C], not {self.images.dtype} {[*self.images.shape]}"
            )
        for name in ("labels", "attributes"):
            tensor = getattr(self, name)
            if tensor is not None and len(tensor) != len(self):
                raise ValueError(f"{name} has {len(tensor)} rows for {len(self)} images")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        kind = _KINDS.get(self.channels, f"{self.channels} channels")
        parts = [f"{len(self):,} images of {self.resolution} x {self.resolution} {kind}"]
        counts = ((self.class_names, "classes"), (self.attribute_names, "attributes"), (self.bad, "skipped"))
        parts += [f"{len(held)} {what}" for held, what in counts if held]
        return f"<Dataset: {', '.join(parts)}, hash {self.content_hash[:12]}>"

    @property
    def resolution(self) -> int:
        """Height and width in pixels."""
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        """1 (grey), 3 (RGB) or 4 (RGBA)."""
        return self.images.shape[3]

    @property
    def names(self) -> tuple[str, ...]:
        """Each image's name inside its source; empty when the set was made without names."""
        if self.name_bytes is None:
            return ()
        return tuple(self.name_bytes.numpy().tobytes().decode("utf-8").split("\n"))


def encode_names(names: Sequence[str]) -> torch.Tensor | None:
    """Names -> uint8 [B] for `Dataset.name_bytes`; a line break inside a name becomes a space."""
    if not names:
        return None
    text = "\n".join(name.replace("\n", " ") for name in names)
    return torch.frombuffer(bytearray(text.encode("utf-8")), dtype=torch.uint8)


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """The tensor's bytes in row-major order, without a copy when it is contiguous."""
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().data


def pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensor cut along its first dimension into some 64 MB each: of one that lies in a file, one is in memory."""
    rows = max(1, (64 << 20) * len(tensor) // max(tensor.nbytes, 1))
    for start in range(0, len(tensor), rows):
        yield tensor[start : start + rows]


def content_hash(
    images: torch.Tensor,
    labels: torch.Tensor | None = None,
    attributes: torch.Tensor | None = None,
    progress: Progress | None = None,
) -> str:
    """SHA-256 (hex) of pixel, label and attribute bytes in that order; progress is told of the images as "check"."""
    digest, done = hashlib.sha256(), 0
    for part in pieces(images):
        digest.update(raw_bytes(part))
        done += len(part)
        if progress is not None:
            progress("check", done, len(images))
    for tensor in (labels, attributes):
        if tensor is not None and tensor.numel():
            digest.update(raw_bytes(tensor))
    return digest.hexdigest()


@contextmanager
def argument_errors() -> Iterator[None]:
    """An argument that cannot be is a DataError here, as all that is wrong with data."""
    try:
        yield
    except ConfigError as error:
        raise DataError(str(error)) from None


def option(parameter: str, *value: object) -> str:
    """How messages name a parameter of `open_dataset` and its siblings; see `fastgan.naming.named`."""
    return named(parameter, *value, elsewhere=PACK)


def nearest_power(side: int) -> int:
    """The power of two that is nearest to `side` (28 -> 32), the smaller of two that are."""
    below = 1 << max(side, 1).bit_length() - 1
    return below if side - below <= 2 * below - side else 2 * below


def check_geometry(resolution: int | None, channels: int | None) -> None:
    """Raise DataError unless both are possible (None: to be found from the data)."""
    if resolution is not None:
        arguments.whole_number(resolution, "resolution", 1, 8192, elsewhere=PACK)
    if channels is not None and arguments.whole_number(channels, "channels", 1, 4, elsewhere=PACK) == 2:
        raise DataError(f"{option('channels', channels)} is not possible: use 1 (grey), 3 (RGB) or 4 (RGBA)")
