"""Every model with classes, with attributes and with both."""

import pytest
import torch

from fastgan import models
from fastgan.errors import ConfigError
from fastgan.nn import encode, spectral_norm
from tests.tiny import OPTIONS

KINDS = {"labels": (3, 0), "attributes": (0, 2), "both": (3, 2)}


def build(name, kind, conditioning="projection", resolution=8):
    classes, attributes = KINDS[kind]
    module = models.load(name)
    options = OPTIONS[name] | ({"norm": "none"} if name in ("dcgan", "sle") else {})
    config = module.Config(
        resolution=resolution, classes=classes, attributes=attributes, conditioning=conditioning, **options
    )
    torch.manual_seed(0)
    return module.Generator(config), module.Discriminator(config)


def conditions(kind, n=4):
    generator = torch.Generator().manual_seed(1)
    classes, attributes = KINDS[kind]
    labels = torch.randint(0, classes, (n,), generator=generator) if classes else None
    values = torch.randint(0, 2, (n, attributes), generator=generator).float() if attributes else None
    if values is not None:
        values[0, 0] = float("nan")
    return encode(labels, values, classes)


@pytest.mark.parametrize("conditioning", ["projection", "auxiliary"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", models.names())
def test_gradient_reaches_every_weight_that_reads_a_condition(name, kind, conditioning):
    g, d = build(name, kind, conditioning)
    for parameter in [*g.parameters()]:
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.1)  # R3GAN's branches start at zero, noise at no strength
    c = conditions(kind)
    assert g.condition_dim == d.condition_dim == c.shape[1]
    images = g(torch.randn(4, g.z_dim), c)
    phi = d.features(images)
    score = d.judge(phi, c).sum() + (d.guess(phi).square().sum() if conditioning == "auxiliary" else 0)
    score.backward()
    embedding = next(p for key, p in g.named_parameters() if "condition.embed" in key)
    assert embedding.grad.abs().sum() > 0
    head = d.projection if conditioning == "projection" else d.auxiliary
    assert head.weight.grad.abs().sum() > 0
    assert torch.equal(d(images, c), d.judge(d.features(images), c))


@pytest.mark.parametrize("name", models.names())
def test_images_and_logits_depend_on_the_condition(name):
    g, d = build(name, "both")
    g.eval()
    z, c = torch.randn(1, g.z_dim).expand(2, -1), torch.eye(2, g.condition_dim)
    images = g(z, c)
    assert not torch.equal(images[0], images[1])
    one, other = d(images[:1].expand(2, -1, -1, -1), c)
    assert one != other


@pytest.mark.parametrize("name", models.names())
def test_a_conditional_network_needs_its_condition_and_others_take_none(name):
    g, d = build(name, "labels")
    z, images = torch.randn(2, g.z_dim), torch.randn(2, 3, 8, 8)
    for call in (lambda c: g(z, c), lambda c: d(images, c)):
        with pytest.raises(ValueError, match=r"it needs c \[N, 3\]"):
            call(None)
        with pytest.raises(ValueError, match=r"it must be \[N, 3\]"):
            call(torch.zeros(2, 4))
    module = models.load(name)
    plain = module.Generator(module.Config(resolution=8, **OPTIONS[name]))
    assert plain.condition_dim == 0
    with pytest.raises(ValueError, match="unconditional"):
        plain(z, torch.zeros(2, 3))


@pytest.mark.parametrize("name", models.names())
def test_conditions_change_no_first_value_of_the_discriminator_and_no_name_of_either(name):
    module = models.load(name)
    torch.manual_seed(0)
    module.Generator(module.Config(resolution=8, **OPTIONS[name]))
    before = torch.get_rng_state()
    plain = module.Discriminator(module.Config(resolution=8, **OPTIONS[name])).state_dict()
    torch.set_rng_state(before)
    config = module.Config(resolution=8, classes=3, **OPTIONS[name])
    conditional = module.Discriminator(config).state_dict()
    assert set(conditional) - set(plain) == {"projection.weight"}
    if name != "dcgan":  # which initialises all layers at the end, in their order
        assert all(torch.equal(conditional[key], plain[key]) for key in plain)
    g = set(module.Generator(config).state_dict())
    names = set(module.Generator(module.Config(resolution=8, **OPTIONS[name])).state_dict())
    assert len(g - names) == 1
    assert names < g


@pytest.mark.parametrize("name", models.names())
def test_spectral_norm_covers_the_projection(name):
    _, d = build(name, "both")
    for parameter in d.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)  # R3GAN's branches start at zero, which has no direction
    spectral_norm(d)
    for _ in range(20):  # each pass is an iteration, and some singular values lie close together
        d(torch.zeros(1, 3, 8, 8), conditions("both", 1))
    d(torch.randn(2, 3, 8, 8), conditions("both", 2)).sum().backward()
    weight = d.projection.weight
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, rel=0.05)
    assert d.projection.parametrizations.weight.original.grad.abs().sum() > 0


def test_styles_mix_two_latents_of_one_condition():
    g, _ = build("stylegan", "labels", resolution=16)
    seen = []
    g.mapping.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    c = conditions("labels")
    g.train()(torch.randn(4, g.z_dim), c)
    (z, both) = seen[0]
    assert z.shape[0] == 8
    assert torch.equal(both, torch.cat([c, c]))
    assert g.w_avg.any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": -1}, "classes = -1 must be a whole number"),
        ({"attributes": 1.5}, "attributes = 1.5 must be a whole number"),
        ({"conditioning": "concat"}, "'concat' is unknown: choose one of projection, auxiliary"),
    ],
)
@pytest.mark.parametrize("name", models.names())
def test_nonsense_is_refused(name, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        models.load(name).Config(**options)
