"""The Inception network that FID, KID and IS are published with; its weights come from a file.

The file is torch-fidelity's conversion of TensorFlow's graph. It is looked for where FASTGAN_INCEPTION points, in
fastgan's cache and in torch hub's; if it is in none of them it is downloaded, and its SHA-256 is checked in any case.
"""

import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastgan.errors import MetricError
from fastgan.files import atomic_write, cache_folder, sha256_file
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.inception import Inception
from fastgan.metrics.resize import tensorflow1, to_rgb
from fastgan.naming import named

NAME = "inception-v3-fid"
SIZE = 299
FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256_PREFIX = "6726825d"  # what the publisher put into the file's name
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
VARIABLE = "FASTGAN_INCEPTION"
_TIMEOUT = 20  # seconds without an answer


def open_network(device: torch.device) -> Extractor:
    """The network on `device`, in float32. MetricError where the weights cannot be had or are others."""
    weights = find_weights()
    digest = _checked(weights)
    model = _load(weights).to(device, memory_format=torch.channels_last)

    def network(images: Tensor) -> Mapping[str, Tensor]:
        x = (tensorflow1(to_rgb(images), SIZE) - 128) / 128
        features = model(x.contiguous(memory_format=torch.channels_last))
        return {NAME: features, f"{NAME}-logits": features @ model.fc.weight.T}

    return Extractor(
        name=NAME,
        network=network,
        spaces={"fid": NAME, "kid": NAME, "prdc": NAME, "is": f"{NAME}-logits"},
        weights_sha256=digest,
        resizer=f"tensorflow1 bilinear {SIZE} px, not antialiased",
        pixel_range="(x - 128) / 128",
        device=device,
    )


def find_weights() -> Path:
    """The weight file on this machine, downloaded if it has to be. Raises MetricError."""
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise MetricError(f"{VARIABLE} names {named}, which is not a file: point it at {FILE}.")
        return Path(named)
    own = cache_folder() / FILE
    for path in (own, Path(torch.hub.get_dir()) / "checkpoints" / FILE):
        if path.is_file():
            return path
    _download(own)
    return own


def _download(target: Path) -> None:
    try:
        with atomic_write(target) as temporary, temporary.open("wb") as file:
            with urllib.request.urlopen(URL, timeout=_TIMEOUT) as answer:
                while piece := answer.read(1 << 20):
                    file.write(piece)
            file.flush()
            _checked(temporary)
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", None) or error.strerror or error
        raise MetricError(
            f"the weights of {NAME} are not here and cannot be downloaded ({reason}): put {FILE} into "
            f"{target.parent}, or name it with {VARIABLE}, or take "
            f"{named('extractor', 'effnet-lite0')}, which needs no network."
        ) from error


def _checked(path: Path) -> str:
    """The file's SHA-256; MetricError if it is not the published one."""
    digest = sha256_file(path)
    if not digest.startswith(SHA256_PREFIX):
        raise MetricError(
            f"{path} is not the published {FILE}: its SHA-256 begins with {digest[:8]}, not {SHA256_PREFIX}; "
            "remove it, or get it again."
        )
    return digest


def _load(path: Path) -> Any:
    with torch.device("meta"):
        model = Inception()
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
    except Exception as error:  # torch.load knows many exceptions, load_state_dict RuntimeError
        reason = str(error).strip().splitlines()[0]
        raise MetricError(
            f"{path} does not hold the weights of {NAME} ({reason}): get {FILE} again."
        ) from error
    return model.eval().requires_grad_(False)
