"""The feed as a pure function of (seed, cur_nimg)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgan.data import Dataset, Feed, streams
from fastgan.data.feed import epoch_order
from fastgan.data.views import angles, flips, turn, zooms
from fastgan.errors import DataError


def numbered(n: int, size: int = 8, channels: int = 3) -> Dataset:
    """Images that say which they are and which way round: a ramp from left to right, offset by their index."""
    ramp = torch.arange(size, dtype=torch.uint8) * 2
    images = (torch.arange(n, dtype=torch.uint8)[:, None] + ramp)[:, None, :, None].expand(
        n, size, size, channels
    )
    return Dataset(images=images.contiguous(), labels=torch.arange(n), class_names=("",) * n, content_hash="")


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 30),
    seed=st.integers(0, 2**63),
    start=st.integers(0, 200),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    resident=st.booleans(),
    shown=st.sampled_from([{}, {"flip_vertical": True}, {"rotate": 30.0}, {"rotate": 5.0, "scale": 0.2}]),
)
def test_positions_alone_decide_whatever_the_batches_and_the_history(n, seed, start, sizes, resident, shown):
    dataset = numbered(n)
    with Feed(dataset, device="cpu", seed=seed, mirror=True, **shown, resident=True) as once:
        images, labels, _ = once.batch(start, sum(sizes))
    with Feed(dataset, device="cpu", seed=seed, mirror=True, **shown, resident=resident) as feed:
        feed.batch(7, 3)  # an unrelated request before
        position, parts = start, []
        for size in sizes:
            parts.append(feed.batch(position, size))
            position += size
        again = feed.batch(start, sizes[0])
    assert torch.equal(torch.cat([part[0] for part in parts]), images)
    assert torch.equal(torch.cat([part[1] for part in parts]), labels)
    assert torch.equal(again[0], images[: sizes[0]])


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 50), seed=st.integers(0, 1000), epoch=st.integers(0, 50))
def test_every_image_once_an_epoch(n, seed, epoch):
    batch = Feed(numbered(n), device="cpu", seed=seed).batch(epoch * n, n)
    assert sorted(batch.labels.tolist()) == list(range(n))


def test_values_layout_and_labels(device):
    dataset = numbered(5, channels=3)
    images, labels, _ = Feed(dataset, device=device, seed=1).batch(3, 4)
    assert images.shape == (4, 3, 8, 8)
    assert images.dtype == torch.float32
    assert images.device.type == labels.device.type == device.type
    assert images.is_contiguous(memory_format=torch.channels_last)
    expected = dataset.images[labels.cpu()].double().permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(images.cpu().double(), expected, atol=1e-7, rtol=0)


def test_black_and_white_are_exactly_minus_one_and_one(device):
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 8, 8, 1).contiguous()
    batch = Feed(Dataset(images=images, content_hash=""), device=device).batch(0, 2)
    assert sorted(batch.images[:, 0, 0, 0].tolist()) == [-1.0, 1.0]
    assert batch.labels is batch.attributes is None


def test_mirroring_flips_half_of_them_left_right_and_nothing_else():
    dataset = numbered(40)
    plain = Feed(dataset, device="cpu", seed=5).batch(0, 400).images
    mirrored = Feed(dataset, device="cpu", seed=5, mirror=True).batch(0, 400).images
    flipped = torch.tensor([not torch.equal(a, b) for a, b in zip(plain, mirrored, strict=True)])
    assert torch.equal(mirrored[flipped], plain[flipped].flip(3))
    np.testing.assert_array_equal(flipped.numpy(), flips(5, 0, 400))
    assert 160 < flipped.sum() < 240  # 4 standard deviations


def test_images_are_shown_to_the_bit_as_they_are_unless_something_is_asked_for():
    dataset = numbered(20)
    images, labels, _ = Feed(dataset, device="cpu", seed=5, rotate=0.0, scale=0.0).batch(3, 90)
    plain = dataset.images[labels].permute(0, 3, 1, 2).float().div(127.5).sub(1.0)
    assert torch.equal(images, plain)
    mirrored = Feed(dataset, device="cpu", seed=5, mirror=True, flip_vertical=False).batch(3, 90).images
    which = torch.from_numpy(flips(5, 3, 90))[:, None, None, None]
    assert torch.equal(mirrored, torch.where(which, plain.flip(3), plain))


def test_each_image_is_turned_and_zoomed_as_its_position_says(device):
    pixels = torch.randint(
        0, 256, (9, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    dataset = Dataset(images=pixels, labels=torch.arange(9), class_names=("",) * 9, content_hash="")
    feed = Feed(dataset, device=device, seed=5, rotate=180, scale=0.5)
    images, labels, _ = feed.batch(7, 30)
    assert images.dtype == torch.float32
    assert images.device.type == device.type
    assert images.is_contiguous(memory_format=torch.channels_last)
    expected = turn(pixels[labels.cpu()], angles(5, 7, 30, 180), zooms(5, 7, 30, 0.5)).permute(0, 3, 1, 2)
    torch.testing.assert_close(images.cpu() * 127.5 + 127.5, expected, atol=0.02, rtol=0)
    rows = torch.arange(9)
    assert torch.equal(feed.look(rows).images, Feed(dataset, device=device).look(rows).images)  # as they are


def test_flips_of_both_kinds_are_independent():
    dataset = Dataset(images=torch.arange(2 * 64, dtype=torch.uint8).view(2, 8, 8, 1), content_hash="")
    images = Feed(dataset, device="cpu", seed=5, mirror=True, flip_vertical=True).batch(0, 400).images
    left_right = images[:, 0, 0, 0] > images[:, 0, 0, 7]
    top_bottom = images[:, 0, 0, 0] > images[:, 0, 7, 0]
    counts = (2 * left_right + top_bottom).bincount(minlength=4)
    assert counts.min() > 65  # 100 expected, standard deviation 9
    assert counts.max() < 135


def described(n: int) -> Dataset:
    """Numbered images whose label is their number modulo 3, with attributes (number, unknown where it is odd)."""
    numbers = torch.arange(n)
    attributes = torch.stack([numbers.float(), torch.where(numbers % 2 == 1, torch.nan, 1.0)], 1)
    plain = numbered(n)
    return Dataset(
        images=plain.images,
        labels=numbers % 3,
        class_names=("a", "b", "c"),
        attributes=attributes,
        attribute_names=("number", "even"),
        content_hash="",
    )


@pytest.mark.parametrize("resident", [True, False])
def test_labels_and_attributes_belong_to_their_images(device, resident):
    with Feed(described(20), device=device, seed=3, resident=resident) as feed:
        for start in (0, 7, 33):
            batch = feed.batch(start, 10)
            assert batch.labels.device.type == batch.attributes.device.type == device.type
            number = batch.attributes[:, 0]
            assert torch.equal(batch.labels, number.long() % 3)
            assert torch.equal(batch.attributes[:, 1].isnan(), number % 2 == 1)
            assert torch.equal((batch.images[:, 0, 0, 0] * 127.5 + 127.5).round(), number)


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 1000), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_conditions_are_rows_of_the_set_given_by_position_alone(start, sizes):
    feed = Feed(described(12), device="cpu", seed=1)
    labels, attributes = feed.conditions(start, sum(sizes))
    assert torch.equal(labels, attributes[:, 0].long() % 3)
    parts, position = [], start
    for size in sizes:
        parts.append(feed.conditions(position, size))
        position += size
        feed.batch(position, 3)
    assert torch.equal(torch.cat([part.labels for part in parts]), labels)
    joined = torch.cat([part.attributes for part in parts])
    torch.testing.assert_close(joined, attributes, equal_nan=True, atol=0, rtol=0)


def test_conditions_follow_the_data_and_not_the_batch():
    feed = Feed(described(10), device="cpu", seed=2)
    number = feed.conditions(0, 4000).attributes[:, 0]
    counts = number.long().bincount(minlength=10)
    assert counts.min() > 310  # 400 expected, standard deviation 19
    shown = feed.batch(0, 4000).attributes[:, 0]
    assert 300 < (number == shown).sum() < 500
    assert Feed(numbered(3), device="cpu").conditions(0, 2).attributes is None


def test_seeds_and_epochs_give_unrelated_orders():
    orders = [epoch_order(seed, epoch, 1000) for seed in (0, 1, 2**64 - 1) for epoch in (0, 1)]
    for index, order in enumerate(orders):
        assert (np.sort(order) == np.arange(1000)).all()
        assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.15
        assert all((order == other).mean() < 0.02 for other in orders[:index])


def test_orders_never_change_between_versions():
    # Runs are resumed years later: these values are part of the format.
    assert epoch_order(0, 0, 10).tolist() == [8, 7, 4, 2, 6, 5, 9, 0, 1, 3]
    assert epoch_order(7, 3, 10).tolist() == [6, 4, 8, 9, 0, 2, 5, 3, 1, 7]
    assert Feed(described(10), device="cpu").conditions(3, 8).attributes[:, 0].tolist() == [
        9,
        1,
        3,
        5,
        2,
        4,
        7,
        2,
    ]
    assert flips(0, 0, 12).astype(int).tolist() == [1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert flips(0, 0, 12, streams.FLIP_VERTICAL).astype(int).tolist() == [1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0]
    np.testing.assert_allclose(
        angles(0, 5, 3, 10.0), [-2.46416193875, -4.58783445974, -4.80736803554], rtol=1e-9
    )
    np.testing.assert_allclose(zooms(0, 5, 3, 0.1), [0.93537216157, 0.97383931910, 1.09813003909], rtol=1e-9)


def test_a_prefetching_feed_can_be_closed_twice_and_still_answers():
    feed = Feed(numbered(5), device="cpu", resident=False)
    first = feed.batch(0, 3).images
    feed.close()
    feed.close()
    assert torch.equal(feed.batch(0, 3).images, first)


def test_sets_that_cannot_be_trained_on():
    one = Dataset(images=torch.zeros(1, 8, 8, 3, dtype=torch.uint8), content_hash="")
    with pytest.raises(DataError, match="one image, and training needs at least 2"):
        Feed(one, device="cpu")
    for size, advice in ((48, 32), (4, 8), (100, 128)):
        odd = Dataset(images=torch.zeros(2, size, size, 3, dtype=torch.uint8), content_hash="")
        with pytest.raises(DataError, match=f"power of two.*--size {advice}"):
            Feed(odd, device="cpu")


def test_negative_positions_are_a_bug():
    with pytest.raises(ValueError, match="must not be negative"):
        Feed(numbered(3), device="cpu").batch(-1, 2)
