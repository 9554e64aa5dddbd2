"""The types of state.json, and of the JSON in a release's metadata: what is read of them, and by whom."""

import math
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from fastgan.documents import checked, parse_json, read_json
from fastgan.errors import CheckpointError, DocumentError
from fastgan.seal import check_seal
from fastgan.tensor_file import FINGERPRINT

FORMAT = 1


class Model(TypedDict):
    """What others than the model itself read of its settings; `config.build` checks the rest."""

    name: str
    resolution: NotRequired[int]
    img_channels: NotRequired[int]
    z_dim: NotRequired[int]
    classes: NotRequired[int]
    attributes: NotRequired[int]


class Train(TypedDict):
    """What is read of the settings under train."""

    ema_kimg: NotRequired[float | list[float]]


class Data(TypedDict):
    """What a model was trained on."""

    content_hash: NotRequired[str | None]
    images: NotRequired[int]
    class_names: NotRequired[list[str]]
    attribute_names: NotRequired[list[str]]


class Features(TypedDict):
    """The pretrained network of a projected discriminator."""

    name: str
    sha256: str


class Best(TypedDict):
    """The best evaluation so far."""

    metric: str
    value: float
    cur_nimg: int


class Watch(TypedDict):
    """What the watch over training remembers."""

    bad: NotRequired[dict[str, int]]
    diverse: NotRequired[bool]


class State(TypedDict):
    """What a model is described, opened and generated from by."""

    format: Literal[1]
    cur_nimg: int
    config: dict[str, dict[str, Any]]
    resolution: NotRequired[int]
    seconds: NotRequired[float]
    precision: NotRequired[Literal["fp32", "bf16"]]
    data: NotRequired[Data]
    features: NotRequired[Features | None]
    rollbacks: NotRequired[list[dict[str, Any]]]
    best: NotRequired[Best | None]
    stopped: NotRequired[str | None]
    watch: NotRequired[Watch]
    versions: NotRequired[dict[str, str]]
    machine: NotRequired[dict[str, str]]


class _TrainedOn(TypedDict):
    content_hash: str


class Resumable(TypedDict):
    """What training that goes on needs beside that."""

    seconds: float
    precision: Literal["fp32", "bf16"]
    data: _TrainedOn
    machine: dict[str, str]


def read_state(folder: Path) -> dict[str, Any]:
    """The state.json of a checkpoint's folder, a `State`. Raises CheckpointError where it is not there, or is none."""
    path = folder / "state.json"
    try:
        state = checked_state(read_json(path, dict[str, Any]), path)
        check_seal(state, "it")
    except FileNotFoundError as error:
        raise CheckpointError(f"the checkpoint {folder} is not whole: state.json is missing") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except DocumentError as error:
        raise CheckpointError(f"{path} is damaged ({error}); use another checkpoint") from error
    state.pop(FINGERPRINT, None)
    return state


def parse_state(text: str, path: Path) -> dict[str, Any]:
    """The same from the metadata of a release."""
    try:
        return checked_state(parse_json(text, dict[str, Any], "its metadata"), path)
    except DocumentError as error:
        raise CheckpointError(f"{path} is damaged ({error}): use another copy of it") from error


def checked_state(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """`content`, a `State`. Raises DocumentError that names a key, CheckpointError for another format."""
    version = content.get("format")
    if version != FORMAT or isinstance(version, bool):
        raise CheckpointError(
            f"{path} has format {str(version)[:40]}, and this fastgan reads format {FORMAT}"
        )
    checked(content, State, path.name)
    if "model" not in content["config"]:
        raise DocumentError(f"{path.name}: config.model is missing")
    checked(content["config"]["model"], Model, path.name, "config.model")
    checked(content["config"].get("train", {}), Train, path.name, "config.train")
    seconds = content.get("seconds", 0.0)
    if content["cur_nimg"] < 0 or not 0 <= seconds < math.inf:
        raise DocumentError(
            f"{path.name}: cur_nimg {content['cur_nimg']} and seconds {seconds} must be 0 or more, and finite"
        )
    return content


def check_resumable(state: dict[str, Any], folder: Path) -> None:
    """Raise CheckpointError unless `state`, of the checkpoint `folder`, holds what training needs to go on."""
    try:
        checked(state, Resumable, "state.json")
    except DocumentError as error:
        raise CheckpointError(
            f"{folder} can be generated from, and not resumed ({error}); resume from another checkpoint"
        ) from error
