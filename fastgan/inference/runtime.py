"""One interface to everything that can turn latents into images."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgan import arguments
from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference.conditions import Conditions, JointSample, Request, find_attributes, find_classes
from fastgan.inference.facts import Facts
from fastgan.inference.inputs import Inputs, Noise
from fastgan.inference.runs import Runs
from fastgan.inference.shareable import Shareable
from fastgan.naming import named
from fastgan.seeds import MAX_SEED, MAX_SEEDS, latents, listed, normals
from fastgan.text import shown

NOISE_MODES = ("const", "random", "none")


class Runtime(Shareable, Runs):
    """A model that is ready to generate.

    Every run uses the same batch size, the last one padded, so that an image does not depend on how many were
    asked for: image i depends on latent i (and its own noise, where that is asked for) alone. In batches above the
    usual one, a short run is padded to a multiple of that. Between runtimes, batch
    sizes and places in a batch, sums are taken in another order: a pixel differs by at most one grey level of 255, and
    fewer than one in a thousand does.
    """

    name: str
    precision: str
    has_styles = False
    """Whether `styles` and `synthesise` can be called."""

    def __init__(self, facts: Facts, *, batch: int, lanes: int = 1, sample: Conditions | None = None) -> None:
        """lanes: see `lanes`. sample: what a conditional model's data holds, from which open conditions are drawn.

        Raises CheckpointError where a conditional model has no sample that fits its names.
        """
        super().__init__(batch, lanes)
        self.facts = facts
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

    @property
    @abstractmethod
    def device(self) -> str:
        """Where it runs, in words."""

    def _too_large(self) -> ConfigError:
        return ConfigError(
            f"{self.facts.source}: one image of {self.resolution} px does not fit into the memory of "
            f"{self.device}: use a machine or a device with more."
        )

    def describe(self) -> dict[str, Any]:
        """The model's facts and how it runs, ready for JSON."""
        running = {
            "runtime": self.name,
            "device": self.device,
            "precision": self.precision,
            "batch": self.batch,
        }
        return asdict(self.facts) | running

    def __repr__(self) -> str:
        facts = self.facts
        trained = "" if facts.cur_nimg is None else f", {facts.cur_nimg / 1000:g} kimg"
        names = ((facts.class_names, "classes"), (facts.attribute_names, "attributes"))
        asked = "".join(f", {len(found)} {what}" for found, what in names if found)
        return (
            f"<{shown(facts.source)}: {facts.model}, {facts.resolution} px, {facts.img_channels} channels{trained}"
            f"{asked}; {self.name} on {self.device}, {self.precision}, batch {self.batch}>"
        )

    def check_truncation(self, truncation_psi: float, truncation_cutoff: int | None = None) -> None:
        """Raise ConfigError if this model cannot be run with them."""
        psi = arguments.real_number(truncation_psi, "truncation_psi", -2.0, 2.0)
        if not self.has_truncation and (psi != 1.0 or truncation_cutoff is not None):
            raise ConfigError(
                f"{self.facts.source}: a {self.facts.model} model has no truncation; leave "
                f"{named('truncation_psi')} away."
            )
        if truncation_cutoff is not None:
            arguments.whole_number(truncation_cutoff, "truncation_cutoff", 0, self.facts.layers)

    def check_noise(self, mode: str) -> None:
        """Raise ConfigError if this model cannot be run with noise of this mode."""
        arguments.one_of(mode, "noise", NOISE_MODES)
        if mode != "const" and not self.facts.noise_sizes:
            raise ConfigError(
                f"{self.facts.source}: a {self.facts.model} model takes no noise; leave {named('noise')} away."
            )

    def check_conditions(self, c: NDArray[np.float32]) -> None:
        """Raise ConfigError for conditions that this runtime cannot take, such as those between two classes."""

    def request(
        self,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        attributes: Mapping[str, float] | None = None,
        noise: str = "const",
    ) -> Request:
        """A checked request, for `images`. ConfigError for what this model cannot do, with the names there are.

        truncation_psi, truncation_cutoff: see `generate`. classes: names that the seeds take in turn, or "all"; None
        or none draws them from the data's distribution. attributes: values by name; those not named are drawn from
        the data's images that agree with the class and the named ones. noise: the model's constant one ("const"), drawn
        from each seed ("random"), or "none".
        """
        facts = self.facts
        self.check_truncation(truncation_psi, truncation_cutoff)
        self.check_noise(noise)
        return Request(
            truncation_psi=float(truncation_psi),
            truncation_cutoff=None if truncation_cutoff is None else int(truncation_cutoff),
            classes=() if classes is None else find_classes(classes, facts.class_names, facts.words),
            attributes=()
            if attributes is None
            else find_attributes(attributes, facts.attribute_names, facts.words),
            noise=noise,
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

    def noise(self, seeds: Sequence[int], request: Request) -> Noise | None:
        """The noise of each seed, as the request has it; None for the model's constant one."""
        sizes = self.facts.noise_sizes
        if request.noise == "const" or not sizes:
            return None
        if request.noise == "none":
            return tuple(np.zeros((1, 1, size, size), np.float32) for size in sizes)
        ends = np.cumsum([size * size for size in sizes])
        drawn = np.split(normals(seeds, int(ends[-1]), stream=2), ends[:-1], axis=1)
        return tuple(part.reshape(-1, 1, size, size) for part, size in zip(drawn, sizes, strict=True))

    def prepare(self, seeds: Sequence[int], request: Request) -> Inputs:
        """What `launch` takes for these seeds. Work for the host alone, which another thread may do ahead."""
        return Inputs(
            z=latents(seeds, self.z_dim),
            c=self.conditions(seeds, request),
            noise=self.noise(seeds, request),
            truncation_psi=request.truncation_psi,
            truncation_cutoff=request.truncation_cutoff,
        )

    def images(self, seeds: Sequence[int], request: Request) -> NDArray[np.uint8]:
        """The images of seeds: uint8 [n, H, W, C]. Each depends on its seed and the request alone.

        Raises ConfigError for what is no list of seeds.
        """
        if not isinstance(seeds, Sequence):
            seeds = listed(seeds)
        starts = range(0, len(seeds), self.batch)
        return self._all(
            len(seeds), (self.prepare(seeds[start : start + self.batch], request) for start in starts)
        )

    def _all(self, count: int, batches: Iterable[Inputs]) -> NDArray[np.uint8]:
        images, start = self._empty(count), 0
        for made in self.launch_each(batches):
            images[start : start + len(made)] = made
            start += len(made)
        return images

    def generate(
        self,
        z: NDArray[np.float32],
        c: NDArray[np.float32] | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: Noise | None = None,
    ) -> NDArray[np.uint8]:
        """Images of latents: z float32 [n, z_dim], c float32 [n, condition_dim] -> uint8 [n, H, W, C].

        c: one-hot label, attribute values (0: unknown), 1 where known; None for a model that takes none.
        truncation_psi pulls every w towards the mean w (Karras et al. 2019, appendix B): 1 leaves it, 0 gives the
        mean image; truncation_cutoff does so in the first K layers alone. noise: float32 [n or 1, 1, h, w] a layer;
        None for the model's own. Raises ConfigError for a truncation that the model cannot take, ValueError for wrong
        shapes.
        """
        inputs = Inputs(
            z=z, c=c, noise=noise, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff
        )
        self._check_inputs(inputs)
        rows = np.arange(len(inputs))
        starts = range(0, len(inputs), self.batch)
        return self._all(len(inputs), (inputs.take(rows[start : start + self.batch]) for start in starts))

    def _empty(self, n: int) -> NDArray[np.uint8]:
        return np.empty((n, self.resolution, self.resolution, self.img_channels), np.uint8)

    def _check_inputs(self, inputs: Inputs) -> None:
        self.check_truncation(inputs.truncation_psi, inputs.truncation_cutoff)
        z, c, n = inputs.z, inputs.c, len(inputs)
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z has shape {list(z.shape)}; it must be [n, {self.z_dim}].")
        expected = [n, self.facts.condition_dim]
        if c is None and self.facts.condition_dim:
            raise ValueError(f"c is missing: this model takes conditions {expected}; `sample` draws them.")
        if c is not None and list(np.shape(c)) != expected:
            raise ValueError(f"c has shape {list(np.shape(c))}; it must be {expected}.")
        if inputs.noise is not None:
            self._check_noise(inputs.noise, n)
        if c is not None:
            self.check_conditions(c)

    def _check_noise(self, noise: Noise, n: int) -> None:
        found = [plane.shape for plane in noise]
        if [shape[1:] for shape in found] != [(1, size, size) for size in self.facts.noise_sizes] or not {
            shape[0] for shape in found
        } <= {1, n}:
            wanted = ", ".join(f"[{n} or 1, 1, {size}, {size}]" for size in self.facts.noise_sizes)
            raise ValueError(f"noise has shapes {[list(s) for s in found]}; they must be {wanted or 'none'}.")

    def sample(
        self,
        n: int,
        seed: int = 0,
        truncation_psi: float = 1.0,
        *,
        truncation_cutoff: int | None = None,
        classes: str | Iterable[str] | None = None,
        attributes: Mapping[str, float] | None = None,
        noise: str = "const",
    ) -> NDArray[np.uint8]:
        """The images of seeds seed, seed + 1, ..., seed + n - 1: uint8 [n, H, W, C].

        The same images that `fastgan generate -n N --seed SEED` writes; the other arguments are those of `request`:
        sample(8, classes=["truck"], attributes={"smiling": 1}).
        """
        n = arguments.whole_number(n, "n", 1, MAX_SEEDS)
        seed = arguments.whole_number(seed, "seed", 0, MAX_SEED - n + 1)
        asked = self.request(
            truncation_psi, truncation_cutoff, classes=classes, attributes=attributes, noise=noise
        )
        return self.images(range(seed, seed + n), asked)

    def styles(
        self, z: NDArray[np.float32], c: NDArray[np.float32] | None, request: Request
    ) -> NDArray[np.float32]:
        """The styles of latents, truncated: float32 [n, layers, w_dim]. ConfigError where a model has none."""
        raise self.no_styles()

    def synthesise(self, w: NDArray[np.float32], noise: Noise | None = None) -> NDArray[np.uint8]:
        """Images of styles: float32 [n, layers, w_dim] -> uint8 [n, H, W, C]. ConfigError as in `styles`.

        noise: see `generate`.
        """
        raise self.no_styles()

    def no_styles(self) -> ConfigError:
        """What is raised where styles are asked for and there are none."""
        return ConfigError(
            f"{self.facts.words} has no styles to mix in the {self.name} runtime: give a run of a stylegan, "
            "a checkpoint, a release, or what fastgan export --split wrote."
        )


def default_batch(resolution: int, *, gpu: bool) -> int:
    """Images a run: enough to keep the device busy, few enough for memory at high resolution."""
    most = 64 if gpu else 16
    return max(1, min(most, most * 128**2 // resolution**2))


def default_lanes(wanted: int, resolution: int, *, gpu: bool) -> int:
    """Runs side by side, of those wanted: as many up to 1024 px; above, an image has work for all cores by itself."""
    return 1 if gpu or resolution > 1024 else max(1, wanted)
