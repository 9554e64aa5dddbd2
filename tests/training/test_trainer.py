"""The adversarial step: exact resumption, lazy penalties, what is trained and what is not."""

import math

import pytest
import torch

from fastgan import models
from fastgan.errors import CheckpointError, ConfigError
from fastgan.training import assemble, checkpoint
from tests.training.conftest import CASES, small


def run(trainer, iterations):
    for _ in range(iterations):
        trainer.step()


def through_disk(trainer, folder, precision="fp32", keep=2):
    model, optimizer = trainer.state_dict()
    state = {"cur_nimg": trainer.cur_nimg, "config": {"model": models.table(trainer.config.model)}}
    checkpoint.save(folder, model=model, optimizer=optimizer, state=state, keep=keep)
    return checkpoint.load(folder)


def assert_same_bits(one, other):
    for ours, theirs in zip(one.state_dict(), other.state_dict(), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_saving_and_loading_changes_no_bit(make, name, precision, tmp_path, device):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    shown = {"mirror": True, "flip_vertical": True, "rotate": 10, "scale": 0.1}
    unbroken = make(name, precision, data=shown)
    run(unbroken, 7)

    first = make(name, precision, data=shown)
    run(first, 4)
    loaded = through_disk(first, tmp_path)
    torch.manual_seed(999)
    torch.rand(17)  # whatever else happens to the generators
    second = make(name, precision, data=shown)
    second.load_state_dict(loaded)
    assert second.cur_nimg == first.cur_nimg
    assert_same_bits(second, first)
    run(second, 3)
    assert second.cur_nimg == unbroken.cur_nimg
    assert_same_bits(second, unbroken)


def test_the_seed_decides_everything(make, device):
    one, same, other = make("dcgan"), make("dcgan"), make("dcgan", train={"seed": 1})
    for trainer in (one, same, other):
        run(trainer, 2)
    if device.type == "cpu":
        assert_same_bits(one, same)
    assert not torch.equal(
        one.state_dict()[0]["g.project.conv.weight"], other.state_dict()[0]["g.project.conv.weight"]
    )


@pytest.mark.parametrize("name", CASES)
def test_both_networks_learn_and_the_average_follows(make, name):
    trainer = make(name)
    before = {key: value.clone() for key, value in trainer.state_dict()[0].items()}
    run(trainer, 3)
    after = trainer.state_dict()[0]
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    for prefix in ("g.", "d.", "g_ema."):
        assert any(key.startswith(prefix) for key in changed)
    losses = trainer.take_losses()
    assert {"loss_d", "loss_g", "real", "fake"} <= losses.keys()
    assert all(math.isfinite(value) for value in losses.values())
    assert trainer.take_losses() == {}


def test_layers_that_get_no_gradient_stay_out_of_the_optimiser(make, tmp_path):
    trainer = make("stylegan")  # one to_rgb a resolution: only the last is used at full resolution
    run(trainer, 1)
    optimizer = trainer.state_dict()[1]
    assert not any(key.startswith("g.to_rgb.0.") for key in optimizer)
    assert any(key.startswith("g.to_rgb.2.") for key in optimizer)
    fresh = make("stylegan")
    fresh.load_state_dict(through_disk(trainer, tmp_path))
    run(fresh, 1)
    assert fresh.state_dict()[1].keys() == optimizer.keys()


def test_the_discriminator_gets_no_gradient_in_the_generators_step(make):
    trainer = make("dcgan")
    trainer.step_g(4)
    assert all(p.grad is None for p in trainer.discriminator.parameters())
    assert all(p.requires_grad for p in trainer.discriminator.parameters())
    trainer.step_d(trainer.feed.batch(0, 4)[0], penalise=False)
    assert all(p.grad is not None for p in trainer.discriminator.parameters())


@pytest.mark.parametrize(("interval", "expected"), [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6])])
def test_penalties_come_every_interval_and_survive_resumption(make, interval, expected, monkeypatch):
    # A replayed graph calls no Python, so what is counted here are plain steps.
    trainer = make("stylegan", loss={"penalty_interval": interval}, train={"cuda_graphs": "off"})
    penalised = []
    inner = trainer.objective.penalty
    monkeypatch.setattr(
        trainer.objective,
        "penalty",
        lambda *a: (penalised.append(trainer.cur_nimg // trainer.iteration_nimg), inner(*a))[1],
    )
    for cur in range(7):
        trainer.cur_nimg = cur * trainer.iteration_nimg  # as after a resumption at any moment
        trainer.step()
    assert penalised == expected


def test_a_lazy_penalty_is_an_optimiser_step_of_its_own_with_rescaled_adam(make):
    trainer = make("stylegan", loss={"penalty_interval": 3})
    run(trainer, 4)
    optimizer = trainer.state_dict()[1]
    assert optimizer["d.logit.weight.step"].item() == 4 + 2
    assert optimizer["g.const.step"].item() == 4
    group = trainer.d_optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(2e-3 * 3 / 4)
    assert group["betas"] == pytest.approx((0.0, 0.99**0.75))
    assert trainer.g_optimizer.param_groups[0]["lr"] == 2e-3


def test_an_eager_penalty_shares_the_step_and_leaves_adam_alone(make):
    trainer = make("wgan-gp")
    run(trainer, 2)
    assert trainer.state_dict()[1]["d.logit.weight.step"].item() == 4  # d_steps is 2
    assert trainer.d_optimizer.param_groups[0]["lr"] == 1e-4
    assert trainer.cur_nimg == 2 * 2 * 4


def test_the_penalised_step_has_the_gradient_of_the_papers_objective(make):
    """wgan-gp: one Adam-free comparison, the gradient of E[D(fake)] - E[D(real)] + lambda GP written out in float64."""
    trainer = make("wgan-gp")
    real = trainer.feed.batch(0, 4).images
    captured = {}
    trainer.d_optimizer.step = lambda: captured.update(
        {name: p.grad.double().cpu().clone() for name, p in trainer.d_named.items()}
    )
    torch.manual_seed(5)
    trainer.step_d(real, penalise=True)

    torch.manual_seed(5)
    with torch.no_grad():
        fake = trainer.generator(torch.randn(4, 8, device=real.device))
    t = torch.rand(4, device=real.device).double().cpu().view(4, 1, 1, 1)
    critic = trainer.discriminator.double().cpu()
    real, fake = real.double().cpu(), fake.double().cpu()
    x = ((1 - t) * real + t * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    penalty = ((gradient.square().sum((1, 2, 3)).sqrt() - 1) ** 2).mean()
    critic.zero_grad()
    (critic(fake).mean() - critic(real).mean() + 10 * penalty).backward()
    for name, p in critic.named_parameters():
        torch.testing.assert_close(captured[f"d.{name}"], p.grad, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "points"), [("r1", ["real"]), ("r2", ["fake"]), ("r1+r2", ["real", "fake"])]
)
def test_gradient_norms_count_by_half_of_gamma(make, name, points):
    """On D(x) = sum of x^2 the squared gradient norm is 4 |x|^2, so R1 at gamma 3 is 3 / 2 * 4 |x|^2."""
    penalty = make("stylegan", loss={"penalty": name, "penalty_weight": 3.0}).objective.penalty
    images = {"real": torch.full((2, 3, 8, 8), 0.5), "fake": torch.full((2, 3, 8, 8), 2.0)}
    value = penalty(lambda x: x.square().sum((1, 2, 3)), **images)
    expected = sum(1.5 * 4 * images[point][0].square().sum() for point in points)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("name", ["none", "gp", "r1", "r2", "r1+r2"])
def test_every_penalty_trains(make, name):
    trainer = make("stylegan", loss={"penalty": name, "penalty_interval": 1})
    run(trainer, 1)
    losses = trainer.take_losses()
    assert ("penalty" in losses) == (name != "none")
    assert all(math.isfinite(value) for value in losses.values())


def test_a_relativistic_generator_is_set_against_the_images_that_the_discriminator_saw(make):
    trainer = make("rpgan", train={"d_steps": 2, "cuda_graphs": "off"})
    seen, step_d, step_g = [], trainer.step_d, trainer.step_g
    trainer.step_d = lambda real, *rest: (seen.append(real), step_d(real, *rest))[1]
    trainer.step_g = lambda n, real, *rest: (seen.append(real), step_g(n, real, *rest))[1]
    run(trainer, 1)
    assert torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert all(p.requires_grad for p in trainer.discriminator.parameters())


def test_a_relativistic_generator_has_the_gradient_of_the_papers_objective(make):
    """The gradient of E[softplus(D(real) - D(G(z)))] written out, on the networks as they are."""
    trainer = make("rpgan")
    real, captured = trainer.feed.batch(0, 4).images, {}
    trainer.g_optimizer.step = lambda: captured.update(
        {name: p.grad.clone() for name, p in trainer.g_named.items()}
    )
    torch.manual_seed(5)
    loss = trainer.step_g(4, real)["loss_g"]
    assert all(p.grad is None for p in trainer.discriminator.parameters())

    torch.manual_seed(5)
    fake = trainer.generator(torch.randn(4, 8, device=real.device))
    difference = trainer.discriminator(real) - trainer.discriminator(fake)
    expected = (1 + difference.exp()).log().mean()
    torch.testing.assert_close(loss, expected.detach())
    gradients = torch.autograd.grad(expected, list(trainer.g_named.values()))
    for ours, theirs in zip(captured.values(), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=1e-6)


def test_clipped_weights_stay_within_their_bounds_after_every_update(make):
    trainer = make("wgan")
    run(trainer, 2)
    largest = max(p.abs().max().item() for p in trainer.d_named.values())
    assert largest == pytest.approx(0.01)
    assert max(p.abs().max().item() for p in trainer.g_named.values()) > 0.01
    lazy = make("wgan-gp", loss={"clip": 0.02, "penalty_interval": 2})
    run(lazy, 1)  # ends with the penalty's own update
    assert max(p.abs().max().item() for p in lazy.d_named.values()) == pytest.approx(0.02)


def test_path_length_is_lazy_and_a_step_of_its_own(make):
    trainer = make("path length")
    run(trainer, 1)
    assert trainer.state_dict()[0]["path_length.mean"] > 0
    run(trainer, 3)
    assert trainer.state_dict()[1]["g.const.step"].item() == 4 + 2
    assert trainer.g_optimizer.param_groups[0]["lr"] == pytest.approx(2e-3 * 2 / 3)
    assert "path_length" in trainer.take_losses()


def test_path_length_at_every_step_shares_it_and_counts_in_units_of_the_papers_weight(make):
    values = []
    for weight in (1.0, 3.0):
        trainer = make("path length", loss={"path_length": weight, "path_length_interval": 1})
        run(trainer, 1)
        values.append(trainer.take_losses()["path_length"])
        assert trainer.state_dict()[1]["g.const.step"].item() == 1
    assert values[1] == pytest.approx(3 * values[0])
    paper = math.log(2) / (16**2 * math.log(16 / 2))
    torch.manual_seed(3)
    trainer.objective.path_length.mean.zero_()
    plain = trainer.objective.path_length(
        trainer.generator.synthesis, trainer.generator.mapping(trainer.objective._latents(4))
    )
    torch.manual_seed(3)
    trainer.objective.path_length.mean.zero_()
    torch.testing.assert_close(trainer.objective.smooth(4)[0], 3 * paper * plain)


def test_a_checkpoint_of_another_architecture_is_refused(make, tmp_path):
    loaded = through_disk(make("dcgan"), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"another architecture: .* there and .* here, and \d+ more differ"
    ):
        make("dcgan", model={"width": 8}).load_state_dict(loaded)
    with pytest.raises(CheckpointError, match=r"another architecture: .* is absent there"):
        make("stylegan").load_state_dict(loaded)


def test_gradient_penalties_refuse_batch_norm(make):
    with pytest.raises(
        ConfigError, match=r"needs a discriminator without batch norm.*--set model\.norm=none"
    ):
        make("dcgan", loss={"penalty": "r1"})


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"loss": {"name": "hunge"}}, "'hunge' is unknown: choose one of .*wasserstein"),
        ({"loss": {"penalty": "r9"}}, "'r9' is unknown: choose one of none, gp, r1"),
        (
            {"loss": {"clip": 0.01}},
            "clip belongs to the loss wasserstein, not to nonsaturating: leave it out",
        ),
        ({"loss": {"name": "wasserstein", "clip": 0}}, r"clip = 0.* must be above 0 and finite"),
        (
            {"loss": {"path_length": 1.0}},
            "path_length needs a model .* latent w, .* and dcgan does not: set it",
        ),
        ({"model": {"name": "biggan"}}, "'biggan' is unknown: choose one of .*stylegan"),
        ({"model": {"widht": 3}}, r"unknown setting model\.widht \(did you mean model\.width\)"),
        ({"model": {"resolution": 48}}, "resolution = 48 must be a power of two"),
    ],
)
def test_names_and_settings_are_checked_before_anything_is_built(tables, sentence):
    with pytest.raises(ConfigError, match=sentence):
        assemble.resolve(small("dcgan", **tables))


