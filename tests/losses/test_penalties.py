"""R1, R2 and WGAN-GP: values from first principles, and parameter gradients against composed float64 references.

The second derivative is where GAN kernels go silently wrong, so each discriminator runs on the public ops
(native where they are built) and is compared with a float64 copy on the plain-torch references, whose penalty
is written out here.
"""

import copy

import pytest
import torch
from torch import Tensor, nn

from fastgan import models, ops
from fastgan.losses import penalties


def discriminator(kind: str) -> nn.Module:
    if kind == "dcgan":
        module = models.load("dcgan")
        d = module.Discriminator(module.Config(resolution=16, width=8, norm="none"))
        for p in d.parameters():  # N(0, 0.02) gives gradients so small that any error would pass
            nn.init.normal_(p, 0.0, 0.2)
        return d
    module = models.load("stylegan")
    d = module.Discriminator(module.Config(resolution=16, channel_multiplier=1 / 32))
    for p in d.parameters():
        if p.dim() == 1:
            nn.init.normal_(p)
    return d


def batch(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    real, fake = torch.rand(2, 6, 3, 16, 16, device=device) * 2 - 1
    return real, fake, torch.rand(6, device=device)


def composed(d: nn.Module, name: str, real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """The penalty in float64 by the papers' formulas, without any op of ours."""
    d, real, fake, t = d.double(), real.double(), fake.double(), t.double()[:, None, None, None]
    points = {"r1": [real], "r2": [fake], "r1+r2": [real, fake], "gp": [(1 - t) * real + t * fake]}[name]
    penalty = real.new_zeros(())
    with ops.reference():
        for x in (point.detach().requires_grad_() for point in points):
            (g,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
            squared = g.pow(2).sum((1, 2, 3))
            penalty = penalty + ((squared.sqrt() - 1).pow(2) if name == "gp" else squared).mean()
        penalty.backward()
    return penalty


def ours(d: nn.Module, name: str, real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    drawn = (t,) if name == "gp" else ()
    penalty = penalties.PENALTIES[name](d, real, fake, *drawn)
    penalty.backward()
    return penalty


def flat_gradient(d: nn.Module) -> Tensor:
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().double() for p in d.parameters()]
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["r1", "r2", "r1+r2", "gp"])
@pytest.mark.parametrize("kind", ["dcgan", "stylegan"])
def test_parameter_gradients_match_float64(device, kind, name, layout):
    d = discriminator(kind).to(device)
    reference = copy.deepcopy(d)
    d = d.to(memory_format=layout)
    real, fake, t = batch(device)
    expected = composed(reference, name, real, fake, t)
    value = ours(d, name, real.to(memory_format=layout), fake.to(memory_format=layout), t)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6)
    g, g64 = flat_gradient(d), flat_gradient(reference)
    assert g64.norm() > 1e-3
    assert (g - g64).norm() < 1e-4 * g64.norm()


@pytest.mark.parametrize("name", ["r1", "r1+r2", "gp"])
@pytest.mark.parametrize("kind", ["dcgan", "stylegan"])
def test_bfloat16_autocast_keeps_the_direction(device, kind, name):
    d = discriminator(kind).to(device)
    reference = copy.deepcopy(d)
    d = d.to(memory_format=torch.channels_last)
    real, fake, t = batch(device)
    composed(reference, name, real, fake, t)
    with torch.autocast(device.type, torch.bfloat16):
        value = ours(d, name, real, fake, t)
    assert value.dtype == torch.float32
    assert torch.cosine_similarity(flat_gradient(d), flat_gradient(reference), dim=0) > 0.99


def test_values_of_a_linear_critic(device):
    """D(x) = 3 x_0 + 4 x_1 has gradient norm 5 everywhere: R1 is 25, GP is (5 - 1)^2."""
    weight = torch.tensor([3.0, 4.0, 0.0], device=device, requires_grad=True)

    def critic(x: Tensor) -> Tensor:
        return (x * weight[:, None, None]).sum((1, 2, 3))

    real, fake = torch.randn(2, 4, 3, 1, 1, device=device)
    assert penalties.r1(critic, real).item() == pytest.approx(25.0)
    assert penalties.wgan_gp(critic, real, fake, torch.rand(4, device=device)).item() == pytest.approx(16.0)


def test_penalties_leave_their_inputs_alone_and_say_how_papers_weigh_them(device):
    real, fake, t = batch(device)
    fake.requires_grad_()
    d = discriminator("dcgan").to(device)
    (penalties.r1(d, real) + penalties.wgan_gp(d, real, fake, t)).backward()
    assert fake.grad is None
    assert not real.requires_grad
    with torch.no_grad():  # to log a penalty, no graph is needed around it
        assert penalties.r1(d, real).item() > 0
    assert penalties.PENALTIES["none"] is None
    for name, share in {"gp": 1.0, "r1": 0.5, "r2": 0.5, "r1+r2": 0.5}.items():
        assert penalties.PENALTIES[name].share == share


def test_values_of_a_quadratic_critic(device):
    """D(x) = |x|^2 / 2 has gradient x: R1 is the real images' mean squared norm, R2 the fakes'."""
    real, fake = torch.randn(2, 5, 3, 4, 4, device=device, dtype=torch.float64)

    def critic(x: Tensor) -> Tensor:
        return x.square().sum((1, 2, 3)) / 2

    squares = [x.square().sum((1, 2, 3)).mean() for x in (real, fake)]
    torch.testing.assert_close(penalties.r1(critic, real), squares[0])
    torch.testing.assert_close(penalties.r2(critic, real, fake), squares[1])
    torch.testing.assert_close(penalties.r1_r2(critic, real, fake), sum(squares))


@pytest.mark.parametrize("name", ["r1", "r2", "r1+r2"])
def test_derivatives_of_a_penalty_with_respect_to_the_weights(device, name):
    real, fake = torch.randn(2, 3, 2, 2, 2, device=device, dtype=torch.float64)
    weight = torch.randn(4, 8, device=device, dtype=torch.float64, requires_grad=True)

    def penalty(weight: Tensor) -> Tensor:
        return penalties.PENALTIES[name](lambda x: (x.flatten(1) @ weight.t()).tanh().sum(1), real, fake)

    assert torch.autograd.gradcheck(penalty, weight)
    assert torch.autograd.gradgradcheck(penalty, weight)


def test_gp_draws_its_points_where_none_are_given(device):
    d = discriminator("dcgan").to(device)
    real, fake, _ = batch(device)
    torch.manual_seed(1)
    t = torch.rand(len(real), device=device)
    torch.manual_seed(1)
    assert penalties.wgan_gp(d, real, fake).equal(penalties.wgan_gp(d, real, fake, t))
