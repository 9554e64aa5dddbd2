"""Tensors of a network in a file: compared with what the network has before any memory is taken, then read.

What a file says of itself, such as a resolution of 4096 and a width of 1024, is believed only where its tensors have
these shapes: the network is built on torch's meta device, which takes no memory, and compared with the file's header,
which is compared with the file's size (`fastgan.tensor_file`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from fastgan import models
from fastgan.errors import CheckpointError, ConfigError
from fastgan.machine import require_memory
from fastgan.tensors import DTYPES, Entry, Reader, count_not_finite, open_tensors

CONDITIONS = "conditions."
"""Prefix of what is known of the data; unknown attributes are NaN there."""
Kind = tuple[torch.dtype | str, list[int]]
"""A tensor's type (safetensors' name of one that fastgan never writes) and shape."""


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """A file's tensors; all that is wrong with it as a CheckpointError."""
    try:
        with open_tensors(path) as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"the checkpoint {path.parent} is not whole: {path.name} is missing") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is cut short or damaged ({error}); use another checkpoint") from error


def read(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, which is taken off; CheckpointError where one is not finite."""
    with opened(path) as file:
        names = [name for name in file.entries if name.startswith(prefix)]
        return {name[len(prefix) :]: _finite(file.get_tensor(name), name, path) for name in names}


def _finite(tensor: Tensor, name: str, path: Path) -> Tensor:
    count = 0 if name.startswith(CONDITIONS) else count_not_finite(tensor)
    if count:
        raise CheckpointError(
            f"{path}: {count:,} of the {tensor.numel():,} numbers of {name} are NaN or infinite, so no image would be "
            "right: use another checkpoint"
        )
    return tensor


def maker(state: Mapping[str, Any], where: Path) -> Callable[[], nn.Module]:
    """Makes the generator that a checkpoint's or release's `state` describes, at the size that it has grown to."""
    options = dict(state["config"]["model"])
    if _is_growing(state):
        options["resolution"] = state["resolution"]
    try:
        config = models.configure(options)
    except ConfigError as error:
        raise CheckpointError(f"{where} cannot be built: {error}") from error
    return lambda: models.generator(config)


def _is_growing(state: Mapping[str, Any]) -> bool:
    """Whether it was saved before it had grown to its full size."""
    full = state["config"]["model"].get("resolution")
    return bool(state.get("resolution", full) != full)


def check_generator(state: Mapping[str, Any], entries: Mapping[str, Entry], prefix: str, where: Path) -> int:
    """Raise CheckpointError unless the tensors called `prefix`... are the generator's that `state` describes.

    Takes no memory. Returns the bytes that the generator takes.
    """
    with torch.device("meta"):
        own = maker(state, where)().state_dict()
    there = {
        name.removeprefix(prefix): kind
        for name, kind in kinds(entries).items()
        if name.startswith(prefix) and not name.startswith(CONDITIONS)
    }
    if _is_growing(state):  # the layers that are still to come are left out
        there = {name: kind for name, kind in there.items() if name in own}
    compare(kinds(own), there, str(where), here="by its own settings")
    return sum(tensor.nbytes for tensor in own.values())


def load_generator(state: Mapping[str, Any], path: Path, prefix: str, where: Path) -> nn.Module:
    """The generator that `state` describes with the tensors called `prefix`... in `path`, on the CPU."""
    with opened(path) as file:
        size = check_generator(state, file.entries, prefix, where)
        require_memory(
            size, f"the generator of {where}", "use a smaller model, or a machine with more memory"
        )
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers are none of our weights
            generator = maker(state, where)()
        with torch.no_grad():
            for name, tensor in generator.state_dict().items():
                tensor.copy_(_finite(file.get_tensor(prefix + name), prefix + name, path))
    return generator


def kinds(tensors: Mapping[str, Tensor] | Mapping[str, Entry]) -> dict[str, Kind]:
    """Types and shapes by name."""
    return {
        name: (DTYPES.get(t.dtype, t.dtype) if isinstance(t, Entry) else t.dtype, list(t.shape))
        for name, t in tensors.items()
    }


def compare(own: Mapping[str, Kind], there: Mapping[str, Kind], where: str, here: str = "here") -> None:
    """CheckpointError says which names, shapes or types differ, when `there` is of another architecture.

    A number may be of another precision there: it is rounded when it is copied.
    """
    names = [*own, *(name for name in there if name not in own)]
    differ = [name for name in names if not _same(own.get(name), there.get(name))]
    if differ:
        name = differ[0]
        more = f", and {len(differ) - 1} more differ" if len(differ) > 1 else ""
        raise CheckpointError(
            f"{where} holds another architecture: {name} is {_said(there.get(name), own.get(name))} there and "
            f"{_said(own.get(name), there.get(name))} {here}{more}"
        )


def _same(own: Kind | None, there: Kind | None) -> bool:
    if own is None or there is None or own[1] != there[1]:
        return False
    dtypes = own[0], there[0]
    floating = [isinstance(dtype, torch.dtype) and dtype.is_floating_point for dtype in dtypes]
    return own[0] == there[0] or all(floating)


def _said(kind: Kind | None, other: Kind | None) -> str:
    if kind is None:
        return "absent"
    same_shape = other is not None and kind[1] == other[1]
    return f"{str(kind[0]).removeprefix('torch.')} {kind[1]}" if same_shape else str(kind[1])


@torch.no_grad()
def restore(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy `tensors` into `module`, in the module's own layout, dtype and device.

    CheckpointError as `compare`, when `tensors` are of another architecture.
    """
    own = module.state_dict()
    compare(kinds(own), kinds(tensors), where)
    for name, tensor in own.items():
        tensor.copy_(tensors[name])
