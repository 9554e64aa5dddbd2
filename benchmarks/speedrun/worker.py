"""One run in a process of its own: `python -m benchmarks.speedrun.worker DIR avatars/4/small/0`."""

import argparse
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speedrun import datasets, dcgan, lightweight, ours, score
from benchmarks.speedrun.contenders import CONTENDERS, SAMPLES, Cell
from benchmarks.speedrun.places import environment, grid, result, venv, work
from benchmarks.speedrun.recorder import Recorder
from fastgan.benchmark import report
from fastgan.data import Dataset, open_dataset
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError, OutputError
from fastgan.files import write_json

FORMAT = "fastgan.speedrun"


def run(out: Path, cell: Cell, samples: int = SAMPLES) -> None:
    """Train, score, write the result and grids, and remove what was in between."""
    contender, folder = CONTENDERS[cell.contender], work(out, cell)
    folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(folder, cell.due, samples)
    trained_on, held_out = (open_dataset(path) for path in datasets.paths(out, cell.dataset))
    failed = None
    facts = folder / "trained.json"
    try:
        if not facts.exists():
            made = _train(out, cell, folder, recorder, trained_on)
            if len(recorder.points) != len(cell.due):
                raise SystemExit(
                    f"{cell.key} was sampled at {len(recorder.points)} of {len(cell.due)} points: its clock is wrong"
                )
            facts.write_text(json.dumps(made))
    except FastganError as error:
        if isinstance(error, ConfigError | DataError | CheckpointError | OutputError):
            raise  # a mistake of ours
        failed = str(error)  # such as losses beyond all numbers: a result
    document: dict[str, Any] = {
        "format": FORMAT,
        "dataset": cell.dataset,
        "minutes": cell.minutes,
        "contender": cell.contender,
        "what": contender.what,
        "pretrained": contender.pretrained,
        "follows_budget": contender.follows_budget,
        "seed": cell.seed,
        "samples": samples,
        "data": {
            part: {"images": len(each), "sha256": each.content_hash}
            for part, each in (("trained_on", trained_on), ("held_out", held_out))
        },
        "machine": report.header("cpu"),
        "failed": failed,
        "trained": json.loads(facts.read_text()) if facts.exists() else None,
    }
    document |= _scored(recorder, trained_on, held_out)
    target = result(out, cell)
    target.parent.mkdir(parents=True, exist_ok=True)
    for number, seconds in enumerate(cell.due[: len(document["points"])]):
        picture = grid(out, cell, seconds / 60)
        picture.parent.mkdir(parents=True, exist_ok=True)
        score.write_grid(picture, np.load(recorder.path(number)))
    write_json(target, document)
    shutil.rmtree(folder)


def _scored(recorder: Recorder, trained_on: Dataset, held_out: Dataset) -> dict[str, Any]:
    """Scores of each point, and whether the last one's images are copies."""
    points = json.loads((recorder.folder / "points.json").read_text()) if recorder.points else []
    for number, point in enumerate(points):
        point["seconds"] = round(point["seconds"], 2)
        point["scores"] = score.scores(np.load(recorder.path(number)), held_out)
    last = np.load(recorder.path(len(points) - 1)) if points else None
    return {"points": points, "audit": None if last is None else score.audit(last, trained_on, held_out)}


def _train(out: Path, cell: Cell, folder: Path, recorder: Recorder, data: Dataset) -> dict[str, Any]:
    """Facts about the training, as `ours.train` gives them."""
    contender, path = CONTENDERS[cell.contender], datasets.paths(out, cell.dataset)[0]
    if contender.kind == "dcgan":
        shown = dcgan.train(data.images[torch.arange(len(data))], cell.seed, recorder)
        return {
            "images": shown,
            "seconds": recorder.seconds,
            "setup_seconds": recorder.setup_seconds,
            "settings": dcgan.SETTINGS,
        }
    if contender.kind == "lightweight-gan":
        np.save(folder / "images.npy", data.images.numpy())
        command = [str(venv(out)), "-m", lightweight.__name__, str(folder / "images.npy"), str(folder)]
        command += ["--seed", str(cell.seed), "--samples", str(recorder.samples)]
        command += ["--due", *(f"{seconds:g}" for seconds in cell.due)]
        subprocess.run(command, check=True, env=environment(out))
        recorder.points = json.loads((folder / "points.json").read_text())
        facts: dict[str, Any] = json.loads((folder / "trained.json").read_text())
        return facts
    return ours.train(contender, cell, path, folder, recorder)


def main() -> None:
    """Do the run that is named."""
    parser = argparse.ArgumentParser(description="One run of the speedrun.")
    parser.add_argument("out", type=Path)
    parser.add_argument("key")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ |= environment(options.out)
    run(options.out.absolute(), Cell.parse(options.key), options.samples)


if __name__ == "__main__":
    main()
