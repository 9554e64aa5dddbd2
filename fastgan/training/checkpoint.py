"""Checkpoints: whole or not at all, safetensors and JSON, nothing that runs code when it is read.

    RUN/checkpoints/000012800/model.safetensors       g.*, d.*, g_ema.*, g_ema_<half-life in images>.* for each further
                                                      one, what techniques keep (augment.*, path_length.*, codes.*)
                                                      and, of a conditional model, what goes together (conditions.*)
                              optimizer.safetensors   {g,d}.<parameter>.{step,exp_avg,exp_avg_sq}
                              state.json              format, settings, cur_nimg, data, versions, time
    RUN/latest                                        text: checkpoints/000012800
    RUN/best                                          the same, for the one with the best metric so far, if any

A release is one safetensors file: the averaged generator, with its settings as JSON in the metadata.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from fastgan import ownership
from fastgan.errors import CheckpointError, OutputError
from fastgan.files import atomic_folder, atomic_write, open_regular, read_text, write_json
from fastgan.naming import resuming
from fastgan.seal import sealed
from fastgan.tensors import open_tensors, save_tensors
from fastgan.training import weights
from fastgan.training.ema import names as average_names
from fastgan.training.state_file import FORMAT, check_resumable, parse_state, read_state
from fastgan.training.weights import CONDITIONS

_POINTER_BYTES = 4096
_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint folder holds."""

    path: Path
    """The checkpoint's folder."""
    model: dict[str, Tensor]
    """Parameters and buffers, named g.*, d.* and g_ema.*; augment.*, path_length.* and codes.* where in use."""
    optimizer: dict[str, Tensor]
    """Adam's state by parameter name."""
    state: dict[str, Any]
    """state.json."""


