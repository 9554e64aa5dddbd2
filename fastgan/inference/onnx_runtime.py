"""Generate with ONNX Runtime, from a file that `fastgan export --onnx` wrote. Torch is not needed."""

import ctypes
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fastgan.errors import CheckpointError, ConfigError
from fastgan.files import sha256_file
from fastgan.inference.conditions import Conditions
from fastgan.inference.runtime import Facts, Runtime, default_batch, to_uint8

GRAPH_INPUTS = {"labels": "label", "attributes": "attributes"}
"""What the arrays of `Conditions` are called in an exported graph."""
_ERRORS_ONLY = 3


def open_model(path: Path, *, device: str, batch: int | None, precision: str) -> "OnnxRuntime":
    """Open `path` in an ONNX Runtime session; the arguments are those of `open_generator`."""
    if precision != "fp32":
        raise ConfigError(f"{path}: an exported model runs in the precision it was exported in, fp32.")
    session = open_session(path, device)
    metadata = session.get_modelmeta().custom_metadata_map
    facts, sample = read_facts(path, metadata), read_sample(path, metadata)
    on_gpu = session.get_providers()[0] != "CPUExecutionProvider"
    size = batch or default_batch(facts.resolution, gpu=on_gpu)
    return OnnxRuntime(session, facts, batch=size, sample=sample)


class OnnxRuntime(Runtime):
    """An ONNX Runtime session over a graph of ours."""

    name = "onnx"
    precision = "fp32"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        facts: Facts,
        *,
        batch: int,
        sample: Conditions | None = None,
    ) -> None:
        super().__init__(facts, batch=batch, sample=sample)
        self._session = session
        self._uint8 = session.get_outputs()[0].type == "tensor(uint8)"

    @property
    def device(self) -> str:
        """The execution provider that ONNX Runtime took, in words."""
        return self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()

    def check_conditions(self, c: NDArray[np.float32]) -> None:
        """Raise ConfigError where a label or an attribute is between two: the graph takes one, and encodes it."""
        Conditions.decode(c, len(self.facts.class_names))

    def _run(
        self,
        z: NDArray[np.float32],
        c: NDArray[np.float32] | None,
        truncation_psi: float,
        truncation_cutoff: int | None,
    ) -> NDArray[np.uint8]:
        feed: dict[str, Any] = {"z": z}
        if c is not None:
            arrays = Conditions.decode(c, len(self.facts.class_names)).arrays()
            feed |= {GRAPH_INPUTS[name]: array for name, array in arrays.items()}
        if self.has_truncation:
            feed["truncation_psi"] = np.array(truncation_psi, np.float32)
        if truncation_cutoff is not None:
            feed["truncation_cutoff"] = np.array(truncation_cutoff, np.int64)
        output = self._session.run(None, feed)[0]
        if self._uint8:
            return output  # [N, H, W, C] already
        return to_uint8(output).transpose(0, 2, 3, 1)


def open_session(path: Path, device: str = "auto") -> onnxruntime.InferenceSession:
    """A quiet session with ONNX Runtime's own choice of threads.

    Raises CheckpointError for a file that it cannot load, ConfigError for a device that it cannot use.
    """
    providers = _providers(device)
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{path} is not a whole ONNX model ({reason}); export it again with fastgan export --onnx."
        ) from error
    if device.startswith("cuda") and session.get_providers()[0] != "CUDAExecutionProvider":
        raise ConfigError(f"--device {device}: ONNX Runtime cannot use CUDA here; choose cpu or auto.")
    return session


def _providers(device: str) -> list[Any]:
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not index.isdigit()):
        raise ConfigError(f"--device {device!r} is unknown: choose auto, cpu, cuda or cuda:N.")
    # get_available_providers lists what was compiled in, not what this machine can run.
    compiled_in = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if kind == "cpu" or not compiled_in or not _has_cuda_driver():
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]


def _has_cuda_driver() -> bool:
    """Whether the CUDA driver's library can be loaded: without it ONNX Runtime would only print errors."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def read_facts(path: Path, metadata: Mapping[str, str]) -> Facts:
    """The facts in an exported file's metadata; CheckpointError if it is not one of ours."""
    if "fastgan.version" not in metadata:
        raise CheckpointError(
            f"{path} is an ONNX model, but not one that fastgan exported; make one with fastgan export --onnx."
        )
    try:
        known = {key.removeprefix("fastgan."): value for key, value in metadata.items()}
        return Facts(
            source=str(path),
            model=known["model"],
            resolution=int(known["resolution"]),
            img_channels=int(known["img_channels"]),
            z_dim=int(known["z_dim"]),
            has_truncation={"true": True, "false": False}[known["has_truncation"]],
            cur_nimg=int(known["cur_nimg"]) if "cur_nimg" in known else None,
            data_hash=known.get("data_hash"),
            fingerprint=sha256_file(path),
            layers=int(known.get("layers", 0)),
            class_names=tuple(json.loads(known.get("class_names", "[]"))),
            attribute_names=tuple(json.loads(known.get("attribute_names", "[]"))),
        )
    except (KeyError, ValueError) as error:
        raise _garbled(path, metadata, str(error)) from error


def read_sample(path: Path, metadata: Mapping[str, str]) -> Conditions | None:
    """The sample of its data's conditions in an exported file's metadata; None where there is none."""
    text = metadata.get("fastgan.conditions")
    try:
        return None if text is None else Conditions.from_text(text)
    except Exception as error:  # base64, zip and numpy each raise their own
        raise _garbled(path, metadata, "the sample of its data's conditions") from error


def _garbled(path: Path, metadata: Mapping[str, str], what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: its metadata lacks or garbles {what}; it was written by fastgan "
        f"{metadata['fastgan.version']}: export it again with this one."
    )
