"""Generate with ONNX Runtime, from what `fastgan export --onnx` wrote. Torch is not needed.

One file NAME.onnx holds a whole generator; with --split, NAME.mapping.onnx makes styles of latents and
NAME.synthesis.onnx makes images of styles: either name opens both.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference import onnx_digest
from fastgan.inference.conditions import Conditions, Request
from fastgan.inference.facts import Facts
from fastgan.inference.inputs import Inputs, Noise, parts, take_noise
from fastgan.inference.onnx_metadata import check_signature, read_facts, read_sample
from fastgan.inference.onnx_session import Session, open_session
from fastgan.inference.runs import Fetch
from fastgan.inference.runtime import Runtime, default_batch, default_lanes
from fastgan.naming import named
from fastgan.pixels import array_to_uint8

GRAPH_INPUTS = {"labels": "label", "attributes": "attributes"}
"""What the arrays of `Conditions` are called in an exported graph."""
PARTS = ("mapping", "synthesis")


def open_model(
    path: Path, *, device: str, batch: int | None, precision: str | None, lanes: int = 1
) -> "OnnxRuntime":
    """Open `path` in an ONNX Runtime session; the arguments are those of `open_generator`."""
    opened = _open(path, device, batch, lanes)
    if precision not in (None, opened.precision):
        raise ConfigError(
            f"{path} was exported in {opened.precision} and runs in that: leave "
            f"{named('precision', precision)} away, or "
            "export it again."
        )
    return opened


def _open(path: Path, device: str, batch: int | None, lanes: int) -> "OnnxRuntime":
    """A session has its threads for good: one where there are to be several lanes, all of them else."""
    threads = None if lanes == 1 else 1
    session, fingerprint = _session(path, device, threads)
    part = session.metadata.get("fastgan.part", "whole")
    if part == "triton":
        raise CheckpointError(
            f"{path} is for Triton Inference Server, whose callers give each image its own truncation: generate from "
            "the run or file that it was made of."
        )
    opened = (
        _open_split(path, session, fingerprint, part, device, threads)
        if part in PARTS
        else _open_whole(path, session, fingerprint)
    )
    resolution, gpu = opened.resolution, session.on_gpu
    if lanes != default_lanes(lanes, resolution, gpu=gpu):
        return _open(path, device, batch, 1)
    opened.lanes = lanes
    if session.batch is not None and batch not in (None, session.batch):
        raise ConfigError(
            f"{path} runs {session.batch} images at a time and no other number: leave {named('batch')} away, or "
            "export it again."
        )
    opened.usual = session.batch or default_batch(resolution, gpu=gpu)
    opened.batch = opened.fits = batch or opened.usual
    return opened


def _session(path: Path, device: str, threads: int | None) -> tuple[Session, str]:
    """The file in a session, compared with its fingerprint, and that."""
    fingerprint = onnx_digest.check(path)
    session = Session(open_session(path, device, threads), path)
    onnx_digest.check_beside(path, session.metadata, fingerprint)
    return session, fingerprint


def _open_whole(path: Path, session: Session, fingerprint: str) -> "OnnxRuntime":
    metadata = session.metadata
    facts = read_facts(path, metadata, fingerprint, session.noise_sizes)
    check_signature(path, facts, session.inputs, session.output, gives_pixels=session.gives_pixels)
    return OnnxRuntime(session, facts, sample=read_sample(path, metadata))


def _open_split(
    path: Path, session: Session, fingerprint: str, part: str, device: str, threads: int | None
) -> "OnnxRuntime":
    other = PARTS[1 - PARTS.index(part)]
    beside = path.with_name(path.name.replace(f".{part}.", f".{other}."))
    if beside == path or not beside.is_file():
        raise CheckpointError(
            f"{path} is the {part} of a model, whose {other} is not beside it as {beside.name}."
        )
    paths = {part: path, other: beside}
    opened = {part: (session, fingerprint), other: _session(beside, device, threads)}
    mapping, synthesis = (opened[name][0] for name in PARTS)
    trained = {session.metadata.get("fastgan.fingerprint") for session in (mapping, synthesis)}
    if len(trained) != 1 or synthesis.metadata.get("fastgan.part") != "synthesis":
        raise CheckpointError(
            f"{path} and {beside.name} are not of one export: export them again with fastgan export --split."
        )
    together = sha256("".join(opened[name][1] for name in PARTS).encode()).hexdigest()
    facts = read_facts(path, synthesis.metadata, together, synthesis.noise_sizes)
    check_signature(path, facts, mapping.inputs, synthesis.output, gives_pixels=synthesis.gives_pixels)
    if mapping.output[1:] != synthesis.inputs.get("w", [])[1:]:
        raise CheckpointError(f"{path} and {beside.name} are not of one export: export both again, together.")
    return SplitOnnxRuntime(mapping, synthesis, facts, sample=read_sample(paths["mapping"], mapping.metadata))


class OnnxRuntime(Runtime):
    """An ONNX Runtime session over a graph of ours."""

    name = "onnx"

    def __init__(
        self,
        session: Session | onnxruntime.InferenceSession,
        facts: Facts,
        *,
        batch: int = 1,
        lanes: int = 1,
        sample: Conditions | None = None,
    ) -> None:
        """lanes: more than 1 only with a session of one thread."""
        super().__init__(facts, batch=batch, lanes=lanes, sample=sample)
        self._session = session if isinstance(session, Session) else Session(session)
        self.precision = self._session.metadata.get("fastgan.precision", "fp32")

    @property
    def device(self) -> str:
        """The execution provider that ONNX Runtime took, in words."""
        return self._session.provider.removesuffix("ExecutionProvider").lower()

    def check_conditions(self, c: NDArray[np.float32]) -> None:
        """Raise ConfigError where a label or an attribute is between two: the graph takes one, and encodes it."""
        Conditions.decode(c, len(self.facts.class_names))

    def _begin(self, inputs: Inputs) -> Fetch:
        return self._pixels(self._latents(inputs) | _noise(inputs.noise))

    def _latents(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """What the graph takes for latents, conditions and truncation, by name."""
        feed: dict[str, NDArray[Any]] = {"z": inputs.z}
        if inputs.c is not None:
            arrays = Conditions.decode(inputs.c, len(self.facts.class_names)).arrays()
            feed |= {GRAPH_INPUTS[name]: array for name, array in arrays.items()}
        if inputs.truncation_psi != 1.0:
            feed["truncation_psi"] = np.array(inputs.truncation_psi, np.float32)
        if inputs.truncation_cutoff is not None:
            feed["truncation_cutoff"] = np.array(inputs.truncation_cutoff, np.int64)
        return feed

    def _pixels(self, feed: Mapping[str, NDArray[Any]]) -> Fetch:
        """Begin a run of the graph that gives images, and make pixels of them."""
        fetch = self._session.begin(feed)
        if self._session.gives_pixels:
            return fetch  # [N, H, W, C] already
        return lambda: array_to_uint8(fetch())


class SplitOnnxRuntime(OnnxRuntime):
    """Two sessions: one makes styles of latents, the other images of styles."""

    has_styles = True

    def __init__(
        self,
        mapping: Session,
        synthesis: Session,
        facts: Facts,
        *,
        batch: int = 1,
        lanes: int = 1,
        sample: Conditions | None = None,
    ) -> None:
        super().__init__(synthesis, facts, batch=batch, lanes=lanes, sample=sample)
        self._mapping = mapping

    def _begin(self, inputs: Inputs) -> Fetch:
        w = self._mapping.begin(self._latents(inputs))()
        return self._pixels({"w": w, **_noise(inputs.noise)})

    def styles(
        self, z: NDArray[np.float32], c: NDArray[np.float32] | None, request: Request
    ) -> NDArray[np.float32]:
        """w of the mapping network, truncated; see `Runtime.styles`."""
        inputs = Inputs(
            z=z, c=c, truncation_psi=request.truncation_psi, truncation_cutoff=request.truncation_cutoff
        )
        self._check_inputs(inputs)
        styles: NDArray[np.float32] = self._mapping.begin(self._latents(inputs))()
        return styles

    def synthesise(self, w: NDArray[np.float32], noise: Noise | None = None) -> NDArray[np.uint8]:
        """Images of w; see `Runtime.synthesise`."""
        images = self._empty(len(w))
        for rows in parts(len(w), self.fits, self.grain):
            feed = {"w": w[rows], **_noise(None if noise is None else take_noise(noise, rows))}
            images[rows] = self._pixels(feed)()
        return images


def _noise(noise: Noise | None) -> dict[str, NDArray[Any]]:
    """What the graph takes for noise, by name; nothing for its own."""
    return {} if noise is None else {f"noise_{k}": plane for k, plane in enumerate(noise)}
