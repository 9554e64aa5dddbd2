"""A feature network of the user's own (CLIP, DINO ...), as an ONNX or TorchScript file.

How the file wants its images stands beside it, in NAME.json:

    {"size": 224, "resizer": "bicubic", "mean": [0.481, 0.458, 0.408], "std": [0.269, 0.261, 0.276], "logits": false}

It is fed float32 [N, 3, size, size], (x / 255 - mean) / std, and gives [N, D] as its first output; "logits": true says
that there is a second one, [N, classes]. The settings are part of the protocol card.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from fastgan.documents import read_json
from fastgan.errors import DocumentError, MetricError
from fastgan.files import plain_path, sha256_file
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.resize import RESIZERS, to_rgb
from fastgan.text import reason

_EXAMPLE = '{"size": 224, "resizer": "bicubic", "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}'
_KNOWN = {"size", "resizer", "mean", "std", "logits"}

_LARGEST = 4096  # pixels a side


class _Settings(TypedDict):
    """How the images are to be given."""

    size: int
    resizer: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    logits: NotRequired[bool]


Run = Callable[[Tensor], list[Tensor]]
"""float32 [N, 3, size, size] -> the outputs"""


def open_file(path: Path, device: torch.device) -> Extractor:
    """The network in `path` on `device`. Raises MetricError where it or its settings cannot be used."""
    if not path.is_file():
        raise MetricError(f"the extractor {path} does not exist, or is not a file.")
    settings = _settings(path)
    run = _onnx(path, device) if path.suffix.lower() == ".onnx" else _torchscript(path, device)
    name = path.stem
    mean = torch.tensor(settings["mean"], device=device).view(1, -1, 1, 1)
    std = torch.tensor(settings["std"], device=device).view(1, -1, 1, 1)
    resize = RESIZERS[settings["resizer"]]

    def network(images: Tensor) -> Mapping[str, Tensor]:
        x = (resize(to_rgb(images), settings["size"]) / 255 - mean) / std
        outputs = run(x.contiguous())
        names = (name, f"{name}-logits") if settings["logits"] else (name,)
        if len(outputs) < len(names) or outputs[0].ndim != 2 or len(outputs[0]) != len(images):
            shapes = ", ".join(str([*output.shape]) for output in outputs)
            raise MetricError(
                f"{path} gave {shapes} for {len(images)} images: its first output must be [N, D]."
            )
        return {key: output.float() for key, output in zip(names, outputs, strict=False)}

    spaces = dict.fromkeys(("fid", "kid", "prdc"), name) | (
        {"is": f"{name}-logits"} if settings["logits"] else {}
    )
    return Extractor(
        name=name,
        network=network,
        spaces=spaces,
        weights_sha256=sha256_file(path),
        resizer=f"{settings['resizer']} {settings['size']} px",
        pixel_range=f"(x / 255 - {settings['mean']}) / {settings['std']}",
        device=device,
    )


def _settings(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    try:
        found = read_json(beside, _Settings)
    except FileNotFoundError as error:
        raise MetricError(
            f"{path} does not say how it wants its images: write {beside.name} beside it, such as {_EXAMPLE}."
        ) from error
    except OSError as error:
        raise MetricError(f"cannot read {beside}: {error.strerror}.") from error
    except DocumentError as error:
        raise MetricError(f"{error}: write it like {_EXAMPLE}.") from error
    settings: dict[str, Any] = {"logits": False, **found}
    sizes = 0 < settings["size"] <= _LARGEST
    numbers = all(map(math.isfinite, (*settings["mean"], *settings["std"]))) and min(settings["std"]) > 0
    if set(settings) != _KNOWN or not sizes or not numbers or settings["resizer"] not in RESIZERS:
        raise MetricError(
            f"{beside} must have size, resizer ({', '.join(RESIZERS)}), mean and std, such as "
            f"{_EXAMPLE}: a size up to {_LARGEST}, and numbers that are finite, in std above 0."
        )
    return settings


def _onnx(path: Path, device: torch.device) -> Run:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # what fails comes as an exception too
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()] + ["CPUExecutionProvider"]
    try:
        with plain_path(path) as name_:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(name_, options, providers=providers)
    except OSError as error:
        raise MetricError(f"cannot read {path}: {error.strerror}.") from error
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this
        raise MetricError(f"{path} is not a whole ONNX model ({reason(error)}).") from error
    if not session.get_inputs() or not session.get_outputs():
        raise MetricError(f"{path} is not a whole ONNX model (its graph takes or gives nothing).")
    given = session.get_inputs()[0].name

    def run(x: Tensor) -> list[Tensor]:
        try:
            outputs = session.run(None, {given: x.cpu().numpy()})
        except Exception as error:
            raise MetricError(f"{path} cannot take images [N, 3, H, W] ({reason(error)}).") from error
        return [torch.from_numpy(output) for output in outputs]

    return run


def _torchscript(path: Path, device: torch.device) -> Run:
    try:  # deprecated in torch, and still what CLIP and DINO are handed around as
        with plain_path(path) as name:
            module = torch.jit.load(name, map_location=device).eval()
    except OSError as error:
        raise MetricError(f"cannot read {path}: {error.strerror}.") from error
    except Exception as error:  # a RuntimeError for damage, ValueError for what is no archive
        raise MetricError(
            f"{path} is not a TorchScript file ({reason(error)}): save one with torch.jit.save."
        ) from error

    def run(x: Tensor) -> list[Tensor]:
        try:
            output = module(x)
        except Exception as error:  # whatever a program of others raises
            raise MetricError(f"{path} cannot take images [N, 3, H, W] ({reason(error)}).") from error
        outputs = [*output] if isinstance(output, (tuple, list)) else [output]
        if not all(isinstance(each, Tensor) for each in outputs):
            raise MetricError(f"{path} gives what is no tensor: its first output must be [N, D].")
        return outputs

    return run
