"""Does an exported file compute what torch computes? Asked before the file gets its name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastgan.errors import CheckpointError, OutputError
from fastgan.files import plain_path
from fastgan.inference.conditions import Conditions
from fastgan.inference.facts import Facts
from fastgan.inference.onnx_runtime import GRAPH_INPUTS
from fastgan.inference.onnx_session import open_session
from fastgan.nn.conditions import encode
from fastgan.pixels import snr, snr_db, to_uint8
from fastgan.seeds import latents

TOLERANCE = 1e-3
"""Largest difference allowed of float images about [-1, 1], relative to the largest value where that is above 1:
an eighth of a grey level. Measured: 1e-6 for DCGAN, 1e-5 for StyleGAN; a wrong graph is off by 0.1 or more."""
UINT8_TOLERANCE = 1
"""Largest difference allowed of uint8 images, in grey levels: a value near the middle may round either way."""
SLACK_DB = 10.0
"""How much below its floor, which is one for many images, a coarser precision may be in a case of a few unusual ones: a
wrong graph has no more signal than noise."""
_PIXELS = 64 * 128 * 128  # in the largest batch compared; at high resolution that keeps memory in bounds


@dataclass(frozen=True)
class Check:
    """One comparison of the exported file, run by ONNX Runtime on the CPU, with torch in float32."""

    what: str
    batch: int
    difference: float
    """Largest absolute difference: of values about [-1, 1], or in grey levels for a uint8 graph."""
    tolerance: float
    """The largest that is allowed; infinite for a coarser precision, which is judged by its signal to noise."""
    snr_db: float
    """Signal to noise, in dB; infinite where there is no difference."""
    floor_db: float
    """The least that is allowed."""

    @property
    def passed(self) -> bool:
        """Whether both limits are kept; not where anything is NaN."""
        return self.difference <= self.tolerance and self.snr_db >= self.floor_db


@dataclass(frozen=True)
class Case:
    """What a part of a model is asked, and what torch answers."""

    what: str
    feed: dict[str, NDArray[Any]]
    expected: Tensor


def verify(
    path: Path,
    generator: Any,
    facts: Facts,
    report: Callable[[Check], None],
    *,
    part: str = "whole",
    precision: str = "fp32",
    floor_db: float = -np.inf,
    drawn: Callable[[int], Conditions] | None = None,
) -> list[Check]:
    """Compare the ONNX file at `path` with `generator`: at batches 1, 3 and 64 (fewer for large images), truncated,
    and with noise from the caller; a conditional one with every class in turn, and attributes of which a third is
    unknown. Hands each Check to `report` and returns all.

    drawn: gives n conditions in place of those, for a precision whose ranges hold for conditions of the data alone.
    Raises OutputError at the first that fails, CheckpointError when torch's own images are not finite.
    """
    with plain_path(path) as plain:
        onnx.checker.check_model(plain, full_check=True)
    check_operators(onnx.load(path, load_external_data=False))
    session = open_session(path, "cpu")
    exact = precision == "fp32" or part == "mapping"
    checks = []
    for case in cases(generator, facts, part, drawn):
        found = session.run(None, case.feed)[0]
        check = compare(case, found, floor_db=floor_db - SLACK_DB, exact=exact)
        if not check.passed:
            raise OutputError(
                f"the exported graph differs from torch by {check.difference:.2g} ({case.what}, batch {check.batch}; "
                f"at most {check.tolerance:.2g} is allowed, and at least {check.floor_db:.3g} dB, of which there are "
                f"{check.snr_db:.3g}), so nothing was written: "
                + ("please report this as a bug of fastgan." if exact else "leave the precision at fp32.")
            )
        report(check)
        checks.append(check)
    return checks


def cases(
    generator: Any, facts: Facts, part: str = "whole", drawn: Callable[[int], Conditions] | None = None
) -> Iterator[Case]:
    """Everything that a part of `generator` can be asked for."""
    most = max(2, min(64, _PIXELS // facts.resolution**2))
    few = min(3, most)
    psi, cutoff = torch.tensor(0.7), torch.tensor(facts.layers // 2)
    asked: list[tuple[str, int, dict[str, Any]]] = [("defaults", n, {}) for n in sorted({1, few, most})]
    if facts.has_truncation and part != "synthesis":
        asked.append(("truncation 0.7", few, {"truncation_psi": psi}))
        asked.append(("truncation in half", few, {"truncation_psi": psi, "truncation_cutoff": cutoff}))
    if generator.noise_shapes and part != "mapping":
        random = torch.Generator().manual_seed(0)
        noise = [torch.randn(few, *shape[1:], generator=random) for shape in generator.noise_shapes]
        asked.append(("noise for each image", few, {"noise": noise}))
    for what, n, options in asked:
        z = latents(range(n), facts.z_dim)
        if n > 1:
            z[-1] = 0  # where a lost epsilon shows
        c = drawn(n) if drawn is not None else _conditions(facts, n)
        yield ask(generator, what, z, c, options, part)


@torch.inference_mode()
def ask(
    generator: Any,
    what: str,
    z: NDArray[np.float32],
    asked: Conditions,
    options: dict[str, Any],
    part: str = "whole",
) -> Case:
    """The case of these latents, conditions, truncation and noise. CheckpointError for images that are not finite."""
    labels, attributes = (
        None if x is None else torch.from_numpy(x) for x in (asked.labels, asked.attributes)
    )
    conditional = labels is not None or attributes is not None
    c = [encode(labels, attributes, generator.config.classes)] if conditional else []
    feed: dict[str, Any] = {}
    if part != "synthesis":
        feed = {"z": z, **{GRAPH_INPUTS[name]: array for name, array in asked.arrays().items()}}
    for name, value in options.items():
        if name == "noise":
            feed |= {f"noise_{k}": tensor.numpy() for k, tensor in enumerate(value)}
        else:
            feed[name] = value.numpy()
    if part == "whole":
        expected: Tensor = generator(torch.from_numpy(z), *c, **options)
    else:
        w = generator.mapping(torch.from_numpy(z), *c)
        if part == "mapping":
            expected = generator.truncate(
                w, options.get("truncation_psi", 1.0), options.get("truncation_cutoff")
            )
        else:
            feed["w"] = w.contiguous().numpy()
            expected = generator.synthesis(w, options.get("noise"))
    if not expected.isfinite().all():
        raise CheckpointError("the generator makes values that are not finite: choose an earlier checkpoint.")
    return Case(what, feed, expected)


def compare(case: Case, found: NDArray[Any], *, floor_db: float, exact: bool) -> Check:
    """How far `found` is from what the case expects; exact: whether the largest difference is limited."""
    if found.dtype == np.uint8:
        levels = to_uint8(case.expected).numpy()
        difference, tolerance = np.abs(levels.astype(int) - found).max(), float(UINT8_TOLERANCE)
        reached = snr(found, levels)
    else:
        expected = case.expected.numpy()
        difference, tolerance = (
            np.abs(expected - found).max(),
            TOLERANCE * max(1.0, float(np.abs(expected).max())),
        )
        pixels = found.ndim == 4  # writers clamp: what is beyond the range of colours is not seen
        signal, made = (expected.clip(-1, 1), found.clip(-1, 1)) if pixels else (expected, found)
        reached = snr_db(signal.astype(np.float64), signal.astype(np.float64) - made)
    return Check(
        case.what,
        len(found),
        float(difference),
        tolerance if exact else np.inf,
        reached,
        floor_db,
    )


def check_operators(model: onnx.ModelProto) -> None:
    """Raise OutputError where a graph needs operators that are not standard."""
    foreign = {node.domain for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    if foreign or model.functions:
        raise OutputError(
            f"the exported graph needs operators that are not standard ({', '.join(sorted(foreign)) or 'functions'}), "
            "so nothing was written: please report this as a bug of fastgan."
        )


def _conditions(facts: Facts, n: int) -> Conditions:
    """Every class in turn, and attributes of which a third is unknown; neither for a model that takes neither."""
    classes, names = len(facts.class_names), len(facts.attribute_names)
    attributes = np.random.default_rng(0).normal(size=(n, names)).astype(np.float32)
    attributes[np.add.outer(range(n), range(names)) % 3 == 2] = np.nan
    return Conditions(
        labels=np.arange(n) % classes if classes else None, attributes=attributes if names else None
    )
