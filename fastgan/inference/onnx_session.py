"""ONNX Runtime sessions: opened quietly, on the provider that was asked for, and run through IO binding."""

import ctypes
import re
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fastgan.device import parse
from fastgan.errors import CheckpointError, ConfigError
from fastgan.files import cache_folder, plain_path
from fastgan.machine import threads_asked
from fastgan.naming import named
from fastgan.text import reason

_FATAL_ONLY = 4  # what it writes to the terminal itself: all else comes as an exception too
_NO_ROOM = (
    "Failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "AllocateRawInternal",
)
_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
}


class Session:
    """A model that ONNX Runtime has loaded.

    On a GPU a run goes on in a thread of its own, so that the next may be queued while the last is copied to the host.
    """

    def __init__(self, session: onnxruntime.InferenceSession, path: Path | None = None) -> None:
        """path: what it was loaded from, for messages."""
        self._session = session
        self._path = path
        self.provider: str = session.get_providers()[0]
        """The execution provider that ONNX Runtime took."""
        self.on_gpu = self.provider != "CPUExecutionProvider"
        self._required = {value.name for value in session.get_inputs()}
        self._queue = ThreadPoolExecutor(1) if self.on_gpu else None

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return metadata

    @property
    def gives_pixels(self) -> bool:
        """Whether the graph gives uint8 [N, H, W, C] rather than float32 [N, C, H, W]."""
        return bool(self._session.get_outputs()[0].type == "tensor(uint8)")

    @property
    def batch(self) -> int | None:
        """The one number of images that the graph takes, where a tool fixed it; None: any."""
        first = self._session.get_inputs()[0].shape[0]
        return first if isinstance(first, int) else None

    @property
    def inputs(self) -> dict[str, list[Any]]:
        """Shapes of what must be given, by name."""
        return {value.name: list(value.shape) for value in self._session.get_inputs()}

    @property
    def output(self) -> list[Any]:
        """Shape of what it gives."""
        return list(self._session.get_outputs()[0].shape)

    @property
    def noise_sizes(self) -> tuple[int, ...]:
        """Side of the square of each input noise_<k>."""
        inputs = [*self._session.get_inputs(), *self._session.get_overridable_initializers()]
        sizes = {int(i.name[6:]): i.shape[-1] for i in inputs if re.fullmatch(r"noise_\d+", i.name)}
        return tuple(sizes[k] for k in sorted(sizes))

    def begin(self, feed: Mapping[str, NDArray[Any]]) -> Callable[[], NDArray[Any]]:
        """Begin a run on arrays by their input's name; what is returned waits for its first output.

        Raises, here or when waited for, MemoryError where there is not enough, and CheckpointError for a graph that
        cannot be run.
        """
        if self._queue is None:
            output = self._run(feed)
            return lambda: output
        return self._queue.submit(self._run, feed).result

    def _run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        arrays = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        # An input that has a default cannot be bound, only fed.
        run = self._bound if arrays.keys() <= self._required else self._fed
        try:
            return run(arrays)
        except Exception as error:  # ONNX Runtime's exceptions share no base class but this
            if any(text in str(error) for text in _NO_ROOM):
                raise MemoryError(str(error)) from error
            where = "the exported model" if self._path is None else str(self._path)
            raise CheckpointError(
                f"{where} cannot be run ({reason(error)}); export it again with fastgan export --onnx."
            ) from error

    def _bound(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        binding = self._session.io_binding()
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(self._session.get_outputs()[0].name)
        self._session.run_with_iobinding(binding)
        output: NDArray[Any] = binding.get_outputs()[0].numpy()
        return output

    def _fed(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        output: NDArray[Any] = self._session.run(None, dict(arrays))[0]
        return output


def open_session(
    path: Path, device: str = "auto", threads: int | None = None
) -> onnxruntime.InferenceSession:
    """A quiet session with so many threads; None: as many as torch would take.

    Raises CheckpointError for a file that it cannot load, ConfigError for a device that it cannot use.
    """
    providers = _providers(device)
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    # Planning the memory of a run ahead is no faster here, and a second run holds the plan's block beside the first's:
    # 5.6 GB instead of 3.5 for an image of 4096 px.
    options.enable_mem_pattern = False
    options.intra_op_num_threads = threads_asked() if threads is None else threads
    try:
        with plain_path(path) as name:
            session = onnxruntime.InferenceSession(name, options, providers=providers)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this
        raise _refused(path, str(error)) from error
    if not session.get_outputs() or not session.get_inputs():
        raise _refused(path, "its graph takes or gives nothing")
    kind = device.partition(":")[0]
    if kind in _PROVIDERS and session.get_providers()[0] != _PROVIDERS[kind][0]:
        name = {"cuda": "CUDA", "tensorrt": "TensorRT"}[kind]
        raise ConfigError(
            f"{named('device', device)}: ONNX Runtime cannot use {name} here; choose cpu or auto."
        )
    return session


def _refused(path: Path, said: str) -> CheckpointError:
    why = reason(said)
    opset = re.search(r"opset (\d+) is (?:under development|not supported)|till opset (\d+)", said)
    if opset:
        return CheckpointError(
            f"{path} is of an operator set that ONNX Runtime {onnxruntime.__version__} does not know ({why}); "
            "export it again with a lower opset, or install a newer ONNX Runtime."
        )
    return CheckpointError(
        f"{path} is not a whole ONNX model ({why}); export it again with fastgan export --onnx."
    )


def _providers(device: str) -> list[Any]:
    """Execution providers in the order in which ONNX Runtime shall try them."""
    kind, index = parse(device, tuple(_PROVIDERS))
    wanted = _PROVIDERS.get("cuda" if kind == "auto" else kind, ())
    # get_available_providers lists what was compiled in, not what this machine can run.
    compiled_in = set(onnxruntime.get_available_providers())
    if not wanted or not _has_cuda_driver():
        return ["CPUExecutionProvider"]
    options: dict[str, Any] = {"device_id": index or 0}
    of_tensorrt = options | {
        # Building an engine takes minutes: it is kept for the next time.
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache_folder() / "tensorrt"),
    }
    found = [
        (name, of_tensorrt if name.startswith("Tensorrt") else options)
        for name in wanted
        if name in compiled_in
    ]
    return [*found, "CPUExecutionProvider"]


def _has_cuda_driver() -> bool:
    """Whether the CUDA driver's library can be loaded: without it ONNX Runtime would only print errors."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
