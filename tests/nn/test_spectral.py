"""Spectral normalisation: singular values by SVD, gradients against float64, and all that a training run does to it."""

import copy

import pytest
import torch
from torch import Tensor, nn

from fastgan import models, ops
from fastgan.losses import penalties
from fastgan.nn import Conv2d, EqualizedConv2d, EqualizedLinear, spectral_norm
from fastgan.training import checkpoint, weights


def discriminator(kind: str, device: torch.device) -> nn.Module:
    module = models.load(kind)
    options = {"width": 8, "norm": "none"} if kind == "dcgan" else {"channel_multiplier": 1 / 32}
    return spectral_norm(module.Discriminator(module.Config(resolution=16, **options))).to(device)


def images(device: torch.device) -> Tensor:
    return torch.rand(4, 3, 16, 16, device=device) * 2 - 1


def normalised(module: nn.Module) -> dict[str, nn.Module]:
    return {name: layer for name, layer in module.named_modules() if hasattr(layer, "parametrizations")}


def flat_gradient(d: nn.Module) -> Tensor:
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().double() for p in d.parameters()]
    )


def buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.named_buffers()}


@pytest.mark.parametrize("kind", ["dcgan", "stylegan"])
def test_every_weight_has_spectral_norm_one(device, kind):
    d = discriminator(kind, device).to(memory_format=torch.channels_last)
    for p in d.parameters():
        nn.init.normal_(p)  # far from what u and v started from
    layers = normalised(d)
    convs = (nn.Conv2d, nn.Linear, EqualizedConv2d, EqualizedLinear)
    assert layers.keys() == {name for name, layer in d.named_modules() if isinstance(layer, convs)}
    for _ in range(300):  # forward passes, also of the layers that only a smaller image takes
        for layer in layers.values():
            assert layer.weight.isfinite().all()
    d.eval()
    for layer in layers.values():
        norm = torch.linalg.matrix_norm(layer.weight.double().flatten(1), 2)
        assert norm.item() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2d(3, 5, 3, padding=1, bias=False),
        lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2),
        lambda: EqualizedConv2d(3, 5),
        lambda: EqualizedLinear(6, 5, lr_multiplier=0.01),
        lambda: nn.Linear(6, 5),
        lambda: nn.Embedding(7, 5),
    ],
)
def test_the_layer_computes_with_the_normalised_weight(device, make):
    """The weight that acts, found from outputs, and the gradient through it, are those of W / norm2(W) in float64."""
    torch.manual_seed(0)
    layer = make()
    x = {2: torch.randn(9, 6), 4: torch.randn(2, 4 if getattr(layer, "groups", 1) == 2 else 3, 5, 5)}
    x = torch.arange(7) if isinstance(layer, nn.Embedding) else x[layer.weight.ndim].double()
    reference = copy.deepcopy(layer).double().to(device)
    layer, x = spectral_norm(layer.double(), iterations=200).to(device), x.to(device)
    weight = layer.parametrizations.weight.original.detach().clone().requires_grad_()
    divided = weight / torch.linalg.matrix_norm(weight.flatten(1), 2)
    if hasattr(reference, "scale"):
        reference.scale = 1.0
    expected = torch.func.functional_call(reference, {"weight": divided}, (x,))
    y = layer(x)
    torch.testing.assert_close(y, expected)
    (g,) = torch.autograd.grad(y.square().sum(), layer.parametrizations.weight.original)
    torch.testing.assert_close(g, torch.autograd.grad(expected.square().sum(), weight)[0])


@pytest.mark.parametrize("kind", ["dcgan", "stylegan"])
def test_r1_through_normalised_layers_matches_float64(device, kind):
    d = discriminator(kind, device)
    d(images(device))
    reference = copy.deepcopy(d).double()
    x = images(device)
    value = penalties.r1(d.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last))
    value.backward()
    with ops.reference():
        expected = penalties.r1(reference, x.double())
        expected.backward()
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-9)
    ours, theirs = flat_gradient(d), flat_gradient(reference)
    assert theirs.norm() > 0
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()


def test_gradient_penalty_differentiates_the_norm_twice(device):
    """In eval mode u and v stand still, and the penalty is a smooth function of the weights."""
    layer = spectral_norm(nn.Linear(3, 4).double()).to(device).eval()
    x = torch.randn(2, 3, dtype=torch.float64, device=device)

    def penalty(weight: Tensor) -> Tensor:
        named = {"parametrizations.weight.original": weight}
        return penalties.r1(lambda x: torch.func.functional_call(layer, named, (x,)).tanh().sum(1), x)

    weight = layer.parametrizations.weight.original.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(penalty, weight)
    assert torch.autograd.gradgradcheck(penalty, weight)


