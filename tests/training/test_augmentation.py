"""Augmentation in training: the discriminator sees nothing else, and ADA's probability follows r_t."""

from types import SimpleNamespace

import pytest
import torch

from fastgan.training import augmentation
from tests.training.test_trainer import run, through_disk


def test_the_discriminator_sees_augmented_images_only(make):
    """Black images come out of the policy and no other: in the steps of both players and in the penalty."""
    trainer = make("diffaug", train={"cuda_graphs": "off", "d_steps": 1}, loss={"name": "rpgan"})
    trainer.objective.augmentation.policy = lambda images, p: images * 0 - 1
    seen = []
    first = trainer.discriminator.blocks[0]
    first.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    run(trainer, 1)
    assert len(seen) == 3 + 2  # real, fake, penalty; real, fake
    assert all(images.eq(-1).all() for images in seen)


def test_the_penalty_differentiates_through_the_augmentation(make):
    """Images doubled before D have twice the gradient: R1 is four times what it is on D(2 x) without the factor."""
    trainer = make("spectral, penalised", model={"minibatch_stddev_group": 1}, loss={"spectral_norm": False})
    real = trainer.feed.batch(0, 4).images
    plain = trainer.objective.penalise(2 * real, real)[0]
    trainer.objective.augmentation.policy = lambda images, p: 2 * images
    torch.testing.assert_close(trainer.objective.penalise(real, real)[0], 4 * plain, rtol=1e-4, atol=0)


def test_p_rises_while_real_images_are_recognised_and_falls_otherwise(make):
    trainer = make("ada", train={"ada_kimg": 0.1, "cuda_graphs": "off"})
    answer = 1.0
    trainer.objective.loss = SimpleNamespace(
        **{**vars(trainer.objective.loss), "realness": lambda real, fake: torch.full_like(real, answer)}
    )
    run(trainer, 8)  # two updates, each for 4 batches of 4: 2 * 16 / 100
    assert trainer.objective.augmentation.controller.p.item() == pytest.approx(0.32)
    losses = trainer.take_losses()
    assert losses["r_t"] == 1.0
    assert losses["augment_p"] == pytest.approx(0.08)  # the mean of four at 0 and four at 0.16
    answer = -1.0
    run(trainer, 4)
    assert trainer.objective.augmentation.controller.p.item() == pytest.approx(0.16)


def test_the_controller_is_in_the_checkpoint_between_two_updates(make, tmp_path):
    trainer = make("ada")
    run(trainer, 6)
    model = trainer.state_dict()[0]
    assert model["augment.controller.seen"].item() == 2 * 4
    fresh = make("ada")
    fresh.load_state_dict(through_disk(trainer, tmp_path))
    assert fresh.objective.augmentation.controller.seen.item() == 2 * 4
    assert torch.equal(fresh.objective.augmentation.controller.p, trainer.objective.augmentation.controller.p)


def test_augmentation_can_be_switched_on_and_off_over_a_resumption(make, tmp_path):
    plain = make("dcgan")
    run(plain, 1)
    adaptive = make("ada")
    adaptive.load_state_dict(through_disk(plain, tmp_path / "plain"))
    run(adaptive, 1)
    assert adaptive.objective.augmentation.controller.seen.item() == 4
    plain.load_state_dict(through_disk(adaptive, tmp_path / "adaptive"))
    assert not any(name.startswith("augment") for name in plain.state_dict()[0])


def test_a_fixed_policy_has_no_state(make):
    trainer = make("diffaug")
    assert isinstance(trainer.objective.augmentation, augmentation.Augmentation)
    assert trainer.objective.augmentation.state_dict() == {}
    run(trainer, 1)
    assert "augment_p" not in trainer.take_losses()
