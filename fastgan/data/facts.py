"""What there is to know about a packed data set without looking at its images, as JSON types."""

from pathlib import Path
from typing import Any

from fastgan.data.dataset import Dataset


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
