"""Does an exported file compute what torch computes? Asked before the file gets its name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastgan.errors import CheckpointError, OutputError
from fastgan.inference.conditions import Conditions
from fastgan.inference.facts import Facts
from fastgan.inference.latents import latents
from fastgan.inference.onnx_runtime import GRAPH_INPUTS
from fastgan.inference.onnx_session import open_session
from fastgan.inference.torch_runtime import to_uint8
from fastgan.nn.conditions import encode

TOLERANCE = 1e-3
"""Largest difference allowed of float images about [-1, 1], relative to the largest value where that is above 1:
an eighth of a grey level. Measured: 1e-6 for DCGAN, 1e-5 for StyleGAN; a wrong graph is off by 0.1 or more."""
UINT8_TOLERANCE = 1
"""Largest difference allowed of uint8 images, in grey levels: a value near the middle may round either way."""
_PIXELS = 64 * 128 * 128  # in the largest batch compared; at high resolution that keeps memory in bounds


@dataclass(frozen=True)
class Check:
    """One comparison of the exported file, run by ONNX Runtime on the CPU, with torch in float32."""

    what: str
    batch: int
    difference: float
    """Largest absolute difference: of values about [-1, 1], or in grey levels for a uint8 graph."""
    tolerance: float


def verify(path: Path, generator: Any, facts: Facts, report: Callable[[Check], None]) -> list[Check]:
    """Compare the ONNX file at `path` with `generator`: at batches 1, 3 and 64 (fewer for large images), truncated,
    and with noise from the caller; a conditional one with every class in turn, and attributes of which a third is
    unknown. Hands each Check to `report` and returns all.

    Raises OutputError at the first that fails, CheckpointError when torch's own images are not finite.
    """
    _check_graph(path)
    session = open_session(path, "cpu")
    most = max(2, min(64, _PIXELS // facts.resolution**2))
    few = min(3, most)
    cases: list[tuple[str, int, dict[str, Any]]] = [("defaults", n, {}) for n in sorted({1, few, most})]
    if facts.has_truncation:
        psi, cutoff = torch.tensor(0.7), torch.tensor(facts.layers // 2)
        cases.append(("truncation 0.7", few, {"truncation_psi": psi}))
        cases.append(("truncation in half", few, {"truncation_psi": psi, "truncation_cutoff": cutoff}))
    if generator.noise_shapes:
        random = torch.Generator().manual_seed(0)
        noise = [torch.randn(few, *shape[1:], generator=random) for shape in generator.noise_shapes]
        cases.append(("noise for each image", few, {"noise": noise}))
    checks = []
    for what, n, options in cases:
        z = latents(range(n), facts.z_dim)
        if n > 1:
            z[-1] = 0  # where a lost epsilon shows
        asked = _asked(facts, n)
        expected = _torch_images(generator, z, asked, options)
        check = _compare(what, expected, _onnx_images(session, z, asked, options))
        if not check.difference <= check.tolerance:
            raise OutputError(
                f"the exported graph differs from torch by {check.difference:.2g} ({what}, batch {n}; at most "
                f"{check.tolerance:.2g} is allowed), so nothing was written: please report this as a bug of fastgan."
            )
        report(check)
        checks.append(check)
    return checks


def _check_graph(path: Path) -> None:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    foreign = {node.domain for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    if foreign or model.functions:
        raise OutputError(
            f"the exported graph needs operators that are not standard ({', '.join(sorted(foreign)) or 'functions'}), "
            "so nothing was written: please report this as a bug of fastgan."
        )


def _asked(facts: Facts, n: int) -> Conditions:
    """Every class in turn, and attributes of which a third is unknown; neither for a model that takes neither."""
    classes, names = len(facts.class_names), len(facts.attribute_names)
    attributes = np.random.default_rng(0).normal(size=(n, names)).astype(np.float32)
    attributes[np.add.outer(range(n), range(names)) % 3 == 2] = np.nan
    return Conditions(
        labels=np.arange(n) % classes if classes else None, attributes=attributes if names else None
    )


@torch.inference_mode()
def _torch_images(
    generator: Any, z: NDArray[np.float32], asked: Conditions, options: dict[str, Any]
) -> Tensor:
    labels, attributes = (
        None if x is None else torch.from_numpy(x) for x in (asked.labels, asked.attributes)
    )
    conditional = labels is not None or attributes is not None
    c = [encode(labels, attributes, generator.config.classes)] if conditional else []
    images: Tensor = generator(torch.from_numpy(z), *c, **options)
    if not images.isfinite().all():
        raise CheckpointError("the generator makes values that are not finite: choose an earlier checkpoint.")
    return images


def _onnx_images(
    session: Any, z: NDArray[np.float32], asked: Conditions, options: dict[str, Any]
) -> NDArray[Any]:
    feed: dict[str, Any] = {"z": z, **{GRAPH_INPUTS[name]: array for name, array in asked.arrays().items()}}
    for name, value in options.items():
        if name == "noise":
            feed |= {f"noise_{k}": tensor.numpy() for k, tensor in enumerate(value)}
        else:
            feed[name] = value.numpy()
    images: NDArray[Any] = session.run(None, feed)[0]
    return images


def _compare(what: str, expected: Tensor, found: NDArray[Any]) -> Check:
    if found.dtype == np.uint8:
        levels = to_uint8(expected).numpy().astype(np.int16) - found
        return Check(what, len(found), float(np.abs(levels).max()), UINT8_TOLERANCE)
    difference = np.abs(expected.numpy() - found).max()
    return Check(what, len(found), float(difference), TOLERANCE * max(1.0, expected.abs().max().item()))
