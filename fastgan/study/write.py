"""The recommended synthetic images as class folders with a manifest, ready for any training script.

    DIR/CLASS/synthetic000000.png   for attributes DIR/images/ and DIR/attributes.csv, which fastgan reads as they are
    DIR/manifest.json               the verdict, the arm, the GAN, and a line for each image

They are those that the arm named in the verdict trained on, made by the GAN of the first seed whose images pass the
arm's filter, where it has one.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan.documents import read_json
from fastgan.errors import DocumentError, FastganError, OutputError
from fastgan.files import atomic_folder, write_json
from fastgan.naming import named
from fastgan.study.pictures import png

FORMAT = "fastgan.synthetic"

if TYPE_CHECKING:
    from fastgan.study.labelled import Labelled
    from fastgan.study.study import Study
    from fastgan.study.task import Task


def check(target: Path, *, overwrite: bool = False) -> None:
    """OutputError where `target` is in use; overwrite: by anything but what an earlier call wrote."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (overwrite and _written(target)):
        more = f", or give {named('overwrite')} to replace it" if _written(target) else ""
        raise OutputError(f"{named('write', str(target))} is there already: name a new folder{more}")


def _written(folder: Path) -> bool:
    """Whether an earlier call wrote this folder."""
    try:
        return read_json(folder / "manifest.json", dict[str, Any]).get("format") == FORMAT
    except (OSError, DocumentError):
        return False


def recommended(finished: Mapping[str, Any]) -> bool:
    """Whether the verdict on what is written is that the images help."""
    return bool(finished["scenarios"][-1]["verdict"]["outcome"] == "help")


def write(study: "Study", finished: dict[str, Any], target: Path, *, overwrite: bool = False) -> Path:
    """Write to `target`, whole or not at all. FastganError where there are no synthetic images to write."""
    check(target, overwrite=overwrite)
    found = finished["scenarios"][-1] if finished["scenarios"] else None
    name = found["verdict"]["arm"] if found else None
    scenario = next((s for s in study.scenarios if found and s.name == found["name"]), None)
    arm = next((a for a in study.arms(scenario) if a.name == name), None) if scenario else None
    if scenario is None or arm is None or arm.mix is None:
        raise FastganError(f"{named('write')} has nothing to write: no arm with synthetic images was judged")
    desks = (study.prepared(scenario, seed) for seed in found["seeds"])  # type: ignore[index]
    desk = next((desk for desk in desks if len(desk.pool(arm.mix)[0])), None)
    if desk is None:
        raise FastganError(
            f"{named('write')} has nothing to write: no image passed the filter of {name!r}; train longer "
            f"({named('gan_budget')}), or leave that arm out of {named('arms')}"
        )
    pool, _ = desk.pool(arm.mix)
    _, run = desk.gan
    manifest = {
        "format": FORMAT,
        "verdict": found["verdict"]["sentence"],  # type: ignore[index]
        "recommended": recommended(finished),
        "scenario": scenario.name,
        "arm": name,
        "seed": desk.seed,
        "gan": None if run is None else str(run),
        "trained_on": study.content,
        "filter": desk.filtered.reasons if arm.mix.filtered and desk.filtered else None,
    }
    with atomic_folder(target) as folder:
        manifest["images"] = _files(study.task, pool, folder)
        write_json(folder / "manifest.json", manifest)
    return target


def _files(task: "Task", pool: "Labelled", folder: Path) -> list[dict[str, Any]]:
    """Write the images, and tell of each its file and what it shows."""
    table, told, folders = io.StringIO(newline=""), [], _folders(task.names)
    lines = csv.writer(table)
    lines.writerow(["file", *task.names])
    for k, (image, wanted) in enumerate(zip(pool.images.numpy(), pool.targets.tolist(), strict=True)):
        where = Path("images" if task.multi else folders[wanted], f"synthetic{k:06d}.png")
        (folder / where.parent).mkdir(exist_ok=True)
        (folder / where).write_bytes(png(image))
        if task.multi:
            values = ["" if math.isnan(value) else int(value) for value in wanted]
            lines.writerow([where.as_posix(), *values])
            shown: dict[str, Any] = {"attributes": dict(zip(task.names, values, strict=True))}
        else:
            shown = {"class": task.names[wanted]}
        told.append({"file": where.as_posix(), **shown})
    if task.multi:
        (folder / "attributes.csv").write_text(table.getvalue(), encoding="utf-8")
    return told


def _folders(names: Sequence[str]) -> list[str]:
    """Class names as folders', each its own, also where upper and lower case are the same."""
    found: list[str] = []
    for name in names:
        safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ") or "_"
        taken = {other.lower() for other in found}
        numbered = chain([safe], (f"{safe}_{k}" for k in count(2)))
        found.append(next(one for one in numbered if one.lower() not in taken))
    return found