def test_two_forward_passes_before_one_backward(device):
    d = discriminator("dcgan", device)
    real, fake = images(device), images(device)
    (d(fake).mean() - d(real).mean() + penalties.r1(d, real)).backward()
    trained = [p for name, p in d.named_parameters() if name.endswith("original")]
    assert all(p.grad.isfinite().all() and p.grad.norm() > 0 for p in trained)


def test_bfloat16_autocast_normalises_in_float32(device):
    d = discriminator("stylegan", device).to(memory_format=torch.channels_last)
    twin = copy.deepcopy(d)
    x = images(device).to(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        logits = d(x)
        penalties.r1(d, x).backward()
    twin(x)
    penalties.r1(twin, x)
    assert logits.dtype == torch.float32
    for name, buffer in d.named_buffers():
        assert buffer.equal(twin.get_buffer(name)), name  # u and v never saw a rounded number
    assert all(p.grad.isfinite().all() for p in d.parameters() if p.grad is not None)


def test_channels_last_stays(device):
    layer = spectral_norm(EqualizedConv2d(4, 8)).to(device, memory_format=torch.channels_last)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert layer(torch.randn(2, 4, 5, 5, device=device).to(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )


def test_eval_mode_and_printing_leave_the_iteration_alone(device):
    d = discriminator("stylegan", device)
    before = buffers(d)
    assert "EqualizedConv2d" in repr(d)
    d.eval()(images(device))
    assert all(buffer.equal(before[name]) for name, buffer in d.named_buffers())
    d.train()(images(device))
    assert not all(buffer.equal(before[name]) for name, buffer in d.named_buffers())


def step(d: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    optimizer.zero_grad()
    x = images(device)
    (d(x).square().mean() + penalties.r1(d, x)).backward()
    optimizer.step()


def test_a_checkpoint_resumes_exactly(device, tmp_path):
    """u and v are part of the state: through safetensors and back, the next steps are the same bits."""
    d = discriminator("dcgan", device)
    optimizer = torch.optim.Adam(d.parameters(), lr=1e-2)
    for _ in range(3):
        step(d, optimizer, device)
    named = {f"d.{name}": p for name, p in d.named_parameters()}
    state = {"cur_nimg": 12, "config": {"model": {"name": "dcgan"}}, "data": {}, "versions": {}}
    model = {f"d.{name}": tensor for name, tensor in d.state_dict().items()}
    assert any(name.endswith("original") for name in model)
    moments = checkpoint.optimizer_tensors(optimizer, named)
    checkpoint.save(tmp_path, model=model, optimizer=moments, state=state, keep=1)

    torch.manual_seed(99)
    other = discriminator("dcgan", device)
    adam = torch.optim.Adam(other.parameters(), lr=1e-2)
    loaded = checkpoint.load(tmp_path)
    weights.restore(other, {k.removeprefix("d."): v for k, v in loaded.model.items()}, "there")
    checkpoint.restore_optimizer(
        adam, {f"d.{name}": p for name, p in other.named_parameters()}, loaded.optimizer, "there"
    )
    for each, its_adam in ((d, optimizer), (other, adam)):
        torch.manual_seed(7)
        for _ in range(2):
            step(each, its_adam, device)
    for name, tensor in d.state_dict().items():
        assert tensor.equal(other.state_dict()[name]), name


def test_a_copy_is_independent(device):
    d = discriminator("dcgan", device)
    before = buffers(d)
    twin = copy.deepcopy(d)
    twin(images(device))
    assert all(buffer.equal(before[name]) for name, buffer in d.named_buffers())
    assert not any(
        a.data_ptr() == b.data_ptr() for a, b in zip(d.parameters(), twin.parameters(), strict=True)
    )


def test_weights_that_start_at_zero_get_a_direction(device):
    """A quotient of two zeros otherwise: an R3GAN would be NaN from its first step on."""
    config = models.load("r3gan").Config(resolution=16, channel_multiplier=0.01, blocks=1, z_dim=8)
    torch.manual_seed(0)
    d = spectral_norm(models.load("r3gan").Discriminator(config)).to(device)
    d(torch.randn(2, 3, 16, 16, device=device)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in d.parameters())
    block = next(m for m in d.modules() if hasattr(m, "project"))
    assert torch.linalg.matrix_norm(block.project.weight.flatten(1), 2).item() == pytest.approx(1, rel=1e-3)
