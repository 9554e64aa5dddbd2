"""What there is to know about a packed data set without looking at its images, as JSON types."""

from pathlib import Path
from typing import Any

from fastgan.data import passed_over
from fastgan.data.dataset import Dataset

_SHOWN, _ATTRIBUTES = 20, 8  # classes and attributes that are named


def facts_of(file: Path, dataset: Dataset) -> dict[str, Any]:
    """Everything that `fastgan info` and `fastgan data info` say of the set that was read from `file`."""
    counts = (
        [] if dataset.labels is None else dataset.labels.bincount(minlength=len(dataset.class_names)).tolist()
    )
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "images": len(dataset),
        "resolution": dataset.resolution,
        "channels": dataset.channels,
        "classes": dict(zip(dataset.class_names, counts, strict=True)) if counts else {},
        "attributes": _attribute_facts(dataset),
        "content_hash": dataset.content_hash,
        "bad": [{"name": bad.name, "reason": bad.reason} for bad in dataset.bad],
        "notes": list(dataset.notes),
        "provenance": dict(dataset.provenance),
    }


def _attribute_facts(dataset: Dataset) -> dict[str, dict[str, float | None]]:
    """name -> mean, min and max of what is known (None: nothing is), and the share that is unknown."""
    facts: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(dataset.attribute_names):
        assert dataset.attributes is not None  # it has names
        column = dataset.attributes[:, index]
        known = column[~column.isnan()].double()
        numbers = (known.mean(), known.min(), known.max()) if len(known) else (None, None, None)
        values = [None if number is None else round(number.item(), 4) for number in numbers]
        unknown = round(1 - len(known) / len(column), 4)
        facts[name] = dict(zip(("mean", "min", "max", "unknown"), [*values, unknown], strict=True))
    return facts


def words(facts: dict[str, Any]) -> list[str]:
    """The same in lines of text."""
    kind = {1: "grey", 3: "RGB", 4: "RGBA"}[facts["channels"]]
    size, upscaled = facts["resolution"], facts["provenance"].get("upscaled")
    lines = [
        f"file        {facts['file']} ({facts['bytes'] / 1e6:,.1f} MB)",
        f"images      {facts['images']:,} of {size} x {size} {kind}",
    ]
    if upscaled:
        lines.append(f"enlarged    {upscaled:,} that were smaller")
    lines += [f"attention   {text}" for text in passed_over.warnings(facts["notes"])]
    if facts["bad"]:
        lines.append(f"skipped     {len(facts['bad']):,} that could not be used")
    if facts["classes"]:
        counts = [f"{name} {count:,}" for name, count in facts["classes"].items()]
        lines.append(f"classes     {_some(counts, _SHOWN)}")
    if facts["attributes"]:
        texts = [_attribute_text(name, numbers) for name, numbers in facts["attributes"].items()]
        lines.append(f"attributes  {_some(texts, _ATTRIBUTES)}")
    source = facts["provenance"].get("source", "unknown")
    return [*lines, f"made from   {source}", f"hash        {facts['content_hash']}"]


def _attribute_text(name: str, facts: dict[str, Any]) -> str:
    """`smiling 48%` (the share of ones), `age 33 (18..80)`, and how many are unknown."""
    if facts["mean"] is None:
        return f"{name} unknown"
    is_flag = facts["min"] in (0, 1) and facts["max"] in (0, 1)
    text = f"{facts['mean']:.0%}" if is_flag else f"{facts['mean']:g} ({facts['min']:g}..{facts['max']:g})"
    return f"{name} {text}" + (f" [{facts['unknown']:.0%} unknown]" if facts["unknown"] else "")


def _some(texts: list[str], most: int) -> str:
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return f"{len(texts):,}: " + ", ".join(texts[:most]) + more
