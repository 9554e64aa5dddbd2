"""How fast a configuration is trained, and how far a budget goes."""

from dataclasses import replace

import pytest
import torch

from fastgan.data import Dataset
from fastgan.data.dataset import content_hash
from fastgan.training import assemble, growing, speed
from fastgan.training.rehearsal import Cost, rehearse
from fastgan.training.speed import Speeds
from tests.training.conftest import GROWING, small

CPU = torch.device("cpu")


def complete(name, **tables):
    images = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    return assemble.resolve(small(name, **tables), Dataset(images=images, content_hash=content_hash(images)))


def measured(config, device=CPU, **more):
    return speed.measure(config, device, "fp32", rehearse(config, "fp32"), **more)


@pytest.mark.parametrize("name", ["path length", "wgan", "projected", "ada", "scheduled"])
def test_every_kind_of_training_can_be_measured(name, device):
    speeds = measured(complete(name), device)
    assert speeds.measured
    assert 0 < speeds.by_resolution[16] < 1e9


def test_conditions_are_measured_too(device):
    config = small("dcgan", data={"conditional": "both"})
    model = replace(config.model, resolution=16, img_channels=3, classes=5, attributes=3)
    speeds = measured(assemble.resolve(replace(config, model=model)), device)
    assert speeds.by_resolution.keys() == {16}


def test_measuring_leaves_random_numbers_alone():
    state = torch.get_rng_state()
    measured(complete("dcgan"))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_growing_network_is_measured_at_every_size(device):
    assert measured(complete(GROWING), device).by_resolution.keys() == {8, 16}


def test_several_processes_are_as_fast_as_each(monkeypatch):
    monkeypatch.setattr(
        speed, "_timed", lambda trainer, device: iter([(16, 10.0 * trainer.config.train.batch)])
    )
    config = complete("dcgan", train={"batch": 8, "accumulate": 2})
    assert measured(config, processes=2).by_resolution == {16: 2 * 10.0 * 2}


def test_a_model_that_takes_too_long_is_not_tried(monkeypatch):
    monkeypatch.setattr(speed, "_peak", lambda precision: 1e9)
    config = complete("dcgan")
    heavy = Cost(lasting=0, passing=0, flops=40 * 10**9)  # of a batch of 4: 10 GFLOP an image
    found = speed.measure(config, CPU, "fp32", heavy)
    assert (found.measured, found.by_resolution) == (False, {16: 0.1})


def test_each_kind_of_iteration_counts_as_often_as_it_comes():
    config = complete("path length", loss={"penalty_interval": 4, "path_length_interval": 2})
    phase = growing.phases(config.train, 16)[0]
    assert speed._kinds(config, phase) == [(0, 1), (1, 2), (2, 1)]
    assert speed._kinds(config, replace(phase, first=3)) == [(0, 2), (1, 1), (3, 1)]
    assert speed._kinds(complete("dcgan"), phase) == [(0, 1)]


def test_iterations_that_only_reconstruct_are_timed_apart(device):
    config = complete("small", train={"reconstruction_kimg": 0.1})
    speeds = measured(config, device)
    assert speeds.reconstructing is not None
    assert 0 < speeds.reconstructing < 1e9
    assert measured(complete("dcgan"), device).reconstructing is None


def test_how_far_a_time_goes_where_it_first_reconstructs():
    speeds = Speeds(by_resolution={16: 100.0}, reconstructing=400.0)
    config = complete("small", train={"reconstruction_kimg": 0.2})
    assert speed.seconds_for(config, speeds, 40) == pytest.approx(0.1)
    assert speed.seconds_for(config, speeds, 300) == pytest.approx(0.5 + 1)
    assert speed.reach(config, speeds, 1.5) == pytest.approx(300, rel=1e-3)


def test_how_far_a_time_goes_while_it_grows():
    speeds = Speeds(by_resolution={8: 400.0, 16: 100.0})
    config = complete(GROWING)  # 24 images at 8 px, then 16
    assert speed.seconds_for(config, speeds, 24) == pytest.approx(24 / 400)
    assert speed.seconds_for(config, speeds, 124) == pytest.approx(24 / 400 + 1)
    assert speed.reach(config, speeds, 24 / 400 + 1) == pytest.approx(124, rel=1e-3)
    assert speed.reach(complete("dcgan"), speeds, 2.0) == 200


def test_where_growing_is_planned_by_the_whole_the_whole_is_found():
    config = small(GROWING, train={"grow_kimg": "50%", "fade_kimg": 0.0, "batch": 4, "grow_batch": 8})
    model = replace(config.model, resolution=16)
    draft = replace(config, model=model)
    settled = assemble.resolve(replace(draft, train=replace(draft.train, planned_kimg=16.0)))
    nimg = speed.reach(draft, Speeds(by_resolution={8: 400.0, 16: 100.0}), 100.0)
    assert nimg == pytest.approx(16_000, rel=0.01), "half of them at either speed"
    assert speed.seconds_for(settled, Speeds(by_resolution={8: 400.0, 16: 100.0}), 16_000) == pytest.approx(
        100
    )


def test_the_speed_of_this_machine_is_a_number():
    assert 1e8 < speed._peak("fp32") < 1e15
