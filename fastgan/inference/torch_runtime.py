"""Generate with torch, on our native ops: from a run, a checkpoint or a release."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastgan.device import choose
from fastgan.errors import CheckpointError, ConfigError
from fastgan.files import atomic_write
from fastgan.inference.conditions import Conditions, Request
from fastgan.inference.facts import Facts
from fastgan.inference.inputs import Inputs, Noise, parts, take_noise
from fastgan.inference.precisions import OF_TORCH
from fastgan.inference.runs import Fetch
from fastgan.inference.runtime import Runtime, default_batch, default_lanes
from fastgan.machine import lacks_memory
from fastgan.naming import named
from fastgan.nn import StyleEpilogue, bake
from fastgan.pixels import levels, to_uint8
from fastgan.text import quoted
from fastgan.training import checkpoint, release


def open_model(
    path: Path,
    *,
    device: str,
    batch: int | None,
    precision: str | None,
    lanes: int = 1,
    ema: bool | float = True,
) -> "TorchRuntime":
    """Load the averaged generator of `path` onto `device`; the arguments are those of `open_generator`."""
    precision = precision or "fp32"
    if precision not in OF_TORCH:
        raise ConfigError(
            f"{named('precision', precision)} is an exported model's: export it first, "
            f"fastgan export {quoted(path)} --onnx model.onnx --{precision}, or choose one of {', '.join(OF_TORCH)}."
        )
    where = choose(device)
    generator, facts, _ = load_model(path, ema)
    gpu = where.type == "cuda"
    usual = default_batch(facts.resolution, gpu=gpu)
    opened = TorchRuntime(
        generator,
        facts,
        device=where,
        batch=batch or usual,
        lanes=default_lanes(lanes, facts.resolution, gpu=gpu),
        precision=precision,
        sample=load_sample(path) if facts.condition_dim else None,
    )
    opened.usual, opened.ema = usual, ema
    return opened


def load_model(path: Path, ema: bool | float = True) -> tuple[Any, Facts, dict[str, Any]]:
    """The averaged generator of a run, checkpoint or release, its facts, and the state saved with it.

    ema: see `load_generator`.
    """
    generator: Any
    generator, state = checkpoint.load_generator(path, ema=ema)
    data = state.get("data", {})
    facts = Facts(
        source=str(path),
        model=state["config"]["model"]["name"],
        resolution=generator.config.resolution,
        img_channels=generator.config.img_channels,
        z_dim=generator.z_dim,
        has_truncation=generator.has_truncation,
        cur_nimg=state["cur_nimg"],
        data_hash=data.get("content_hash"),
        fingerprint=fingerprint(generator),
        layers=len(generator.noise_shapes) if generator.has_truncation else 0,
        noise_sizes=tuple(shape[-1] for shape in generator.noise_shapes),
        class_names=_names("classes", path, generator.config, data.get("class_names", ())),
        attribute_names=_names("attributes", path, generator.config, data.get("attribute_names", ())),
    )
    return generator, facts, state


def _names(what: str, path: Path, config: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The data's names of the "classes" or "attributes" that a generator takes; none where it takes none."""
    count = getattr(config, what, 0)  # a Config without the field is of a model that knows no conditions
    if not count:
        return ()
    if len(names) != count:
        raise CheckpointError(
            f"{path} is not whole: it names {len(names)} {what}, and its generator takes {count}."
        )
    return tuple(names)


def load_sample(path: Path) -> Conditions:
    """What a conditional run, checkpoint or release holds of its data's joint distribution, empty where nothing."""
    held = checkpoint.load_sample(path)
    return Conditions(**{name: held[name].numpy() for name in ("labels", "attributes") if name in held})


