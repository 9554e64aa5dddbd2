"""The controller of the augmentation probability, on made-up logits."""

import pytest
import torch
from torch import Tensor

from fastgan.diffaug import Controller
from fastgan.diffaug.adaptive import INTERVAL, KIMG, TARGET


def logits(n: int, r: float, device: torch.device) -> Tensor:
    """`n` logits whose mean sign is `r`."""
    positive = round(n * (1 + r) / 2)
    return torch.cat([torch.rand(positive), -torch.rand(n - positive)]).to(device) * 3


def train(controller: Controller, r: float, images: int, device: torch.device, batch: int = 100) -> None:
    for iteration in range(images // batch):
        controller.observe(logits(batch, r, device))
        if iteration % INTERVAL == INTERVAL - 1:
            controller.update()


def test_the_papers_settings():
    assert (TARGET, KIMG, INTERVAL) == (0.6, 500.0, 4)


def test_from_zero_to_one_in_500_kimg_and_no_further(device):
    controller = Controller().to(device)
    train(controller, 0.9, 100_000, device)
    assert controller.p.item() == pytest.approx(0.2, abs=1e-4)
    train(controller, 0.9, 400_000, device, batch=1000)
    assert controller.p.item() == pytest.approx(1.0, abs=1e-4)
    train(controller, 0.9, 40_000, device)
    assert controller.p.item() == 1.0


def test_falls_while_the_discriminator_does_not_overfit_and_no_lower_than_zero(device):
    controller = Controller(initial=0.5).to(device)
    train(controller, 0.3, 100_000, device)
    assert controller.p.item() == pytest.approx(0.3, abs=1e-4)
    train(controller, 0.3, 200_000, device)
    assert controller.p.item() == 0.0


def test_speed_is_a_setting_and_counts_images_not_updates(device):
    small, large = (Controller(kimg=10).to(device) for _ in range(2))
    train(small, 1.0, 4_000, device, batch=10)
    train(large, 1.0, 4_000, device, batch=100)
    assert small.p.item() == pytest.approx(0.4, abs=1e-4)
    assert large.p.item() == pytest.approx(0.4, abs=1e-4)


def test_finds_the_probability_at_which_overfitting_meets_its_target(device):
    """A discriminator whose r_t falls from 1 as p rises: r_t = 1 - p. The balance is at p = 0.4."""
    controller = Controller(kimg=20).to(device)
    for _ in range(400):
        controller.observe(logits(200, 1 - controller.p.item(), device))
        controller.update()
    assert controller.p.item() == pytest.approx(1 - TARGET, abs=0.03)


def test_r_t_is_the_mean_sign_since_the_last_update(device):
    controller = Controller().to(device)
    assert controller.overfitting().item() == 0.0
    controller.observe(torch.tensor([5.0, -0.1, 0.2, 0.0], device=device))
    controller.observe(torch.tensor([1.0], device=device))
    assert controller.overfitting().item() == pytest.approx(2 / 5)
    controller.update()
    assert controller.overfitting().item() == 0.0


def test_an_update_without_images_changes_nothing(device):
    controller = Controller(initial=0.25).to(device)
    controller.update()
    assert controller.p.item() == 0.25


def test_state_resumes_in_the_middle_of_an_interval(device):
    whole = Controller(kimg=1, initial=0.5).to(device)
    whole.observe(logits(50, 0.8, device))
    resumed = Controller(kimg=1).to(device)
    resumed.load_state_dict(whole.state_dict())
    assert {"p", "signs", "seen"} == set(whole.state_dict())
    for controller in (whole, resumed):
        torch.manual_seed(0)
        controller.observe(logits(50, 0.8, device))
        controller.update()
    assert whole.p.equal(resumed.p)
    assert whole.p.item() == pytest.approx(0.6)


def test_observing_keeps_no_graph_and_updates_in_place(device):
    controller = Controller().to(device)
    address = controller.p.data_ptr()
    controller.observe(torch.ones(4, device=device, requires_grad=True) * 2)
    controller.update()
    assert controller.p.data_ptr() == address  # a CUDA graph reads it there
    assert not controller.p.requires_grad
    assert not controller.signs.requires_grad
