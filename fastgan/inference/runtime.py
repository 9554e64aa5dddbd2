"""One interface to everything that can turn latents into images.

Adding a runtime is adding a file NAME_runtime.py here with a function
`open_model(path, *, device, batch, precision) -> Runtime`, and its suffix below.
"""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference.conditions import Conditions, JointSample, Request, find_attributes, find_classes
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
    layers: int = 0
    """Layers with a style of their own, two a resolution from 4 px up; 0 where there are no styles."""
    class_names: tuple[str, ...] = ()
    """What the model can be asked for by --class, in the order of its labels; empty where it takes none."""
    attribute_names: tuple[str, ...] = ()
    """What the model can be asked for by --attrs."""

    @property
    def condition_dim(self) -> int:
        """Length of a condition vector: one-hot label, attribute values, flags of those known."""
        return len(self.class_names) + 2 * len(self.attribute_names)

    @property
    def words(self) -> str:
        """How messages name the model."""
        return f"{self.source}: this {self.model} model"


class Runtime(ABC):
    """A model that is ready to generate.

    Every run uses the same batch size, the last one padded, so that an image does not depend on how many were
    asked for. The constant noise that is stored with the model is used: image i depends on latent i alone. Between
    runtimes, batch sizes and places in a batch, sums are taken in another order: a pixel differs by at most
    one grey level of 255, and fewer than one in a thousand does.
    """

    name: str
    precision: str
    has_styles = False
    """Whether `styles` and `synthesise` can be called."""

    def __init__(self, facts: Facts, *, batch: int, sample: Conditions | None = None) -> None:
        """sample: what a conditional model's data holds, from which open conditions are drawn.

        Raises CheckpointError where a conditional model has no sample that fits its names.
        """
        self.facts = facts
        self.batch = batch
        self.resolution = facts.resolution
        self.img_channels = facts.img_channels
        self.z_dim = facts.z_dim
        self.has_truncation = facts.has_truncation
        self.data: JointSample | None = None
        if facts.condition_dim:
            try:
                self.data = JointSample(facts.class_names, facts.attribute_names, sample or Conditions())
            except ValueError as error:
                raise CheckpointError(f"{facts.words} is not whole: {error}.") from error

    @abstractmethod
    def _run(
        self,
        z: NDArray[np.float32],
        c: NDArray[np.float32] | None,
        truncation_psi: float,
        truncation_cutoff: int | None,
    ) -> NDArray[np.uint8]:
        """Generate exactly one batch: z [batch, z_dim], c [batch, condition_dim] -> uint8 [batch, H, W, C]."""

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

    def check_truncation(self, truncation_psi: float, truncation_cutoff: int | None = None) -> None:
        """Raise ConfigError if this model cannot be run with them."""
        if not self.has_truncation and (truncation_psi != 1.0 or truncation_cutoff is not None):
            raise ConfigError(
                f"{self.facts.source}: a {self.facts.model} model has no truncation; leave --truncation away."
            )
        if not -2.0 <= truncation_psi <= 2.0:  # also refuses NaN
            raise ConfigError(f"--truncation {truncation_psi} is out of range: give a number from -2 to 2.")
        if truncation_cutoff is not None and not 0 <= truncation_cutoff <= self.facts.layers:
            raise ConfigError(
                f"--truncation-cutoff {truncation_cutoff} is out of range: give a number from 0 to "
                f"{self.facts.layers}, the layers of {self.facts.source}."
            )

    def check_conditions(self, c: NDArray[np.float32]) -> None:  # noqa: B027  most runtimes take any
        """Raise ConfigError for conditions that this runtime cannot take, such as those between two classes."""

    def request(
        self,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> Request:
        """A checked request, for `images`. ConfigError for what this model cannot do, with the names there are.

        truncation_psi, truncation_cutoff: see `generate`. classes: names that the seeds take in turn, or "all"; None
        or none draws them from the data's distribution. attributes: values by name; those not named are drawn from
        the data's images that agree with the class and the named ones.
        """
        facts = self.facts
        self.check_truncation(truncation_psi, truncation_cutoff)
        return Request(
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            classes=find_classes(classes, facts.class_names, facts.words) if classes else (),
            attributes=find_attributes(attributes, facts.attribute_names, facts.words) if attributes else (),
        )

    def conditions(self, seeds: Sequence[int], request: Request) -> NDArray[np.float32] | None:
        """c float32 [n, condition_dim] of each seed; None for a model that takes none."""
        if self.data is None:
            return None
        return self.data.draw(seeds, request).encode(len(self.facts.class_names))

    def describe_conditions(self, seeds: Sequence[int], request: Request) -> list[dict[str, Any]]:
        """The class and attributes of each seed by name, ready for JSON; {} for a model that takes none."""
        if self.data is None:
            return [{} for _ in seeds]
        return self.data.describe(self.data.draw(seeds, request))

    def images(self, seeds: Sequence[int], request: Request) -> NDArray[np.uint8]:
        """The images of seeds: uint8 [n, H, W, C]. Each depends on its seed and the request alone."""
        z, c = latents(seeds, self.z_dim), self.conditions(seeds, request)
        return self.generate(z, c, request.truncation_psi, request.truncation_cutoff)

    def generate(
        self,
        z: NDArray[np.float32],
        c: NDArray[np.float32] | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> NDArray[np.uint8]:
        """Images of latents: z float32 [n, z_dim], c float32 [n, condition_dim] -> uint8 [n, H, W, C].

        c: one-hot label, attribute values (0: unknown), 1 where known; None for a model that takes none.
        truncation_psi pulls every w towards the mean w (Karras et al. 2019, appendix B): 1 leaves it, 0 gives the
        mean image; truncation_cutoff does so in the first K layers alone. Raises ConfigError for a truncation that
        the model cannot take, ValueError for a wrong z or c.
        """
        self.check_truncation(truncation_psi, truncation_cutoff)
        self._check_inputs(z, c)
        images = np.empty((len(z), self.resolution, self.resolution, self.img_channels), np.uint8)
        for start in range(0, len(z), self.batch):
            # The last batch is filled with repetitions.
            rows = np.resize(np.arange(start, min(start + self.batch, len(z))), self.batch)
            made = self._run(z[rows], None if c is None else c[rows], truncation_psi, truncation_cutoff)
            images[start : start + self.batch] = made[: len(z) - start]
        return images

    def _check_inputs(self, z: NDArray[np.float32], c: NDArray[np.float32] | None) -> None:
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z has shape {list(z.shape)}; it must be [n, {self.z_dim}].")
        expected = [len(z), self.facts.condition_dim]
        if c is None and self.facts.condition_dim:
            raise ValueError(f"c is missing: this model takes conditions {expected}; `sample` draws them.")
        if c is not None and list(np.shape(c)) != expected:
            raise ValueError(f"c has shape {list(np.shape(c))}; it must be {expected}.")
        if c is not None:
            self.check_conditions(c)

    def sample(
        self,
        n: int,
        seed: int = 0,
        truncation_psi: float = 1.0,
        *,
        truncation_cutoff: int | None = None,
        classes: str | Iterable[str] | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """The images of seeds seed, seed + 1, ..., seed + n - 1: uint8 [n, H, W, C].

        The same images that `fastgan generate -n N --seed SEED` writes; the other arguments are those of `request`:
        sample(8, classes=["truck"], attributes={"smiling": 1}).
        """
        if n < 1:
            raise ConfigError(f"{n} images were asked for: give a number of at least 1.")
        asked = self.request(truncation_psi, truncation_cutoff, classes=classes, attributes=attributes)
        return self.images(range(seed, seed + n), asked)

    def styles(
        self, z: NDArray[np.float32], c: NDArray[np.float32] | None, request: Request
    ) -> NDArray[np.float32]:
        """The styles of latents, truncated: float32 [n, layers, w_dim]. ConfigError where a model has none."""
        raise self.no_styles()

    def synthesise(self, w: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Images of styles: float32 [n, layers, w_dim] -> uint8 [n, H, W, C]. ConfigError as in `styles`."""
        raise self.no_styles()

    def no_styles(self) -> ConfigError:
        """What is raised where styles are asked for and there are none."""
        return ConfigError(
            f"{self.facts.words} has no styles to mix in the {self.name} runtime: give a run of a stylegan, "
            "a checkpoint or a release."
        )


def open_generator(
    path: str | os.PathLike[str],
    *,
    runtime: str = "auto",
    device: str = "auto",
    batch: int | None = None,
    precision: str = "fp32",
    ema: float | None = None,
) -> Runtime:
    """Open a run folder, a checkpoint folder, a release .safetensors, or an exported .onnx for generating.

    runtime: "auto" takes ONNX Runtime for an .onnx file and torch for the rest. device: "auto" (a GPU if there is
    one), "cpu", "cuda" or "cuda:N". batch: images a run; by default 16 on a CPU and 64 on a GPU, fewer for large
    images. precision: "fp32" is exact; "bf16" is faster on processors that have it, and only torch's. ema:
    the average of that half-life in kimg, of a run that keeps several; by default the first.
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
    if ema is not None and fitting == "onnx":
        raise ConfigError(
            f"{source} holds one average of the generator: leave --ema away, or generate from the run."
        )
    options = {} if ema is None else {"ema": ema}
    opened: Runtime = module.open_model(source, device=device, batch=batch, precision=precision, **options)
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