def test_a_nan_is_seen(make):
    trainer = make("dcgan")
    assert trainer.finite()
    next(iter(trainer.d_named.values())).data.view(-1)[0] = float("nan")
    assert not trainer.finite()


def test_schedules_reach_the_steps_as_tensors_at_one_address(make):
    trainer = make("scheduled", loss={"penalty_interval": 1})
    group = trainer.d_optimizer.param_groups[0]
    rate, strength, rates = group["lr"], trainer.objective.strength, []
    for _ in range(9):
        trainer.step()
        rates.append(group["lr"].item())
        assert group["lr"] is rate
    expected = [2e-3 * min(n / 8, 1) * max(1 - n / 30, 0) for n in range(0, 36, 4)]
    assert rates == pytest.approx(expected)
    assert trainer.objective.strength is strength
    assert strength.item() == pytest.approx(0.1)
    assert trainer.scheduled()["lr_d"] == 0  # warm-up and decay are over
    assert trainer.scheduled()["penalty_weight"] == pytest.approx(1.0)
    assert make("dcgan").scheduled() == {}
    penalty = trainer.objective.penalise(real := trainer.feed.batch(0, 4).images, real)[0]
    whole = trainer.objective.penalty(lambda x: trainer.objective._logits(x, None), real, real)
    torch.testing.assert_close(penalty, 0.1 * whole)


