"""Generate with torch, on our native ops: from a run, a checkpoint or a release."""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastgan.errors import ConfigError
from fastgan.inference.runtime import Facts, Runtime, default_batch
from fastgan.nn import bake
from fastgan.training.checkpoint import load_generator


def open_model(path: Path, *, device: str, batch: int | None, precision: str) -> "TorchRuntime":
    """Load the averaged generator of `path` onto `device`; the arguments are those of `open_generator`."""
    where = choose_device(device)
    generator, facts, _ = load_model(path)
    size = batch or default_batch(facts.resolution, gpu=where.type == "cuda")
    return TorchRuntime(generator, facts, device=where, batch=size, precision=precision)


def load_model(path: Path) -> tuple[Any, Facts, dict[str, Any]]:
    """The averaged generator of a run, checkpoint or release, its facts, and the state saved with it."""
    generator: Any
    generator, state = load_generator(path)
    facts = Facts(
        source=str(path),
        model=state["config"]["model"]["name"],
        resolution=generator.config.resolution,
        img_channels=generator.config.img_channels,
        z_dim=generator.z_dim,
        has_truncation=generator.has_truncation,
        cur_nimg=state["cur_nimg"],
        data_hash=state.get("data", {}).get("content_hash"),
        fingerprint=fingerprint(generator),
    )
    return generator, facts, state


class TorchRuntime(Runtime):
    """A generator in eval mode, its weight scales folded in, on channels_last tensors."""

    name = "torch"

    def __init__(
        self, generator: nn.Module, facts: Facts, *, device: torch.device, batch: int, precision: str = "fp32"
    ) -> None:
        super().__init__(facts, batch=batch)
        self.precision = precision
        self._device = device
        baked: Any = bake(generator)
        self._generator = baked.to(device, memory_format=torch.channels_last)

    @property
    def device(self) -> str:
        """The torch device."""
        return str(self._device)

    @torch.inference_mode()
    def _run(self, z: NDArray[np.float32], truncation_psi: float) -> NDArray[np.uint8]:
        latents = torch.from_numpy(z).to(self._device)
        with self._arithmetic():
            images = self._generator(latents, truncation_psi=truncation_psi)
        return to_uint8(images).cpu().numpy()

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
