"""Examples of everything that fastgan writes and reads again: runs, releases, exports, statistics, sets, studies.

They are made once, by fastgan itself, and copied. `SHARED` is where; `make` fills it.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import corpus

TINY = [
    x
    for s in (
        "model.width=4",
        "model.z_dim=8",
        "train.batch=8",
        "train.grid_images=4",
        "train.precision=fp32",
        "train.checkpoint_every=16img",
        "train.keep_checkpoints=3",
    )
    for x in ("--set", s)
]
OWN = {"size": 16, "resizer": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "logits": False}


def _go(*arguments: object) -> None:
    from fastgan.__main__ import run

    code = run([str(each) for each in arguments])
    if code != 0:
        raise RuntimeError(f"fastgan {' '.join(map(str, arguments))} ended with {code}")


def make(at: Path, wanted: frozenset[str]) -> None:
    """Fill `at` with what the readers called `wanted` need. Runs in a process of its own."""
    at.mkdir(parents=True, exist_ok=True)
    os.environ["FASTGAN_CACHE"] = str(at / "cache")
    import torch

    torch.set_num_threads(1)
    for part, build in _PARTS.items():
        if part in wanted and not (at / part).exists():
            temporary = at / f".{part}"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            build(temporary, at)
            temporary.rename(at / part)


def _data(to: Path, shared: Path) -> None:
    corpus.packed(to)


def _trained(to: Path, shared: Path) -> None:
    """A run with checkpoints, a log and grids, of images by class; it has its own copy of the data, beside it."""
    shutil.copy(shared / "data" / "set.fgd", to / "set.fgd")
    here = os.getcwd()
    os.chdir(to)
    for more in (
        ["set.fgd", "--out", "run", "--preset", "dcgan", "--conditional", "labels", *TINY],
        ["--resume", "run"],
    ):
        _go("train", *more, "--budget", "32img" if "--out" in more else "48img", "--device", "cpu")
    os.chdir(here)


def _tiny(to: Path, shared: Path) -> None:
    """A checkpoint whose images use the whole range of colours, and its release."""
    from fastgan.training import checkpoint
    from tests.tiny import tiny_run

    run = tiny_run(to / "run", "stylegan", classes=2, attributes=1)
    checkpoint.save_release(to / "generator.safetensors", checkpoint.load(run))


def _exported(to: Path, shared: Path) -> None:
    run = shared / "tiny" / "run"
    _go("export", run, "--onnx", to / "model.onnx")


def _exported8(to: Path, shared: Path) -> None:
    _go("export", shared / "tiny" / "run", "--onnx", to / "model.onnx", "--int8", "--min-snr", "3")


def _external(to: Path, shared: Path) -> None:
    from fastgan.exporters import external

    external.LIMIT = 100
    external._OWN_FILE = 64
    _go("export", shared / "tiny" / "run", "--onnx", to / "model.onnx")


def _scored(to: Path, shared: Path) -> None:
    _go(
        "eval",
        shared / "tiny" / "run",
        "--data",
        shared / "data" / "set.fgd",
        "--extractor",
        "random-conv",
        "-n",
        16,
        "--device",
        "cpu",
        "--save-reference",
        to / "reference.safetensors",
        "-o",
        to / "card.json",
    )


def _scored_cache(to: Path, shared: Path) -> None:
    """The statistics that eval keeps for the next time, and what it was asked."""
    os.environ["FASTGAN_CACHE"] = str(to / "cache")
    shutil.copy(shared / "data" / "set.fgd", to / "set.fgd")
    shutil.copy(shared / "tiny" / "generator.safetensors", to / "generator.safetensors")
    _go(
        "eval",
        to / "generator.safetensors",
        "--data",
        to / "set.fgd",
        "--extractor",
        "random-conv",
        "-n",
        12,
        "--device",
        "cpu",
        "-o",
        to / "x.json",
    )
    (to / "x.json").unlink()
    os.environ["FASTGAN_CACHE"] = str(shared / "cache")


def _generated(to: Path, shared: Path) -> None:
    for kind in ("png", "webdataset", "parquet", "npz"):
        more = ["--per-file", "3"] if kind != "png" else []
        _go(
            "generate",
            shared / "tiny" / "generator.safetensors",
            "-n",
            7,
            "--format",
            kind,
            "-o",
            to / kind,
            "--device",
            "cpu",
            *more,
        )


def _fastest(to: Path, shared: Path) -> None:
    """What a search remembers, and the export that it made."""
    os.environ["FASTGAN_CACHE"] = str(to / "cache")
    _go(
        "generate",
        shared / "tiny" / "generator.safetensors",
        "-n",
        2,
        "--runtime",
        "fastest",
        "--device",
        "cpu",
        "-o",
        to / "out",
    )
    shutil.rmtree(to / "out")
    os.environ["FASTGAN_CACHE"] = str(shared / "cache")


def _own(to: Path, shared: Path) -> None:
    """Feature networks of the user's own: to score with, as ONNX and TorchScript, and to train on."""
    import warnings

    import torch
    from torch import nn

    from tests.training.test_onnx_features import Tower

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    vector = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    example = torch.zeros(2, 3, 16, 16)
    sizes = {0: "n", 2: "h", 3: "w"}
    for network, name in ((vector, "own"), (Tower().eval(), "maps")):
        torch.onnx.export(
            network,
            (example,),
            to / f"{name}.onnx",
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": sizes},
        )
    torch.jit.save(torch.jit.trace(vector, example), to / "script.pt")
    for name in ("own", "script"):
        (to / f"{name}.json").write_text(json.dumps(OWN))
    (to / "maps.json").write_text(json.dumps({key: OWN[key] for key in ("mean", "std")}))


def _study(to: Path, shared: Path) -> None:
    from fastgan.study import desk, recipes
    from tests.study.images import bars_folder

    desk.TRIALS["cnn"] = desk.TRIALS["cnn"][:1]
    recipes.RECIPES = recipes.RECIPES[:1]
    bars_folder(to / "photos", 20)
    here = os.getcwd()
    os.chdir(to)
    _go("augment", "photos", *STUDY)
    os.chdir(here)


STUDY = [
    "--no-transfer",
    "--seeds",
    "2",
    "--steps",
    "8",
    "--gan-budget",
    "64img",
    "--ratios",
    "1",
    "--arms",
    "real,synthetic x1",
    "--gan-set",
    "model.width=4",
    "--gan-set",
    "train.batch=8",
    "--gan-set",
    "train.precision=fp32",
    "--gan-set",
    "train.augment=none",
    "--device",
    "cpu",
]
_PARTS: dict[str, Callable[[Path, Path], None]] = {
    "data": _data,
    "trained": _trained,
    "tiny": _tiny,
    "exported": _exported,
    "exported8": _exported8,
    "external": _external,
    "scored": _scored,
    "scored_cache": _scored_cache,
    "generated": _generated,
    "fastest": _fastest,
    "own": _own,
    "study": _study,
}
NEEDS = {
    "trained": ("data",),
    "exported": ("tiny",),
    "exported8": ("tiny",),
    "external": ("tiny",),
    "scored": ("tiny", "data"),
    "scored_cache": ("tiny", "data"),
    "generated": ("tiny",),
    "fastest": ("tiny",),
}


def closure(wanted: frozenset[str]) -> frozenset[str]:
    """`wanted`, and what those are made from."""
    return wanted | {need for name in wanted for need in NEEDS.get(name, ())}
