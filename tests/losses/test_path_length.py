"""Path length regularisation: closed forms for linear generators, state, and derivatives through our own ops."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from fastgan import models, ops
from fastgan.losses.penalties import PathLength, path_length_weight


def linear(matrix: Tensor):
    """w [N, W] -> images [N, 1, 1, P] by `matrix` [P, W]."""
    return lambda w: (w @ matrix.t())[:, None, None, :]


def expected_lengths(matrix: Tensor, n: int) -> Tensor:
    """|M^T y| for the y that a seeded call draws."""
    y = torch.randn(n, 1, 1, len(matrix), dtype=matrix.dtype, device=matrix.device)
    return (y[:, 0, 0] @ matrix).norm(dim=1)


def test_a_linear_generator_by_hand(device):
    matrix = torch.randn(6, 4, dtype=torch.float64, device=device, requires_grad=True)
    regulariser = PathLength(decay=0.9).to(device).double()
    w = torch.randn(5, 4, dtype=torch.float64, device=device)
    torch.manual_seed(3)
    lengths = expected_lengths(matrix, 5)
    expected = (lengths - 2.0).square().mean()
    regulariser.mean.fill_(2.0)
    torch.manual_seed(3)
    value = regulariser(linear(matrix), w)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(regulariser.mean, 0.9 * 2.0 + 0.1 * lengths.mean().detach())
    torch.testing.assert_close(*(torch.autograd.grad(v, matrix)[0] for v in (value, expected)))
    assert not w.requires_grad


def test_equal_lengths_cost_little_and_unequal_ones_much(device):
    """Even where the map preserves lengths |J^T y| varies with y: by 1/2, the variance of a chi distribution."""
    regulariser = PathLength(decay=0.0).to(device)
    identity = linear(torch.eye(512, device=device))
    w = torch.randn(64, 512, device=device) * torch.linspace(0, 2, 64, device=device)[:, None]
    regulariser(identity, w)  # sets the target
    even = regulariser(identity, w)
    assert even.item() == pytest.approx(0.5, rel=0.6)
    assert regulariser(lambda w: identity(w * w.abs()), w) > 100 * even


def test_the_running_mean_settles_and_is_state(device):
    matrix = torch.eye(8, device=device)
    regulariser = PathLength(decay=0.9).to(device)
    w = torch.randn(256, 8, device=device)
    for _ in range(60):
        regulariser(linear(matrix), w)
    assert regulariser.mean.item() == pytest.approx(
        math.sqrt(7.5), rel=0.05
    )  # E of chi with 8 degrees of freedom
    assert set(regulariser.state_dict()) == {"mean"}
    resumed = PathLength(decay=0.9).to(device)
    resumed.load_state_dict(regulariser.state_dict())
    values = []
    for each in (regulariser, resumed):
        torch.manual_seed(5)
        values.append(each(linear(matrix), w))
    assert values[0].equal(values[1])
    assert regulariser.mean.equal(resumed.mean)


def test_a_style_a_layer_counts_by_its_root_mean_square(device):
    """The same Jacobian in each of 3 layers has the length of one layer."""
    matrix = torch.randn(6, 4, dtype=torch.float64, device=device)
    w = torch.randn(5, 3, 4, dtype=torch.float64, device=device)
    torch.manual_seed(3)
    expected = expected_lengths(matrix, 5).square().mean()
    torch.manual_seed(3)
    regulariser = PathLength(decay=1.0).to(device).double()
    torch.testing.assert_close(regulariser(lambda w: linear(matrix)(w.sum(1)), w), expected)


def test_second_derivatives(device):
    w = torch.randn(2, 3, dtype=torch.float64, device=device)
    weight = torch.randn(5, 3, dtype=torch.float64, device=device, requires_grad=True)

    # The target counts as constant though it moves with the lengths, so it is held at 0 for finite differences.
    regulariser = PathLength(decay=1.0).to(device).double()

    def penalty(weight: Tensor) -> Tensor:
        torch.manual_seed(0)
        return regulariser(lambda w: (w @ weight.t()).tanh()[:, None, None], w)

    assert torch.autograd.gradcheck(penalty, weight)
    assert torch.autograd.gradgradcheck(penalty, weight)


def stylegan(device: torch.device) -> nn.Module:
    module = models.load("stylegan")
    config = module.Config(resolution=8, channel_multiplier=1 / 64, z_dim=8, w_dim=8, mapping_layers=2)
    g = module.Generator(config).to(device)
    for name, p in g.named_parameters():
        if name.endswith(("strength", "bias")):
            nn.init.normal_(p, 0.0, 0.3)
    return g.eval()  # the noise is constant then


def test_parameter_gradients_of_a_stylegan_match_float64(device):
    g = stylegan(device)
    reference = copy.deepcopy(g).double()
    z = torch.randn(4, 8, device=device)

    def penalised(g: nn.Module, z: Tensor) -> Tensor:
        torch.manual_seed(2)  # the same float32 image of noise for both
        noise = torch.randn(4, 3, 8, 8, device=device)
        like, torch.randn_like = torch.randn_like, lambda images: noise.to(images.dtype)
        try:
            value = PathLength().to(device)(g.synthesis, g.mapping(z))
        finally:
            torch.randn_like = like
        value.backward()
        return value

    value = penalised(g, z)
    with ops.reference():
        expected = penalised(reference, z.double())
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6)
    ours, theirs = (
        torch.cat([p.grad.flatten().double() for p in m.parameters() if p.grad is not None])
        for m in (g, reference)
    )
    assert theirs.norm() > 1e-3
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()
    assert any(p.grad is not None and p.grad.norm() > 0 for p in g.mapping.parameters())


def test_bfloat16_autocast_gives_a_float32_penalty(device):
    g = stylegan(device).to(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        value = PathLength().to(device)(g.synthesis, g.mapping(torch.randn(4, 8, device=device)))
    value.backward()
    assert value.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in g.parameters() if p.grad is not None)


def test_needs_no_graph_around_it(device):
    with torch.no_grad():
        assert (
            PathLength().to(device)(linear(torch.eye(4, device=device)), torch.randn(2, 4, device=device)) > 0
        )


def test_weight_of_the_paper():
    assert path_length_weight(1024) == pytest.approx(math.log(2) / (1024**2 * math.log(512)))
