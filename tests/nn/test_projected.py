"""The projected discriminator: what it is made of, gradients of both orders, and the pretrained network beneath."""

import pytest
import torch
import torch.nn.functional as F

from fastgan.nn import ProjectedDiscriminator, projected
from fastgan.training.pretrained import RandomFeatures


def build(device, img_channels=3, size=32, **conditions):
    torch.manual_seed(0)
    network = RandomFeatures(device)
    return ProjectedDiscriminator(network, img_channels=img_channels, size=size, width=4, **conditions).to(
        device
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("resolution", "size"), [(8, 32), (64, 32), (64, 128)])
def test_sixteen_patches_at_each_of_four_scales(device, channels, resolution, size):
    d = build(device, channels, size)
    images = torch.rand(2, channels, resolution, resolution, device=device) * 2 - 1
    phi = d.features(images)
    assert phi.shape == (2, 4, 16, 16)
    logits = d.judge(phi, None)
    assert logits.shape == (2, 64)
    assert logits.dtype == torch.float32


def test_the_network_is_no_part_of_what_is_trained_or_saved(device):
    d = build(device)
    mixing = [p for p in d.parameters() if not p.requires_grad]
    assert {id(p) for p in mixing} == {id(p) for p in (*d.ccm, *d.csm)}
    assert all(name.startswith(("ccm.", "csm.", "heads.")) for name in d.state_dict())
    again = build(device)
    assert all(torch.equal(a, b) for a, b in zip(mixing, [*again.ccm, *again.csm], strict=True))


def test_every_image_is_judged_alone(device):
    d = build(device).eval()
    images = torch.rand(4, 3, 16, 16, device=device) * 2 - 1
    torch.testing.assert_close(d(images)[1:2], d(images[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("conditioning", ["projection", "auxiliary"])
def test_gradients_of_both_orders_reach_images_and_heads(device, conditioning):
    d = build(device, 4, classes=3, attributes=2, conditioning=conditioning).double().eval()
    images = torch.rand(2, 4, 8, 8, device=device, dtype=torch.double) * 2 - 1
    c = torch.rand(2, 7, device=device, dtype=torch.double)

    def verdict(x):
        phi = d.features(x)
        guess = d.guess(phi) if conditioning == "auxiliary" else phi
        return d.judge(phi, c).mean(1) + guess.flatten(1).square().mean(1)

    def penalty(weight):
        x = images.requires_grad_()
        (gradient,) = torch.autograd.grad(verdict(x).sum(), x, create_graph=True)
        return gradient.square().sum() + 0 * weight.sum()

    assert torch.autograd.gradcheck(verdict, (images.requires_grad_(),), fast_mode=True)
    assert torch.autograd.gradgradcheck(verdict, (images,), fast_mode=True)
    bias = d.heads[0].biases[0]
    assert torch.autograd.gradcheck(penalty, (bias,), fast_mode=True)


def test_alpha_is_seen(device):
    """The same colours under another alpha are another image; colours where alpha is zero are none."""
    d = build(device, 4).eval()
    images = torch.rand(1, 4, 16, 16, device=device) * 2 - 1
    other, hidden = images.clone(), images.clone()
    other[:, 3] = -other[:, 3]
    assert not torch.allclose(d(images), d(other))
    images[:, 3] = hidden[:, 3] = -1
    hidden[:, :3] = -hidden[:, :3]
    torch.testing.assert_close(d(images), d(hidden))


@pytest.mark.parametrize(("before", "after"), [(8, 32), (64, 32), (48, 32), (32, 32)])
def test_resizing_is_torchs_own(before, after):
    images = torch.randn(2, 3, before, before, dtype=torch.double)
    ours = projected.resize(images, after)
    theirs = F.interpolate(images, (after, after), mode="bilinear", antialias=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_input_sizes():
    sizes = {r: projected.input_size(r, 32) for r in (8, 32, 64, 128, 256, 1024)}
    assert sizes == {8: 64, 32: 64, 64: 64, 128: 128, 256: 256, 1024: 256}