class TorchRuntime(Runtime):
    """A generator in eval mode, its weight scales folded in, on channels_last tensors."""

    name = "torch"
    ema: bool | float = True
    """Which average it is; see `load_model`."""

    def __init__(
        self,
        generator: nn.Module,
        facts: Facts,
        *,
        device: torch.device,
        batch: int,
        lanes: int = 1,
        precision: str = "fp32",
        sample: Conditions | None = None,
    ) -> None:
        super().__init__(facts, batch=batch, lanes=lanes, sample=sample)
        self.has_styles = facts.layers > 0
        self.precision = precision
        self._device = device
        baked: Any = bake(generator)
        if precision == "bf16":
            round_weights(baked)
        self._generator = baked.to(device, memory_format=torch.channels_last)

    @property
    def device(self) -> str:
        """The torch device."""
        return str(self._device)

    def _write_release(self, target: Path) -> None:
        source = Path(self.facts.source)
        with atomic_write(target) as temporary:
            release.write(temporary, source, ema=self.ema)
            if fingerprint(checkpoint.load_generator(temporary)[0]) != self.facts.fingerprint:
                raise CheckpointError(
                    f"{source} holds other weights than when it was opened, as a run that is trained on does: open it "
                    "again, or one of its checkpoints."
                )

    def _enter_lane(self) -> None:
        torch.set_num_threads(1)  # of this thread, and of those that begin later

    def _leave_lanes(self) -> None:
        torch.set_num_threads(torch.get_num_threads())  # this thread's, for those that begin later

    def _most_lanes(self, wanted: int) -> int:
        return default_lanes(wanted, self.resolution, gpu=self._device.type == "cuda")

    @torch.inference_mode()
    def _begin(self, inputs: Inputs) -> Fetch:
        options: dict[str, Any] = {}
        if self.has_truncation:
            options["truncation_cutoff"] = inputs.truncation_cutoff
        with _memory_errors(), self._arithmetic():
            images = self._generator(
                self._tensor(inputs.z),
                *self._conditions(inputs.c),
                truncation_psi=inputs.truncation_psi,
                noise=self._noise(inputs.noise),
                **options,
            )
            return _begin_copy(to_uint8(images))

    @torch.inference_mode()
    def styles(
        self, z: NDArray[np.float32], c: NDArray[np.float32] | None, request: Request
    ) -> NDArray[np.float32]:
        """w of the mapping network, truncated; see `Runtime.styles`."""
        if not self.has_styles:
            return super().styles(z, c, request)
        self._check_inputs(Inputs(z=z, c=c))
        with self._arithmetic():
            w = self._generator.mapping(self._tensor(z), *self._conditions(c))
            w = self._generator.truncate(w, request.truncation_psi, request.truncation_cutoff)
        styles: NDArray[np.float32] = w.float().cpu().numpy()
        return styles

    def synthesise(self, w: NDArray[np.float32], noise: Noise | None = None) -> NDArray[np.uint8]:
        """Images of w; see `Runtime.synthesise`."""
        if not self.has_styles:
            return super().synthesise(w)
        return torch.cat([to_uint8(images).cpu() for images in self._synthesised(w, noise)]).numpy()

    def pixels(self, w: NDArray[np.float32]) -> Tensor:
        """Images of w as `synthesise` makes them, before they are rounded: float32 [n, H, W, C] in 0..255.

        For what looks at differences smaller than a grey level.
        """
        images = torch.cat([images.float() for images in self._synthesised(w, None)])
        return levels(images).permute(0, 2, 3, 1)

    @torch.inference_mode()
    def _synthesised(self, w: NDArray[np.float32], noise: Noise | None) -> Iterator[Tensor]:
        """Images [n, C, H, W] of w, batch by batch."""
        for rows in parts(len(w), self.fits, self.grain):
            here = None if noise is None else take_noise(noise, rows)
            with self._arithmetic():
                images = self._generator.synthesis(self._tensor(w[rows]), self._noise(here))
            yield images[: len(w) - rows[0]]

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _conditions(self, c: NDArray[np.float32] | None) -> tuple[Tensor, ...]:
        return () if c is None else (self._tensor(c),)

    def _noise(self, noise: Noise | None) -> list[Tensor] | None:
        return None if noise is None else [self._tensor(plane) for plane in noise]

    def _arithmetic(self) -> AbstractContextManager[object]:
        if self.precision == "bf16":
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        # cuDNN would otherwise round convolutions to TF32, which is a thousand times coarser than fp32.
        return torch.backends.cudnn.flags(allow_tf32=False) if self._device.type == "cuda" else nullcontext()


def round_weights(generator: nn.Module) -> None:
    """Round once to bf16 what autocast would round at every run: weights of convolutions, and of styles.

    Not a bit of the images changes. At the paper's full width a run of one image reads 150 MB less: 14% faster.
    """
    for part in generator.modules():
        weight = getattr(part, "weight", None)
        if isinstance(part, StyleEpilogue):
            part.affine.to(torch.bfloat16)
        elif isinstance(weight, Tensor) and weight.ndim == 4:
            weight.data = weight.data.to(torch.bfloat16)


def _begin_copy(pixels: Tensor) -> Fetch:
    """Begin to copy a tensor to the host; what is returned waits for it. On a CPU there is nothing to wait for."""
    if pixels.device.type != "cuda":
        return pixels.numpy
    host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
    host.copy_(pixels, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def fetch() -> NDArray[np.uint8]:
        copied.synchronize()
        return host.numpy()

    return fetch


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn torch's ways of saying that there is no memory into MemoryError."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not lacks_memory(error):
            raise
        raise MemoryError(str(error)) from error


def fingerprint(generator: nn.Module) -> str:
    """SHA-256 of the names and bytes of every tensor in the generator's state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
