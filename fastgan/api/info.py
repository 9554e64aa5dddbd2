"""`fastgan.info`: what a file or folder is that fastgan wrote."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastgan.api.sources import Model, path_of
from fastgan.api.tables import html_table
from fastgan.text import duration, shown

_SHOWN = 12  # names on one line


class Info(Mapping[str, Any]):
    """Facts by name, of JSON's types: "file" and "kind", and what that kind has.

    kind: "training run", "checkpoint", "release", "exported model", "packed data set" or "reference statistics". As
    text, and in a notebook, a table; `dict(found)` is what `fastgan info --json` prints.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    @property
    def path(self) -> Path:
        """What was looked at."""
        return Path(self._facts["file"])

    @property
    def kind(self) -> str:
        """What it is."""
        return str(self._facts["kind"])

    @property
    def config(self) -> dict[str, dict[str, Any]]:
        """The settings it was trained with, by table; empty where there are none."""
        return dict(self._facts.get("config", {}))

    def __repr__(self) -> str:
        lines = [shown(f"{title:11} {text}") for title, text in _rows(self._facts)]
        return "\n".join([*lines, *(_wrapped(f"[{table}]", given) for table, given in self.config.items())])

    def _repr_html_(self) -> str:
        settings = [(f"[{table}]", _settings(given)) for table, given in self.config.items()]
        return html_table([*_rows(self._facts), *settings])


def info(path: Model) -> Info:
    """What `path` is: a run, a checkpoint, a release, an exported .onnx, a packed .fgd, or reference statistics.

    Weights are not read, so that large models are as quick as small ones. Also takes a `Run` or an opened generator.
    Raises CheckpointError or DataError for what is missing, damaged or not ours.
    """
    from fastgan.api.describing import describe

    return Info(describe(path_of(path, "path")))


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """A title and a text for each line; what is not known has none."""
    size = f" ({facts['bytes'] / 1e6:,.1f} MB)" if "bytes" in facts else ""
    rows: list[tuple[str, Any]] = [("file", facts["file"] + size)]
    rows += [("", _beside(each)) for each in facts.get("data_files", ())]
    rows += [("kind", _kind(facts)), ("model", _model(facts))]
    if "protocol" in facts:
        rows += [(name, value) for name, value in facts["protocol"].items() if name != "image_shape"]
    if facts["kind"] == "packed data set":
        rows += _packed(facts)
    rows += [
        ("classes", _some(facts.get("class_names", ()))),
        ("attributes", _some(facts.get("attribute_names", ()))),
        ("trained", _trained(facts)),
        ("data", facts.get("data_hash")),
        ("latest", facts.get("latest")),
        ("best", _best(facts)),
        ("inputs", _tensors(facts.get("inputs", ()))),
        ("outputs", _tensors(facts.get("outputs", ()))),
        ("pixels", ", ".join(filter(None, (facts.get("pixels"), facts.get("layout"))))),
        ("latents", facts.get("latents")),
        ("weights", _counts(facts.get("weights", {}))),
        ("made by", ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())),
    ]
    return [(title, str(text)) for title, text in rows if text]


def _beside(file: dict[str, Any]) -> str:
    return f"{file['file']} " + (
        "is missing" if file["bytes"] is None else f"({file['bytes'] / 1e6:,.1f} MB)"
    )


def _kind(facts: dict[str, Any]) -> str:
    if facts["kind"] != "exported model":
        return str(facts["kind"])
    part = "" if facts["part"] == "whole" else f", the {facts['part']} alone"
    snr = "" if facts["snr_db"] is None else f", {facts['snr_db']:.1f} dB from torch"
    return f"exported model{part}, {facts['precision']}{snr}, opset {facts['opset']}"


def _model(facts: dict[str, Any]) -> str:
    if "model" not in facts:
        return ""
    channels = {1: "grey", 3: "RGB", 4: "RGBA"}.get(
        facts["img_channels"], f"{facts['img_channels']} channels"
    )
    return f"{facts['model']}, {facts['resolution']} x {facts['resolution']} {channels}, from {facts['z_dim']} latents"


def _trained(facts: dict[str, Any]) -> str:
    if facts.get("cur_nimg") is None:
        return ""
    seconds, images = facts.get("seconds"), facts.get("data_images")
    took = f" in {duration(seconds)}" if seconds else ""
    of = f", of a set of {images:,}" if images else ""
    return f"{facts['cur_nimg']:,} images seen{took}{of}"


def _best(facts: dict[str, Any]) -> str:
    score = facts.get("best_score") or {}
    value = f" ({score['metric']} {score['value']:.4g})" if {"metric", "value"} <= score.keys() else ""
    return f"{facts['best']}{value}" if facts.get("best") else ""


def _packed(facts: dict[str, Any]) -> list[tuple[str, str]]:
    kind = {1: "grey", 3: "RGB", 4: "RGBA"}[facts["channels"]]
    return [
        ("images", f"{facts['images']:,} of {facts['resolution']} x {facts['resolution']} {kind}"),
        ("skipped", f"{len(facts['bad']):,} that could not be used" if facts["bad"] else ""),
        ("classes", _some([f"{name} {count:,}" for name, count in facts["classes"].items()])),
        ("attributes", _some(list(facts["attributes"]))),
        ("made from", str(facts["provenance"].get("source", ""))),
        ("hash", facts["content_hash"]),
    ]


def _tensors(tensors: list[dict[str, Any]]) -> str:
    """`z float32 [batch, 100]`; what may be left out in brackets, the noise of all layers as one."""
    texts = []
    noise = [tensor for tensor in tensors if tensor["name"].startswith("noise_")]
    for tensor in tensors:
        if tensor in noise[1:]:
            continue
        name = f"noise_0..{len(noise) - 1}" if tensor in noise and len(noise) > 1 else tensor["name"]
        shape = "" if tensor in noise else f" [{', '.join(map(str, tensor['shape']))}]"
        text = f"{name} {tensor['type']}{shape}"
        texts.append(f"({text})" if tensor.get("default") else text)
    return ", ".join(texts)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items() if value != "")


def _wrapped(title: str, settings: Mapping[str, Any]) -> str:
    return textwrap.fill(
        f"{title:11} {_settings(settings)}",
        110,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{len(names):,}: {', '.join(names[:_SHOWN])}{more}" if names else ""
