"""Does an exported file score as well as the model that it was made from? For `fastgan export --check-fid`.

Both make the images of the same seeds, so that chance is nearly the same for both: what remains of the difference is
the file's. They are compared with real images, or without any with the model's own images of other seeds; its distance
to those is then the floor that no file can pass below, and what the file has above it is what the export cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastgan.naming import named
from fastgan.progress import Progress, progress

if TYPE_CHECKING:
    from torch import Tensor

    from fastgan.data import Dataset
    from fastgan.inference.runtime import Runtime
    from fastgan.metrics.extractor import Extractor
    from fastgan.metrics.summary import Summary

LIMIT = 0.25
"""By how much the file's FID may be above torch's: a share of it, or of the reference's variance in the features, which
is more where torch's FID is near 0. Measured on 400 images of a StyleGAN at 64 px: convolutions in 8 bits give 0.22
against real images and 0.23 against its own; white noise of 20 dB gives 0.45 and 1.3."""
METRICS = ("fid", "kid")


@dataclass(frozen=True)
class Verdict:
    """The scores of both, by name, and how far apart they may be."""

    images: int
    """How many of each were scored."""
    against: str
    """What they were compared with, in words."""
    torch: dict[str, float]
    file: dict[str, float]
    allowed: float
    """The most by which the file's FID may be above torch's."""

    @property
    def worse_by(self) -> float:
        """How far the file's FID is above torch's; below 0 where chance made it better."""
        fid = next(iter(self.torch))
        return self.file[fid] - self.torch[fid]

    def lines(self) -> list[str]:
        """A sentence a score."""
        said = []
        for name, value in self.torch.items():
            limit = f"; at most {self.allowed:+.3g} is allowed" if name.startswith("fid") else ""
            said.append(
                f"{name} of {self.images:,} images against {self.against}: torch {value:.4g}, the file "
                f"{self.file[name]:.4g} ({self.file[name] - value:+.3g}{limit})"
            )
        return said


def checker(
    source: Path,
    data: Path | Dataset | None,
    count: int,
    limit: float = LIMIT,
    *,
    found: Callable[[Verdict], None] = lambda verdict: None,
    show: bool = True,
) -> Callable[[Path], None]:
    """A check of exported files against the model in `source`, on `count` images, which refuses a bad one.

    data: the real images, or their statistics. limit: as `LIMIT`. found: is given the scores, also of a file that is
    then refused. show: bars meanwhile. Opens everything at once, so that a mistake is said before the export; raises
    what `open_generator`, `open_dataset` and `open_extractor` do. The check raises OutputError.
    """
    from fastgan.errors import OutputError
    from fastgan.evaluation.sources import called
    from fastgan.inference import open_generator

    with progress(show) as shown:
        network = _network(shown)
        model = open_generator(source)
        if data is None:
            against = _summary(model, count, count, network, shown.bar("other seeds", count))
        else:
            against = _real(data, model, network, shown)
        expected = _summary(model, 0, count, network, shown.bar("torch", count))
    words = "torch's own of other seeds" if data is None else called(data)

    def check(file: Path) -> None:
        with progress(show) as shown:
            made = _summary(open_generator(file), 0, count, network, shown.bar("exported", count))
        verdict = judge(against, expected, made, network, limit, words=words)
        found(verdict)
        if not verdict.worse_by <= verdict.allowed:
            raise OutputError(
                f"the exported model's FID is {verdict.worse_by:.3g} above torch's, and at most {verdict.allowed:.3g} "
                "is allowed, so nothing was written: export it with more precision, or give a higher "
                f"{named('fid_limit')}."
            )

    return check


def judge(
    against: Summary,
    expected: Summary,
    found: Summary,
    network: Extractor,
    limit: float = LIMIT,
    *,
    words: str = "the reference",
) -> Verdict:
    """The scores of torch's images and the file's against the same reference, and what is allowed.

    words: what the reference is called.
    """
    from fastgan.metrics import frechet_distance, kernel_distance

    fid, kid = (network.space(metric) for metric in METRICS)
    scores = [
        {
            f"fid[{fid}]": frechet_distance(against.moments[fid], made.moments[fid]),
            f"kid[{kid}]": kernel_distance(against.features[kid], made.features[kid]).mean,
        }
        for made in (expected, found)
    ]
    spread = float(against.moments[fid].covariance.trace())
    allowed = limit * max(scores[0][f"fid[{fid}]"], spread)
    return Verdict(images=found.n, against=words, torch=scores[0], file=scores[1], allowed=allowed)


def _network(shown: Progress) -> Extractor:
    """The default extractor, or random convolutions where its weights are not installed."""
    from fastgan.device import choose
    from fastgan.errors import MetricError
    from fastgan.metrics import open_extractor

    device = choose()
    try:
        return open_extractor(None, device)
    except MetricError as error:
        shown.note(str(error))
        shown.note("random convolutions stand in, which see gross differences alone")
        return open_extractor("random-conv", device)


def _real(data: Path | Dataset, model: Runtime, network: Extractor, shown: Progress) -> Summary:
    """The real images at the model's size, as the extractor sees them."""
    from fastgan.errors import MetricError
    from fastgan.evaluation.samples import ModelSamples
    from fastgan.evaluation.sources import called, open_real
    from fastgan.metrics import reference

    real, shared = open_real(data, ModelSamples(model, 1.0), split=None, labels=False, images=False)
    if shared is None:
        assert real is not None
        shared = reference.make_reference(real, network, METRICS, advance=shown.bar("reference", len(real)))
    shared.check(network, METRICS)
    shape = [model.resolution, model.resolution, model.img_channels]
    if shared.about["image_shape"] != shape:
        raise MetricError(
            f"{called(data)} is of images {shared.about['image_shape']}, and the model makes {shape}: give the images."
        )
    return shared.summary


def _summary(
    model: Runtime, first: int, count: int, network: Extractor, advance: Callable[[int], None]
) -> Summary:
    """The images of seeds first, ..., first + count - 1, as the extractor sees them."""
    from fastgan.metrics.summary import summarise

    return summarise(
        _batches(model, first, count), count, network, METRICS, what="generated", advance=advance
    )


def _batches(model: Runtime, first: int, count: int) -> Iterator[Tensor]:
    import torch

    from fastgan.metrics.summary import BATCH

    for start in range(first, first + count, BATCH):
        yield torch.from_numpy(model.sample(min(BATCH, first + count - start), start))
