"""What an exported file says of itself, in its metadata under `fastgan.*`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastgan.documents import parse_json
from fastgan.errors import CheckpointError
from fastgan.inference.conditions import Conditions
from fastgan.inference.facts import Facts
from fastgan.text import whole

_LAYERS = 64  # more than an image of 4096 px has


def read_facts(
    path: Path, metadata: Mapping[str, str], fingerprint: str, noise_sizes: tuple[int, ...] = ()
) -> Facts:
    """The facts in an exported file's metadata; CheckpointError if it is not one of ours.

    fingerprint: of the file. noise_sizes: what its graph takes, which the metadata does not say.
    """
    if "fastgan.version" not in metadata:
        raise CheckpointError(
            f"{path} is an ONNX model, but not one that fastgan exported; make one with fastgan export --onnx."
        )
    try:
        known = {key.removeprefix("fastgan."): value for key, value in metadata.items()}
        layers = said_number(known, "layers") if "layers" in known else 0
        if not 0 <= layers <= _LAYERS:
            raise ValueError(f"layers, which is {layers}")
        return Facts(
            source=str(path),
            model=known["model"],
            resolution=said_number(known, "resolution"),
            img_channels=said_number(known, "img_channels"),
            z_dim=said_number(known, "z_dim"),
            has_truncation={"true": True, "false": False}[known["has_truncation"]],
            cur_nimg=said_number(known, "cur_nimg") if "cur_nimg" in known else None,
            data_hash=known.get("data_hash"),
            fingerprint=fingerprint,
            layers=layers,
            noise_sizes=noise_sizes,
            class_names=said_names(known, "class_names"),
            attribute_names=said_names(known, "attribute_names"),
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


def said_number(said: Mapping[str, str], key: str) -> int:
    """The whole number that the metadata give for `key`; KeyError or ValueError where there is none."""
    number = whole(said[key])
    if number is None:
        raise ValueError(f"{key}, which is {said[key][:40]!r}")
    return number


def said_names(said: Mapping[str, str], key: str) -> tuple[str, ...]:
    """The names in the JSON list that the metadata give for `key`, () without; DocumentError for anything else."""
    return tuple(parse_json(said.get(key, "[]"), list[str], key))


def check_signature(
    path: Path,
    facts: Facts,
    inputs: Mapping[str, Sequence[Any]],
    output: Sequence[Any],
    *,
    gives_pixels: bool,
) -> None:
    """CheckpointError unless a graph takes and gives what the metadata say: memory is taken by what they say.

    inputs: shapes by name; output: that of its images, [N, H, W, C] with `gives_pixels` and [N, C, H, W] else.
    """
    side, channels = facts.resolution, facts.img_channels
    said = {"images": [side, side, channels] if gives_pixels else [channels, side, side], "z": [facts.z_dim]}
    found = {"images": list(output[1:])} | ({"z": list(inputs["z"][1:])} if "z" in inputs else {})
    if facts.attribute_names and "attributes" in inputs:
        said["attributes"], found["attributes"] = [len(facts.attribute_names)], list(inputs["attributes"][1:])
    for name, names in (("label", facts.class_names), ("attributes", facts.attribute_names)):
        if name in inputs and not names:
            raise CheckpointError(
                f"{path} is damaged: its graph takes {name}, and its metadata name none; export it again."
            )
    for name, shape in found.items():
        if shape != said[name]:
            raise CheckpointError(
                f"{path} is damaged: its metadata speak of {name} of {said[name]}, and its graph has {shape}; export "
                "it again."
            )


def _garbled(path: Path, metadata: Mapping[str, str], what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: its metadata lacks or garbles {what}; it was written by fastgan "
        f"{metadata['fastgan.version']}: export it again with this one."
    )