def test_several_averages_follow_at_their_own_pace(make, tmp_path):
    several = make("scheduled")
    single = make("scheduled", train={"ema_kimg": 0.5})
    run(several, 6)
    run(single, 6)
    assert list(several.averages) == ["g_ema", "g_ema_500", "g_ema_0"]
    tensors = several.state_dict()[0]
    for name, tensor in single.average.state_dict().items():
        assert torch.equal(tensors[f"g_ema_500.{name}"], tensor)
        assert torch.equal(tensors[f"g_ema_0.{name}"], tensors[f"g.{name}"])
    later = make("scheduled", train={"ema_kimg": [10.0, 3.0]})
    later.load_state_dict(through_disk(several, tmp_path))
    tensors = later.state_dict()[0]
    assert all(
        torch.equal(t, tensors[n.replace("g.", "g_ema_3000.", 1)])
        for n, t in tensors.items()
        if n[:2] == "g."
    )


def test_the_generator_can_learn_from_the_fakes_that_the_discriminator_saw(make):
    """One pass of the generator an iteration in the place of two, and both networks are trained by it."""
    passes = {}
    for reuse in (False, True):
        trainer = make("dcgan", train={"reuse_fakes": reuse})
        counted = []
        trainer.generator.register_forward_hook(lambda *_, counted=counted: counted.append(1))
        before = [p.clone() for p in (*trainer.g_named.values(), *trainer.d_named.values())]
        trainer.step()
        passes[reuse] = len(counted)
        after = [*trainer.g_named.values(), *trainer.d_named.values()]
        assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True) if b.grad.any())
    assert passes == {False: 2, True: 1}
