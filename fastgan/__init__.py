"""fastgan: train a GAN on a folder of images, generate from it, export it.

    import fastgan
    images = fastgan.load("runs/0007").sample(64, seed=0)   # uint8 numpy array [64, H, W, C]

What is listed in `__all__` is the public API; each name is imported when it is first used, so that
`import fastgan` itself costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastgan.version import __version__

if TYPE_CHECKING:
    from fastgan.allocator import keep_memory
    from fastgan.api.augment import augment
    from fastgan.api.bench import Bench, bench
    from fastgan.api.card import Card
    from fastgan.api.data import pack
    from fastgan.api.evaluate import evaluate
    from fastgan.api.export import export
    from fastgan.api.exported import Exported
    from fastgan.api.generate import Generated, generate
    from fastgan.api.info import Info, info
    from fastgan.api.models import create_model, list_models, list_presets
    from fastgan.api.run import Run
    from fastgan.api.train import train
    from fastgan.api.tune import Tuned, tune
    from fastgan.api.verify import verify
    from fastgan.callbacks import Callback
    from fastgan.data import open_dataset
    from fastgan.errors import FastganError
    from fastgan.inference.opening import open_generator as load
    from fastgan.seeds import latents

__all__ = [
    "Bench",
    "Callback",
    "Card",
    "Exported",
    "FastganError",
    "Generated",
    "Info",
    "Run",
    "Tuned",
    "__version__",
    "augment",
    "bench",
    "create_model",
    "evaluate",
    "export",
    "generate",
    "info",
    "keep_memory",
    "latents",
    "list_models",
    "list_presets",
    "load",
    "open_dataset",
    "pack",
    "train",
    "tune",
    "verify",
]

_HOMES = {
    "Callback": ("fastgan.callbacks", "Callback"),
    "bench": ("fastgan.api.bench", "bench"),
    "Bench": ("fastgan.api.bench", "Bench"),
    "export": ("fastgan.api.export", "export"),
    "Exported": ("fastgan.api.exported", "Exported"),
    "Card": ("fastgan.api.card", "Card"),
    "Run": ("fastgan.api.run", "Run"),
    "augment": ("fastgan.api.augment", "augment"),
    "create_model": ("fastgan.api.models", "create_model"),
    "evaluate": ("fastgan.api.evaluate", "evaluate"),
    "FastganError": ("fastgan.errors", "FastganError"),
    "Generated": ("fastgan.api.generate", "Generated"),
    "generate": ("fastgan.api.generate", "generate"),
    "Info": ("fastgan.api.info", "Info"),
    "info": ("fastgan.api.info", "info"),
    "keep_memory": ("fastgan.allocator", "keep_memory"),
    "latents": ("fastgan.seeds", "latents"),
    "list_models": ("fastgan.api.models", "list_models"),
    "list_presets": ("fastgan.api.models", "list_presets"),
    "load": ("fastgan.inference", "open_generator"),
    "open_dataset": ("fastgan.data", "open_dataset"),
    "pack": ("fastgan.api.data", "pack"),
    "verify": ("fastgan.api.verify", "verify"),
    "train": ("fastgan.api.train", "train"),
    "tune": ("fastgan.api.tune", "tune"),
    "Tuned": ("fastgan.api.tune", "Tuned"),
}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'fastgan' has no attribute {name!r}")
        module, attribute = _HOMES[name]
        value = getattr(importlib.import_module(module), attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
