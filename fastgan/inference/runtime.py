"""One interface to everything that can turn latents into images.

Adding a runtime is adding a file NAME_runtime.py here with a function
`open_model(path, *, device, batch, precision) -> Runtime`, and its suffix below.
"""

import importlib
import os
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference.latents import latents

RUNTIMES = ("torch", "onnx")
PRECISIONS = ("fp32", "bf16")
_BY_SUFFIX = {".onnx": "onnx"}  # everything else that fastgan writes is opened by torch


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What there is to know about a model that can generate, whatever runs it."""

    source: str
    """The path that was opened."""
    model: str
    """Name of the architecture, as in fastgan/models/."""
    resolution: int
    img_channels: int
    z_dim: int
    has_truncation: bool
    cur_nimg: int | None
    """Real images seen in training, where that is known."""
    data_hash: str | None
    """Content hash of the data set it was trained on, where that is known."""
    fingerprint: str
    """SHA-256 that changes when any weight changes."""


class Runtime(ABC):
    """A model that is ready to generate.

    Every run uses the same batch size, the last one padded, so that an image does not depend on how many were
    asked for. The constant noise that is stored with the model is used: image i depends on latent i alone. Between
    runtimes, batch sizes and places in a batch, sums are taken in another order: a pixel differs by at most
    one grey level of 255, and fewer than one in a thousand does.
    """

    name: str
    precision: str

    def __init__(self, facts: Facts, *, batch: int) -> None:
        self.facts = facts
        self.batch = batch
        self.resolution = facts.resolution
        self.img_channels = facts.img_channels
        self.z_dim = facts.z_dim
        self.has_truncation = facts.has_truncation

    @abstractmethod
    def _run(self, z: NDArray[np.float32], truncation_psi: float) -> NDArray[np.uint8]:
        """Generate exactly one batch: z [batch, z_dim] -> uint8 [batch, H, W, C]."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where it runs, in words."""

    def describe(self) -> dict[str, Any]:
        """The model's facts and how it runs, ready for JSON."""
        running = {
            "runtime": self.name,
            "device": self.device,
            "precision": self.precision,
            "batch": self.batch,
        }
        return asdict(self.facts) | running

    def check_truncation(self, truncation_psi: float) -> None:
        """Raise ConfigError if this model cannot be run with `truncation_psi`."""
        if not self.has_truncation and truncation_psi != 1.0:
            raise ConfigError(
                f"{self.facts.source}: a {self.facts.model} model has no truncation; leave --truncation away."
            )
        if not -2.0 <= truncation_psi <= 2.0:  # also refuses NaN
            raise ConfigError(f"--truncation {truncation_psi} is out of range: give a number from -2 to 2.")

    def generate(self, z: NDArray[np.float32], truncation_psi: float = 1.0) -> NDArray[np.uint8]:
        """Images of latents: z float32 [n, z_dim] -> uint8 [n, H, W, C].

        truncation_psi pulls every w towards the mean w (Karras et al. 2019, appendix B): 1 leaves it, 0 gives the
        mean image. Raises ConfigError for a truncation that the model cannot take, ValueError for a wrong z.
        """
        self.check_truncation(truncation_psi)
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z has shape {list(z.shape)}; it must be [n, {self.z_dim}].")
        images = np.empty((len(z), self.resolution, self.resolution, self.img_channels), np.uint8)
        for start in range(0, len(z), self.batch):
            part = z[start : start + self.batch]
            padded = np.resize(part, (self.batch, self.z_dim))  # the last batch is filled with repetitions
            images[start : start + self.batch] = self._run(padded, truncation_psi)[: len(part)]
        return images

    def sample(self, n: int, seed: int = 0, truncation_psi: float = 1.0) -> NDArray[np.uint8]:
        """The images of seeds seed, seed + 1, ..., seed + n - 1: uint8 [n, H, W, C].

        The same images that `fastgan generate -n N --seed SEED` writes.
        """
        if n < 1:
            raise ConfigError(f"{n} images were asked for: give a number of at least 1.")
        return self.generate(latents(range(seed, seed + n), self.z_dim), truncation_psi)


def open_generator(
    path: str | os.PathLike[str],
    *,
    runtime: str = "auto",
    device: str = "auto",
    batch: int | None = None,
    precision: str = "fp32",
) -> Runtime:
    """Open a run folder, a checkpoint folder, a release .safetensors, or an exported .onnx for generating.

    runtime: "auto" takes ONNX Runtime for an .onnx file and torch for the rest. device: "auto" (a GPU if there is
    one), "cpu", "cuda" or "cuda:N". batch: images a run; by default 16 on a CPU and 64 on a GPU, fewer for large
    images. precision: "fp32" is exact; "bf16" is faster on processors that have it, and only torch's.
    Raises CheckpointError for a path that is missing, broken or not ours, ConfigError for impossible settings.
    """
    source = Path(path)
    fitting = _BY_SUFFIX.get(source.suffix.lower(), "torch")
    if runtime not in ("auto", *RUNTIMES):
        raise ConfigError(f"--runtime {runtime!r} is unknown: choose one of auto, {', '.join(RUNTIMES)}.")
    if runtime not in ("auto", fitting):
        mend = (
            f"leave --runtime away, or generate from the run that {source.name} was exported from"
            if fitting == "onnx"
            else f"export it first: fastgan export {source} --onnx model.onnx"
        )
        raise ConfigError(f"{source} cannot be run by the {runtime} runtime; {mend}.")
    if precision not in PRECISIONS:
        raise ConfigError(f"--precision {precision!r} is unknown: choose one of {', '.join(PRECISIONS)}.")
    if batch is not None and batch < 1:
        raise ConfigError(f"--batch {batch} is impossible: give a number of at least 1.")
    if not source.exists():
        raise CheckpointError(f"{source} does not exist: give a run folder, a checkpoint or an .onnx file.")
    module = importlib.import_module(f"fastgan.inference.{fitting}_runtime")
    opened: Runtime = module.open_model(source, device=device, batch=batch, precision=precision)
    return opened


def default_batch(resolution: int, *, gpu: bool) -> int:
    """Images a run: enough to keep the device busy, few enough for memory at high resolution."""
    most = 64 if gpu else 16
    return max(1, min(most, most * 128**2 // resolution**2))


def to_uint8(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Float images about [-1, 1] to uint8: round(clamp(127.5 x + 127.5, 0, 255)), halves to even.

    Torch, the exported graph and this function share the rule, in float32.
    """
    scaled = images * np.float32(127.5) + np.float32(127.5)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
