"""StyleGAN: sizes, styles, noise, truncation, and how it behaves in training and in eval."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import models
from fastgan.nn import StyledConv, StyleEpilogue, bake

stylegan = models.load("stylegan")

SMALL = {"resolution": 16, "z_dim": 12, "w_dim": 16, "mapping_layers": 2, "channel_multiplier": 1 / 32}


def build(device: torch.device, **changes: object) -> tuple[nn.Module, nn.Module]:
    """A small generator and discriminator with noise that shows."""
    config = stylegan.Config(**{**SMALL, **changes})
    g = stylegan.Generator(config).to(device, memory_format=torch.channels_last)
    for part in g.modules():
        if isinstance(part, StyleEpilogue):
            nn.init.normal_(part.strength)
    return g, stylegan.Discriminator(config).to(device, memory_format=torch.channels_last)


def latents(device: torch.device, n: int = 4) -> Tensor:
    return torch.randn(n, SMALL["z_dim"], device=device)


def test_paper_size_at_1024():
    """26.2 million parameters, as the paper says (section 2): mapping, synthesis, and one to_rgb a resolution."""
    config = stylegan.Config(resolution=1024)
    with torch.device("meta"):
        g, d = stylegan.Generator(config), stylegan.Discriminator(config)
    mapping = 8 * (512 * 512 + 512)
    assert sum(p.numel() for p in g.mapping.parameters()) == mapping
    assert sum(p.numel() for p in g.parameters()) == 26_219_627
    assert sum(p.numel() for p in d.parameters()) == 23_087_249  # 23.1 million in Karras et al. 2018, table 2
    assert len(g.noise_shapes) == 18
    assert g.noise_shapes[0] == (1, 1, 4, 4)
    assert g.noise_shapes[-1] == (1, 1, 1024, 1024)
    sizes = [4 << k for k in range(9)]
    assert [config.channels(s) for s in sizes] == [512, 512, 512, 512, 256, 128, 64, 32, 16]


def test_channels_are_multiples_of_eight():
    config = stylegan.Config(resolution=4096, channel_multiplier=0.1)
    assert [config.channels(4 << k) for k in range(11)] == [48, 48, 48, 48, 24, 16, 8, 8, 8, 8, 8]
    with torch.device("meta"):
        stylegan.Generator(config)
        stylegan.Discriminator(config)


@pytest.mark.parametrize(("resolution", "channels"), [(8, 1), (16, 2), (32, 4), (64, 3), (128, 3), (256, 1)])
def test_forward_and_backward_at_every_size(device, resolution, channels):
    g, d = build(device, resolution=resolution, img_channels=channels)
    images = g(latents(device, 2))
    assert images.shape == (2, channels, resolution, resolution)
    logits = d(images)
    assert logits.shape == (2,)
    logits.sum().backward()
    unused = {f"to_rgb.{k}." for k in range(g.config.stages)} | {
        f"from_rgb.{k}." for k in range(g.config.stages)
    }
    for name, p in (*g.named_parameters(), *d.named_parameters()):
        if any(name.startswith(prefix) for prefix in unused):
            assert p.grad is None
        else:
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name


def test_mapping_is_the_papers(device):
    g, _ = build(device)
    for linear in g.mapping.linears:
        nn.init.normal_(linear.bias, 0, 10)
    z = latents(device)
    x = z.double()
    x = x / x.square().mean(1, keepdim=True).sqrt()
    for linear in g.mapping.linears:
        weight = linear.weight.double() * 0.01 * (2 / linear.weight.shape[1]) ** 0.5
        x = F.leaky_relu(F.linear(x, weight, linear.bias.double() * 0.01), 0.2)
    w = g.mapping(z)
    assert w.shape == (4, 6, 16)
    torch.testing.assert_close(w.double(), x[:, None].expand(-1, 6, -1), rtol=1e-4, atol=1e-4)
    with torch.autocast(device.type, torch.bfloat16):
        assert torch.equal(g.mapping(z), w)  # the mapping network stays in float32
    torch.testing.assert_close(g.mapping(10 * z), w, rtol=1e-4, atol=1e-4)


def test_truncation_pulls_towards_the_mean_image(device):
    g, _ = build(device)
    for _ in range(3):
        g(latents(device, 16))
    g.eval()
    z = latents(device)
    with torch.no_grad():
        mean_image = g.synthesis(g.w_avg.expand(4, 6, -1))
        torch.testing.assert_close(g(z, truncation_psi=0.0), mean_image)
        torch.testing.assert_close(g(z, truncation_psi=torch.tensor(0.0, device=device)), mean_image)
        torch.testing.assert_close(
            g(z, truncation_psi=torch.ones(1, device=device)), g(z), rtol=1e-4, atol=1e-4
        )
        half = g.synthesis(g.w_avg + 0.5 * (g.mapping(z) - g.w_avg))
        torch.testing.assert_close(g(z, truncation_psi=0.5), half)
        assert (half - g(z)).abs().max() > 0.01
        w = g.mapping(z)
        w = torch.cat([g.w_avg.expand(4, 2, -1), w[:, 2:]], 1)
        torch.testing.assert_close(g(z, truncation_psi=0.0, truncation_cutoff=2), g.synthesis(w))


def test_w_avg_follows_the_batches_in_training_alone(device):
    g, _ = build(device, style_mixing_prob=0.0)
    z = latents(device)
    expected = 0.005 * g.mapping(z)[:, 0].double().mean(0)
    g(z)
    torch.testing.assert_close(g.w_avg.double(), expected, rtol=1e-5, atol=1e-7)
    before = g.w_avg.clone()
    g.eval()(z)
    assert torch.equal(g.w_avg, before)
    assert not g.w_avg.requires_grad


def styles_of(g: nn.Module, z: Tensor) -> Tensor:
    """The w [N, L, w_dim] that reaches the layers."""
    seen: list[Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda m, args: seen.append(args[1]))
        for part in g.modules()
        if isinstance(part, StyleEpilogue)
    ]
    with torch.no_grad():
        g(z)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen, 1)


def test_styles_mix_in_training_alone(device):
    g, _ = build(device, style_mixing_prob=0.9)
    z = latents(device, 400)
    w = g.mapping(z)
    own = (styles_of(g, z) == w).all(2)  # [N, L]
    assert own[:, 0].all()  # the first layer keeps its own style: crossovers are at 1 or later
    assert (own[:, :-1] | ~own[:, 1:]).all()  # one swap a sample, and never back
    mixed = ~own[:, -1]
    assert 0.82 < mixed.float().mean() < 0.97
    crossovers = own.sum(1)[mixed].bincount(minlength=6)[1:]
    assert (crossovers > 30).all()  # about 72 of each
    assert (styles_of(g.eval(), z) == w).all()
    never, _ = build(device, style_mixing_prob=0.0)
    assert (styles_of(never, z) == never.mapping(z)).all()


def test_noise_is_fresh_in_training_and_constant_in_eval(device):
    g, _ = build(device, style_mixing_prob=0.0)
    z = latents(device)
    with torch.no_grad():
        assert not torch.equal(g(z), g(z))
        torch.manual_seed(5)
        first = g(z)
        torch.manual_seed(5)
        assert torch.equal(first, g(z))
        g.eval()
        assert torch.equal(g(z), g(z))
        stored = [g.get_buffer(f"noise_const_{k}") for k in range(6)]
        assert [tuple(s.shape) for s in stored] == g.noise_shapes
        assert torch.equal(g(z, noise=stored), g(z))
        own = [s.expand(4, -1, -1, -1).contiguous() for s in stored]
        torch.testing.assert_close(g(z, noise=own), g(z), rtol=1e-4, atol=1e-4)
        other = [torch.randn_like(s) for s in own]
        assert (g(z, noise=other) - g(z)).abs().max() > 0.01


def test_state_dict_carries_everything_that_eval_needs(device):
    g, _ = build(device)
    g(latents(device))
    twin, _ = build(device)
    twin.load_state_dict(g.state_dict())
    z = latents(device)
    assert torch.equal(g.eval()(z, truncation_psi=0.7), twin.eval()(z, truncation_psi=0.7))


def test_eval_images_stand_alone(device):
    g, _ = build(device)
    g.eval()
    z = latents(device, 5)
    with torch.no_grad():
        alone = torch.cat([g(row[None]) for row in z])
        torch.testing.assert_close(g(z), alone, rtol=1e-4, atol=1e-4)


def test_scores_do_not_cross_groups(device):
    """Images of one minibatch-stddev group see each other and no other group."""
    _, d = build(device)
    images = torch.randn(8, 3, 16, 16, device=device)
    torch.testing.assert_close(d(images), torch.cat([d(images[:4]), d(images[4:])]), rtol=1e-4, atol=1e-4)
    assert (d(images)[0] - d(images[:1])[0]).abs() > 1e-4


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_any_batch_size_trains(device, n):
    g, d = build(device)
    d(g(latents(device, n))).sum().backward()
    assert all(p.grad.isfinite().all() for p in d.parameters() if p.grad is not None)


def test_bake_folds_every_scale(device):
    g, d = build(device)
    g(latents(device))
    z = latents(device)
    baked = bake(g)
    assert all(getattr(m, "scale", 1.0) == 1.0 for m in baked.modules())
    torch.testing.assert_close(baked(z), g.eval()(z), rtol=1e-5, atol=1e-5)
    images = torch.randn(4, 3, 16, 16, device=device)
    torch.testing.assert_close(bake(d)(images), d(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_channels_last_flows_without_copies(device, training):
    """Under autocast each layer reads and writes bfloat16 channels_last, noise included."""
    g, d = build(device)
    g.train(training)
    seen: list[Tensor] = []
    for module in (*g.modules(), *d.modules()):
        if isinstance(module, (StyledConv, StyleEpilogue)):
            module.register_forward_hook(lambda m, i, o: seen.extend((i[0], i[2], o)))
        elif module in (*d.from_rgb, *d.blocks, d.stddev, d.conv):
            module.register_forward_hook(lambda m, i, o: seen.append(o))
    with torch.autocast(device.type, torch.bfloat16):
        images = g(latents(device))
        logits = d(images)
    assert len(seen) == 3 * (6 + 5) + 5
    for x in seen:
        assert x.dtype == torch.bfloat16
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert images.dtype == logits.dtype == torch.float32


def test_autocast_stays_near_float32(device):
    g, _ = build(device)
    g.eval()
    z = latents(device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        low = g(z)
    with torch.no_grad():
        high = g(z)
    assert (low - high).square().mean().sqrt() < 0.03 * high.std()
