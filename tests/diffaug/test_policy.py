"""Policies: what they accept, and what holds for every transform they may name."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from fastgan import diffaug, models, ops
from fastgan.errors import ConfigError
from fastgan.losses import penalties

EVERYTHING = "ada,cutout"


def images(device: torch.device, n: int = 4, channels: int = 3, size: int = 16) -> Tensor:
    return torch.rand(n, channels, size, size, device=device) * 2 - 1


def seeded(policy: diffaug.Policy, x: Tensor, p: float | Tensor = 1.0, seed: int = 5) -> Tensor:
    torch.manual_seed(seed)
    return policy(x, p)


def test_policies_by_name():
    assert diffaug.load("none").transforms == []
    diffaugment = diffaug.load("color,translation,cutout")
    assert diffaugment.transforms == ["brightness", "saturation", "contrast", "translation", "cutout"]
    assert not diffaugment.adaptive
    assert diffaug.load("ada").adaptive
    assert diffaug.load(" cutout, ada ").transforms[0] == "cutout"
    assert set(diffaug.load(EVERYTHING).transforms) == set(diffaug.names())


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("blur", "'blur' in 'blur' is unknown: choose from none, color, ada, brightness"),
        ("color,", "'' in 'color,' is unknown"),
        ("", "is unknown"),
        ("none,color", "'none' in 'none,color' is unknown"),
        ("adaptive", "'adaptive' in"),
        ("_draw", "'_draw' in"),
        ("color,brightness", "'brightness' comes twice in 'color,brightness'"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(policy, message):
    with pytest.raises(ConfigError, match=message):
        diffaug.load(policy)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", [*diffaug.names(), EVERYTHING])
def test_p_zero_is_the_identity_bit_for_bit(device, name, dtype, channels):
    x = images(device, channels=channels).to(dtype)
    for p in (0.0, torch.zeros((), device=device)):
        assert torch.equal(diffaug.load(name)(x, p), x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", [*diffaug.names(), "color,translation,cutout", EVERYTHING])
def test_dtype_and_layout_are_kept(device, name, dtype, layout):
    policy, x = diffaug.load(name), images(device)
    y = seeded(policy, x.to(dtype).to(memory_format=layout))
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert y.is_contiguous(memory_format=layout)
    expected = seeded(policy, x.to(dtype).double())
    tolerance = 0.02 if dtype == torch.bfloat16 else 1e-5  # one rounding of a value up to about 4
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=tolerance)


def test_autocast_changes_nothing(device):
    policy, x = diffaug.load(EVERYTHING), images(device)
    expected = seeded(policy, x)
    with torch.autocast(device.type, torch.bfloat16):
        assert torch.equal(seeded(policy, x), expected)


@pytest.mark.parametrize("shape", [(2, 3, 5, 9), (2, 1, 1, 1), (0, 3, 8, 8), (1, 4, 31, 4)])
def test_any_size(device, shape):
    x = torch.rand(shape, device=device)
    y = diffaug.load(EVERYTHING)(x)
    assert y.shape == x.shape
    assert y.isfinite().all()


@pytest.mark.parametrize("name", [*diffaug.names(), EVERYTHING])
def test_the_seed_decides_and_p_does_not_change_how_much_is_drawn(device, name):
    """So training resumes exactly, and the numbers drawn after augmentation do not depend on p."""
    policy, x = diffaug.load(name), images(device, n=16)
    first = seeded(policy, x, 0.7)
    after = torch.rand(3, device=device)
    assert torch.equal(seeded(policy, x, torch.tensor(0.7, device=device)), first)
    assert not torch.equal(seeded(policy, x, 0.7, seed=6), first)
    seeded(policy, x, 0.0)
    assert torch.equal(torch.rand(3, device=device), after)


@pytest.mark.parametrize("name", [*diffaug.names(), EVERYTHING])
def test_samples_are_transformed_independently(device, name):
    """One image's result depends on no other image, and equal images are transformed differently."""
    policy = diffaug.load(name)
    x = images(device, n=16)
    y = seeded(policy, x)
    other = images(device, n=16)
    other[3] = x[3]
    assert torch.equal(seeded(policy, other)[3], y[3])
    same = seeded(policy, x[:1].expand(16, -1, -1, -1))
    assert not all(torch.equal(same[0], sample) for sample in same)


