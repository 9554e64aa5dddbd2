"""A training run as one HTML page."""

import os
from pathlib import Path

from fastgan import arguments
from fastgan.data import packed
from fastgan.errors import FastganError, OutputError
from fastgan.files import atomic_write, check_output
from fastgan.naming import named
from fastgan.pages.document import MARK
from fastgan.report.page import render
from fastgan.report.read import Run, read
from fastgan.report.real import MOST, Real
from fastgan.training.folder import training_images

_SEED = 2020


def write_report(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, overwrite: bool = False
) -> Path:
    """Write one page about `run` and return its path: curves, samples beside training images, warnings, settings.

    Everything is inside the file. The run may still be training. out: by default RUN/report.html. overwrite: replace
    what is there, where it is no earlier report.
    Raises CheckpointError for what is no run or has nothing to show, OutputError where the page cannot be written.
    """
    folder = arguments.path(run, "run")
    page = folder / "report.html" if out is None else arguments.path(out, "out")
    own = [file for file in folder.iterdir() if file.name != "report.html"] if folder.is_dir() else []
    check_output(page, overwrite=overwrite or out is None, sources=own, replaces=MARK)
    found = read(folder)
    text = render(found, real_images(found))
    try:
        with atomic_write(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"could not write {page} ({error.strerror}): choose another {named('out')}"
        ) from error
    return page


def real_images(run: Run) -> Real:
    """Some of a run's training images, drawn at random and the same each time; else a sentence why not."""
    import torch

    missing = "not shown: the packed set that the run read is not there any more"
    try:
        path = training_images(run.path)
        if path is None:
            return Real(missing)
        dataset = packed.read(path)
    except (FastganError, OSError, ValueError) as error:
        return Real(f"not shown: they cannot be read ({error})")
    trained_on = run.state.get("data", {}).get("content_hash")
    if trained_on not in (None, dataset.content_hash):
        return Real(f"not shown: {path.name} holds other images now than the run was trained on")
    count = min(len(dataset), MOST)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(_SEED))[:count]
    images = dataset.images[order.sort().values].numpy()
    return Real(f"{count} of {len(dataset):,}, drawn at random from {path.name}", images)
