"""The statistics of a large set of real images, computed in a way that survives being stopped."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

from fastgan.errors import OutputError
from fastgan.files import atomic_write
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.summary import BATCH, Advance, Gathering, ImageSet, Summary, in_batches
from fastgan.tensors import open_tensors, save_tensors

SAVED = 128 * BATCH
"""Images between two savings: a minute or two on a CPU. Whole batches, so that sums are taken in the same order."""


def resumable(
    partial: Path,
    dataset: ImageSet,
    extractor: Extractor,
    metrics: Sequence[str],
    advance: Advance | None = None,
) -> Summary:
    """`summarise` all of `dataset`, from where the file `partial` left off; bit for bit what one pass gives.

    `partial` must be named after everything that the summary depends on. It is removed at the end. One that is damaged
    is passed over, and one that cannot be written is no error: the next run starts again.
    """
    images = dataset.images
    gathering = Gathering(len(images), extractor, metrics, what="real")
    if partial.is_file():
        with suppress(SafetensorError, OSError, KeyError), open_tensors(partial) as file:
            gathering.resume({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a mapping)
    if advance is not None and gathering.done:
        advance(gathering.done)
    for batch in in_batches(images, skip=gathering.done):
        gathering.add(batch)
        if advance is not None:
            advance(len(batch))
        if gathering.done % SAVED == 0 and gathering.done < len(images):
            with suppress(OSError, OutputError), atomic_write(partial) as temporary:
                save_tensors(temporary, gathering.tensors())
    with suppress(OSError):
        partial.unlink(missing_ok=True)
    return gathering.result()
