"""lightweight-gan 1.2.1 on a CPU, in a virtual environment of its own: `python -m benchmarks.speedrun.lightweight`.

The package asks for CUDA when it is imported and moves its networks there. Here those calls do nothing:
`is_available` says yes while it is imported, `.cuda()` returns what it was called on, and `torch.device("cuda:0")` is
the CPU. torchvision (which has no build for this CPU build of torch) and kornia are empty modules: images come from
memory and samples go to the recorder in place of torchvision's folder and grids, and kornia serves a blur that is off
by default. All else is the package's own: networks, losses, penalties, augmentation (translation and cutout, at the
probability that it sets by itself), Adam, one step after the other. Samples come from its generator: its average begins
after 20,000 steps. An interrupted run begins anew.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.speedrun.recorder import Recorder

REQUIREMENTS = (
    "lightweight-gan==1.2.1",
    "einops==0.8.2",
    "adabelief-pytorch==0.2.1",
    "tabulate",
    "colorama",
    "tqdm",
)
"""Installed without their dependencies, beside torch, numpy and pillow"""
BATCH, SIZE = 16, 64
SETTINGS = {"batch": BATCH, "precision": "fp32", "image_size": SIZE, "version": "1.2.1"}


class _Empty(ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def opened() -> Any:
    """The package's main module, with its CUDA calls patched away."""
    import torch

    for name in ("torchvision", "torchvision.transforms", "kornia", "kornia.filters"):
        sys.modules[name] = _Empty(name)
    available, torch.cuda.is_available = torch.cuda.is_available, lambda: True
    try:
        from lightweight_gan import lightweight_gan as package
    finally:
        torch.cuda.is_available = available

    class OnCpu(ModuleType):
        """torch, whose devices are the CPU."""

        def __getattr__(self, name: str) -> Any:
            return (lambda *_: torch.device("cpu")) if name == "device" else getattr(torch, name)

    package.torch = OnCpu("torch")
    for moved in (torch.Tensor, torch.nn.Module):
        setattr(moved, "cuda", lambda self, *_, **__: self)  # noqa: B010 (mypy knows the method)
    return package


def batches(images: np.ndarray) -> Iterator[Any]:
    """[BATCH, 3, 64, 64] in 0 ... 1, epoch after epoch, shuffled, as the package's own loader gives them."""
    import torch

    tensor = torch.from_numpy(images)
    while True:
        for rows in torch.randperm(len(tensor)).split(BATCH):
            if len(rows) == BATCH:
                yield tensor[rows].permute(0, 3, 1, 2).float() / 255


def train(images: np.ndarray, seed: int, folder: Path, recorder: Recorder) -> int:
    """Train until the recorder's budget is over; how many images were shown."""
    import torch

    package = opened()
    torch.manual_seed(seed)
    package.random.__self__.seed(seed)  # the `random` of Python's module, bound to its one generator
    trainer = package.Trainer(
        name="speedrun",
        base_dir=folder,
        image_size=SIZE,
        batch_size=BATCH,
        aug_prob=min(0.5, (1e5 - len(images)) * 3e-6),  # what it sets by itself for a folder of so many
        use_aim=False,
    )
    trainer.loader = batches(images)
    trainer.save = trainer.evaluate = lambda *_, **__: None
    trainer.init_GAN()

    def sample(start: int, n: int) -> np.ndarray:
        trainer.GAN.eval()
        z = torch.randn(n, trainer.latent_dim, generator=torch.Generator().manual_seed(10_000 + start))
        with torch.no_grad():
            made = trainer.GAN.G(z).clamp(0, 1)
        return (made * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    recorder.forget()
    recorder.begin()
    over = False
    while not over:
        trainer.train()
        over = recorder.over
        recorder.take(trainer.steps * BATCH, sample, at_last=over)
    return trainer.steps * BATCH


def main() -> None:
    """Train, and leave trained.json in the folder."""
    parser = argparse.ArgumentParser(description="Train lightweight-gan on a CPU.")
    parser.add_argument("images", type=Path, help="uint8 [N, 64, 64, 3] as .npy")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--due", type=float, nargs="+", required=True, help="CPU seconds")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    recorder = Recorder(options.folder, tuple(options.due), options.samples)
    shown = train(np.load(options.images), options.seed, options.folder / "models", recorder)
    facts = {
        "images": shown,
        "seconds": recorder.seconds,
        "setup_seconds": recorder.setup_seconds,
        "settings": SETTINGS,
    }
    (options.folder / "trained.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