def save(
    run: Path, *, model: dict[str, Tensor], optimizer: dict[str, Tensor], state: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint of `run` at state["cur_nimg"], point `latest` to it and drop all but the newest `keep`.

    What `best` points to stays; where state["best"] names this checkpoint, `best` points to it from now on.

    Raises OutputError when it cannot be written (a full disk); the checkpoints from before are still there then.
    """
    folder = run / "checkpoints" / f"{state['cur_nimg']:09d}"
    with saving(folder, run):
        with atomic_folder(folder) as temporary:
            save_tensors(temporary / "model.safetensors", model)
            save_tensors(temporary / "optimizer.safetensors", optimizer)
            write_json(temporary / "state.json", sealed({"format": FORMAT, **state}))
        _point(run / "latest", folder)
        best = _best(run, state.get("best"))
    # Folders beyond this one belong to a future that was left by resuming from an earlier checkpoint.
    own = [path for path in ownership.checkpoints(run) if not path.is_symlink()]
    older = [path for path in own if ownership.step(path) < state["cur_nimg"] and path != best]
    newer = [path for path in own if ownership.step(path) > state["cur_nimg"]]
    for path in older[: max(len(older) + 1 - keep, 0)] + newer:
        remove(path)
    return folder


def _best(run: Path, best: Mapping[str, Any] | None) -> Path | None:
    """Keep RUN/best true to `best` (the state's) and return what it points to; a lost best is forgotten."""
    folder = run / "checkpoints" / f"{best['cur_nimg']:09d}" if best else None
    if folder is not None and folder.is_dir():
        _point(run / "best", folder)
        return folder
    (run / "best").unlink(missing_ok=True)
    return None


def _point(pointer: Path, folder: Path) -> None:
    with atomic_write(pointer) as temporary:
        temporary.write_text(f"checkpoints/{folder.name}\n", encoding="utf-8")


def remove(folder: Path) -> None:
    """Delete a checkpoint so that a half-deleted one never carries a checkpoint's name."""
    doomed = folder.rename(folder.with_name(f".{folder.name}.removed"))
    shutil.rmtree(doomed)


@contextmanager
def saving(target: Path, run: Path) -> Iterator[None]:
    """Turn the failure to write `target` (a full disk) into an OutputError that says what remains of `run`."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps what the operating system said
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"could not save {target} ({reason}); {remaining(run)}: make room or mend the folder, "
            f"then go on with {resuming(run)}"
        ) from error


def remaining(run: Path) -> str:
    """Half a sentence: the checkpoint that a failed `run` still has."""
    try:
        return f"{locate(run)} remains"
    except (CheckpointError, OSError):
        return "no checkpoint was saved before"


def locate(path: str | Path) -> Path:
    """The checkpoint folder meant by `path`: a run (its `latest`), RUN/latest, RUN/best, or a checkpoint folder."""
    path = Path(path)
    pointer = path if is_pointer(path) else path / "latest"
    if pointer.is_file():
        named = pointed(pointer)
        parts = Path(named).parts  # a pointer of others leads nowhere outside of its run
        within = len(parts) == 2 and parts[0] == "checkpoints" and parts[1] != ".."
        if not within or "\0" in named or not (pointer.parent / named).is_dir():
            raise CheckpointError(
                f"{pointer} names {named!r}, which is not a folder of the run {pointer.parent}"
            )
        return pointer.parent / named
    if any((path / name).exists() for name in _FILES):
        return path
    if (path / "config.toml").exists():
        raise CheckpointError(f"the run {path} has no checkpoint yet")
    if path.exists() and not path.is_dir():
        try:
            open_regular(path).close()  # a pipe or a device is called so
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    why = ": the folder is empty" if path.is_dir() and not any(path.iterdir()) else ""
    raise CheckpointError(f"{path} is neither a training run nor a checkpoint{why}")


def pointed(pointer: Path) -> str:
    """What a run's `latest` or `best` says; "" where it is no text."""
    try:
        return read_text(pointer, _POINTER_BYTES).strip()
    except ValueError:
        return ""
    except OSError as error:
        raise CheckpointError(f"cannot read {pointer}: {error.strerror}") from error


def is_pointer(path: Path) -> bool:
    """Whether `path` is a run's `latest` or `best`, and no model."""
    return path.name in ("latest", "best") and path.is_file()


def earlier(run: Path, steps: int) -> Path | None:
    """The run's newest checkpoint but `steps`, or the oldest that there is; None without any."""
    folders = ownership.checkpoints(run)[::-1]
    return folders[min(steps, len(folders) - 1)] if folders else None


def load(path: str | Path) -> Checkpoint:
    """Read a whole checkpoint (run or checkpoint folder); CheckpointError when it is missing, cut or unknown."""
    folder = locate(path)
    state = read_state(folder)
    model = weights.read(folder / "model.safetensors")
    optimizer = weights.read(folder / "optimizer.safetensors")
    return Checkpoint(path=folder, model=model, optimizer=optimizer, state=state)


def load_resumable(path: str | Path) -> Checkpoint:
    """`load` for training that goes on; CheckpointError, too, for a checkpoint that can be generated from alone."""
    loaded = load(path)
    check_resumable(loaded.state, loaded.path)
    return loaded


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The optimiser's state as `<parameter>.<key>`; parameters that never had a gradient have none."""
    states = {name: optimizer.state.get(parameter, {}) for name, parameter in named.items()}
    return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    named: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
    where: str,
) -> None:
    """The inverse of `optimizer_tensors`; CheckpointError when names or shapes do not fit the parameters."""
    optimizer.state.clear()
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition(".")
        parameter = named.get(name)
        if parameter is None or (value.ndim and value.shape != parameter.shape):
            here = "absent" if parameter is None else str(list(parameter.shape))
            raise CheckpointError(
                f"{where} holds another architecture: {full_name} is {list(value.shape)} there and {here} here"
            )
        # The moments take the parameter's memory format, which the fused step relies on.
        own = torch.empty_like(parameter) if value.ndim else value.new_empty((), device=parameter.device)
        optimizer.state[parameter][key] = own.detach().copy_(value)


def save_release(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write the averaged generator alone, with its settings in the metadata: the file to share.

    Paths of the data and of what it was trained from stay behind; the data's hash and its names of classes and
    attributes go along.
    """
    state = {key: value for key, value in checkpoint.state.items() if key in _RELEASED}
    state["config"] = {
        name: {k: v for k, v in table.items() if f"{name}.{k}" not in _PATHS}
        for name, table in state["config"].items()
    }
    prefix = "g_ema."
    tensors = {
        k.removeprefix(prefix): v for k, v in checkpoint.model.items() if k.startswith((prefix, CONDITIONS))
    }
    with saving(Path(path), checkpoint.path.parent.parent), atomic_write(path) as temporary:
        save_tensors(temporary, tensors, {"fastgan": json.dumps(state)})


_PATHS = ("data.source", "train.init_from", "discriminator.features")
_RELEASED = ("format", "config", "cur_nimg", "resolution", "data", "versions")


def load_networks(path: str | Path) -> dict[str, Tensor]:
    """The tensors g.*, d.* and g_ema.* of a run or checkpoint; of a release g_ema.*, all that it has.

    Raises CheckpointError for whatever is missing, damaged, not ours, or not of the settings that it names.
    """
    path = Path(path)
    release = is_release(path)
    folder = path if release else locate(path)
    state = _release_state(path) if release else read_state(folder)
    file, prefix = (path, "") if release else (folder / "model.safetensors", "g_ema.")
    with weights.opened(file) as opened:
        weights.check_generator(state, opened.entries, prefix, folder)
    tensors = weights.read(file)
    if not release:
        return tensors
    return {f"g_ema.{name}": t for name, t in tensors.items() if not name.startswith(CONDITIONS)}


def describe(path: str | Path) -> dict[str, Any]:
    """The state of a run, a checkpoint or a release: its `config`, and what else it says of itself."""
    path = Path(path)
    return _release_state(path) if is_release(path) else read_state(locate(path))


def is_release(path: Path) -> bool:
    """Whether `path` is a file that may be a release: one, and no run's `latest` or `best`."""
    return path.is_file() and not is_pointer(path)


def load_generator(path: str | Path, *, ema: bool | float = True) -> tuple[nn.Module, dict[str, Any]]:
    """The generator of a run, a checkpoint folder or a release, in eval mode on the CPU, and its state.

    `ema=False` takes the generator as trained instead of its average, a number the average of that half-life in kimg;
    a release holds the first average alone. One that has not grown to its full size has the size that it has reached.
    Raises CheckpointError for whatever is missing, damaged or not ours.
    """
    path = Path(path)
    if is_release(path):
        if ema is not True:
            raise CheckpointError(f"{path} is a release: it holds the averaged generator alone")
        file, prefix, state = path, "", _release_state(path)
    else:
        path = locate(path)
        file, state = path / "model.safetensors", read_state(path)
        prefix = f"{average_name(ema, state, path)}."
    return weights.load_generator(state, file, prefix, path).eval(), state


def load_sample(path: str | Path) -> dict[str, Tensor]:
    """What a conditional run, checkpoint or release holds of its data's conditions: labels, attributes, or nothing."""
    path = Path(path)
    file = path if is_release(path) else locate(path) / "model.safetensors"
    return weights.read(file, CONDITIONS)


def average_name(ema: bool | float, state: dict[str, Any], where: Path) -> str:
    """What a checkpoint calls the generator that `load_generator` takes; CheckpointError when it has none such."""
    if isinstance(ema, bool):
        return "g_ema" if ema else "g"
    kept = state["config"].get("train", {}).get("ema_kimg", [])
    kept = kept if isinstance(kept, list) else [kept]  # numbers: `state_file.Train` says so
    if ema not in kept:
        there = ", ".join(f"{k:g}" for k in kept)
        raise CheckpointError(f"{where} holds no average of a half-life of {ema:g} kimg: there are {there}")
    return average_names(kept)[kept.index(ema)]


def _release_state(path: Path) -> dict[str, Any]:
    try:
        with open_tensors(path) as file:
            metadata = file.metadata() or {}
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file, or it is cut short ({error})") from error
    if "fastgan" not in metadata:
        raise CheckpointError(
            f"{path} was not written by fastgan: its metadata does not say what model it is"
        )
    return parse_state(metadata["fastgan"], path)