SHARES = {"flip": 0.5, "luma": 0.5, "rotation": 0.75, "translation": 24 / 25}
"""Of the images that a transform was chosen for, how many does it change? All, unless it may draw the identity."""


@pytest.mark.parametrize("name", diffaug.names())
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_p_is_the_share_of_images_transformed(device, name, p):
    x = images(device, n=2000)
    changed = (diffaug.load(name)(x, torch.tensor(p, device=device)) != x).flatten(1).any(1)
    expected = p * SHARES.get(name, 1.0)
    assert changed.double().mean().item() == pytest.approx(expected, abs=0.04)


def test_transforms_are_chosen_independently_of_each_other(device):
    """With p = 1/2, a quarter of the images take both of two transforms."""
    x = torch.full((4000, 1, 8, 8), 0.5, device=device)
    y = diffaug.load("brightness,cutout")(x, 0.5)
    cut = (y == 0).flatten(1).any(1)
    brightened = (y != 0.5).logical_and(y != 0).flatten(1).any(1)
    assert (cut & brightened).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert (~cut & ~brightened).double().mean().item() == pytest.approx(0.25, abs=0.03)


def test_nothing_is_read_back_and_no_shape_depends_on_data(device):
    """Fake tensors hold no data: what a CUDA graph cannot capture raises here."""
    with FakeTensorMode():
        x = images(device).requires_grad_()
        y = diffaug.load(EVERYTHING)(x, torch.ones((), device=device))
        (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        g.square().sum().backward()
        controller = diffaug.Controller().to(device)
        controller.observe(y.mean((1, 2, 3)))
        controller.update()
    assert x.grad.shape == x.shape


def finite_difference_penalty(d, policy: diffaug.Policy, x: Tensor) -> Tensor:
    """R1 of the augmented discriminator by central differences, one pixel at a time; each logit sees its own image."""
    step, total = 1e-5, x.new_zeros(())
    for k in range(x[0].numel()):
        delta = torch.zeros_like(x).flatten(1)
        delta[:, k] = step
        delta = delta.view_as(x)
        slope = (d(seeded(policy, x + delta)) - d(seeded(policy, x - delta))) / (2 * step)
        total = total + slope.square().sum()
    return total / len(x)


def test_r1_through_augmentation_equals_finite_differences(device):
    x = images(device, n=3, size=4).double()
    policy = diffaug.load(EVERYTHING)
    net = (
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 1))
        .to(device)
        .double()
    )

    def d(x: Tensor) -> Tensor:
        return net(x).squeeze(1)

    value = penalties.r1(lambda x: d(seeded(policy, x)), x)
    expected = finite_difference_penalty(d, policy, x)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    weight = net[0].weight
    (g,) = torch.autograd.grad(value, weight)
    (g_expected,) = torch.autograd.grad(expected, weight)
    torch.testing.assert_close(g, g_expected, rtol=1e-5, atol=1e-8)


def test_r1_through_augmentation_and_our_ops_matches_float64(device):
    module = models.load("stylegan")
    d = module.Discriminator(module.Config(resolution=16, channel_multiplier=1 / 32)).to(device)
    for p in d.parameters():
        if p.dim() == 1:
            nn.init.normal_(p)
    reference, x = copy.deepcopy(d).double(), images(device)
    policy = diffaug.load("color,translation,cutout")
    penalties.r1(lambda x: d(seeded(policy, x)), x).backward()
    with ops.reference():
        penalties.r1(lambda x: reference(seeded(policy, x)), x.double()).backward()
    ours, theirs = (
        torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().double() for p in m.parameters()]
        )
        for m in (d, reference)
    )
    assert theirs.norm() > 1e-3
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


@pytest.mark.cuda
def test_a_cuda_graph_replays_with_a_new_probability(device):
    if device.type != "cuda":
        pytest.skip("needs FASTGAN_TEST_DEVICE=cuda")
    policy, x = diffaug.load(EVERYTHING), images(device)
    p = torch.ones((), device=device)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        policy(x, p)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = policy(x, p)
    graph.replay()
    first = y.clone()
    graph.replay()
    assert not torch.equal(first, y)
    p.zero_()
    graph.replay()
    assert torch.equal(y, x)
