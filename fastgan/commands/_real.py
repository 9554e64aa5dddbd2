"""The training images that `fastgan report` shows beside the samples, where they can still be read."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastgan.report.read import Run
    from fastgan.report.real import Real

_SEED = 2020


def real_images(run: "Run") -> "Real":
    """Some of them, drawn at random and the same each time; else a sentence why not. Raises nothing."""
    from fastgan.data import packed
    from fastgan.errors import FastganError
    from fastgan.report.real import MOST, Real
    from fastgan.training.folder import training_images

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
    import torch

    count = min(len(dataset), MOST)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(_SEED))[:count]
    images = dataset.images[order.sort().values].numpy()
    return Real(f"{count} of {len(dataset):,}, drawn at random from {path.name}", images)
