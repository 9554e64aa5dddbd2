"""Statistics of real images that were interrupted go on, to the same bits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastgan.metrics import open_extractor, reference, resumable
from fastgan.metrics.summary import BATCH, KEPT, Gathering
from tests.metrics.sets import dataset, shapes

METRICS = ("fid", "kid")


class Stopped(Exception):
    pass


def test_an_interrupted_reference_goes_on_to_the_same_bits(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "SAVED", 2 * BATCH)
    real, network = dataset(6 * BATCH + 5), open_extractor("random-conv")
    whole = reference.make_reference(real, network, METRICS)
    for path in (cache_folder / "references").iterdir():
        path.unlink()
    seen: list[int] = []

    def stopping(images: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(len(images))
        if len(seen) == 6:
            raise Stopped
        return network.network(images)

    with pytest.raises(Stopped):
        reference.make_reference(real, replace(network, network=stopping), METRICS)
    (partial,) = (cache_folder / "references").iterdir()
    assert partial.suffix == ".partial"
    done: list[int] = []
    again = reference.make_reference(real, network, METRICS, advance=done.append)
    assert done[0] == 4 * BATCH  # what was saved
    assert sum(done) == len(real.images)
    assert not partial.exists()
    for kind in ("mean", "covariance"):
        first, second = (getattr(made.summary.moments["random-conv"], kind) for made in (whole, again))
        assert torch.equal(first, second)
    assert torch.equal(whole.summary.features["random-conv"], again.summary.features["random-conv"])


def test_a_damaged_file_is_passed_over(tmp_path: Path) -> None:
    partial = tmp_path / "x.partial"
    partial.write_bytes(b"no")
    real, network = dataset(40), open_extractor("random-conv")
    assert resumable.resumable(partial, real, network, METRICS).n == 40
    assert not partial.exists()


def test_what_is_held_does_not_grow_with_the_number_of_images() -> None:
    gathering = Gathering(10 * KEPT, open_extractor("random-conv"), ("fid",), what="real")
    gathering.add(shapes(8))
    first = sum(tensor.numel() for tensor in gathering.tensors().values())
    gathering.add(shapes(64))
    assert sum(tensor.numel() for tensor in gathering.tensors().values()) == first
