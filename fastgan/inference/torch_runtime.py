"""Generate with torch, on our native ops: from a run, a checkpoint or a release."""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference.conditions import Conditions, Request
from fastgan.inference.runtime import Facts, Runtime, default_batch
from fastgan.nn import bake
from fastgan.training.checkpoint import load_generator, locate


def open_model(
    path: Path, *, device: str, batch: int | None, precision: str, ema: bool | float = True
) -> "TorchRuntime":
    """Load the averaged generator of `path` onto `device`; the arguments are those of `open_generator`."""
    where = choose_device(device)
    generator, facts, _ = load_model(path, ema)
    size = batch or default_batch(facts.resolution, gpu=where.type == "cuda")
    sample = load_sample(path) if facts.condition_dim else None
    return TorchRuntime(generator, facts, device=where, batch=size, precision=precision, sample=sample)


def load_model(path: Path, ema: bool | float = True) -> tuple[Any, Facts, dict[str, Any]]:
    """The averaged generator of a run, checkpoint or release, its facts, and the state saved with it.

    ema: see `load_generator`.
    """
    generator: Any
    generator, state = load_generator(path, ema=ema)
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
    file = path if path.is_file() else locate(path) / "model.safetensors"
    with safe_open(file, framework="numpy") as tensors:
        names = tensors.keys()
        return Conditions(
            **{
                name: tensors.get_tensor(f"conditions.{name}")
                for name in ("labels", "attributes")
                if f"conditions.{name}" in names
            }
        )


class TorchRuntime(Runtime):
    """A generator in eval mode, its weight scales folded in, on channels_last tensors."""

    name = "torch"

    def __init__(
        self,
        generator: nn.Module,
        facts: Facts,
        *,
        device: torch.device,
        batch: int,
        precision: str = "fp32",
        sample: Conditions | None = None,
    ) -> None:
        super().__init__(facts, batch=batch, sample=sample)
        self.has_styles = facts.layers > 0
        self.precision = precision
        self._device = device
        baked: Any = bake(generator)
        self._generator = baked.to(device, memory_format=torch.channels_last)

    @property
    def device(self) -> str:
        """The torch device."""
        return str(self._device)

    @torch.inference_mode()
    def _run(
        self,
        z: NDArray[np.float32],
        c: NDArray[np.float32] | None,
        truncation_psi: float,
        truncation_cutoff: int | None,
    ) -> NDArray[np.uint8]:
        options = {"truncation_cutoff": truncation_cutoff} if self.has_truncation else {}
        with self._arithmetic():
            images = self._generator(
                self._tensor(z), *self._conditions(c), truncation_psi=truncation_psi, **options
            )
        return to_uint8(images).cpu().numpy()

    @torch.inference_mode()
    def styles(
        self, z: NDArray[np.float32], c: NDArray[np.float32] | None, request: Request
    ) -> NDArray[np.float32]:
        """w of the mapping network, truncated; see `Runtime.styles`."""
        if not self.has_styles:
            return super().styles(z, c, request)
        self._check_inputs(z, c)
        with self._arithmetic():
            w = self._generator.mapping(self._tensor(z), *self._conditions(c))
            w = self._generator.truncate(w, request.truncation_psi, request.truncation_cutoff)
        styles: NDArray[np.float32] = w.float().cpu().numpy()
        return styles

    @torch.inference_mode()
    def synthesise(self, w: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Images of w; see `Runtime.synthesise`."""
        if not self.has_styles:
            return super().synthesise(w)
        with self._arithmetic():
            images = [
                to_uint8(self._generator.synthesis(part)).cpu() for part in self._tensor(w).split(self.batch)
            ]
        return torch.cat(images).numpy()

    @torch.inference_mode()
    def pixels(self, w: NDArray[np.float32]) -> Tensor:
        """Images of w as `synthesise` makes them, before they are rounded: float32 [n, H, W, C] in 0..255.

        For what looks at differences smaller than a grey level.
        """
        with self._arithmetic():
            images = [self._generator.synthesis(part).float() for part in self._tensor(w).split(self.batch)]
        return (torch.cat(images) * 127.5 + 127.5).clamp(0, 255).permute(0, 2, 3, 1)

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _conditions(self, c: NDArray[np.float32] | None) -> tuple[Tensor, ...]:
        return () if c is None else (self._tensor(c),)

    def _arithmetic(self) -> AbstractContextManager[object]:
        if self.precision == "bf16":
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        # cuDNN would otherwise round convolutions to TF32, which is a thousand times coarser than fp32.
        return torch.backends.cudnn.flags(allow_tf32=False) if self._device.type == "cuda" else nullcontext()


def to_uint8(images: Tensor) -> Tensor:
    """[N, C, H, W] about [-1, 1] -> uint8 [N, H, W, C], by the rule of `fastgan.inference.runtime.to_uint8`."""
    scaled = images.float() * 127.5 + 127.5
    return scaled.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def choose_device(device: str) -> torch.device:
    """The torch device that "auto", "cpu", "cuda" or "cuda:N" names here; ConfigError if there is none such."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"--device {device!r} is unknown: choose auto, cpu, cuda or cuda:N.") from None
    if chosen.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {device!r} is not supported: choose auto, cpu, cuda or cuda:N.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {device} asks for a GPU that torch does not see here: choose cpu or auto."
        )
    return chosen


def fingerprint(generator: nn.Module) -> str:
    """SHA-256 of the names and bytes of every tensor in the generator's state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
