"""Progressive growing: the plan of phases, what is trained when, exact resumption across and inside phases."""

import pytest
import torch

from fastgan import models
from fastgan.errors import ConfigError
from fastgan.training import assemble, checkpoint, growing
from fastgan.training.settings import TrainConfig
from tests.training.conftest import GROWING, PROJECTED, small
from tests.training.test_graphs import with_stand_in
from tests.training.test_trainer import assert_same_bits, run, through_disk


def plan(resolution=64, **settings):
    return growing.phases(TrainConfig(**settings), resolution)


def test_without_growing_there_is_one_phase_and_no_arguments():
    (phase,) = plan(batch=32, d_steps=5)
    assert (phase.resolution, phase.iteration_nimg, phase.end) == (64, 160, float("inf"))
    assert phase.iteration(160 * 7) == 7
    assert phase.arguments(1.0) == {}


def test_phases_and_minibatches_are_the_papers():
    phases = plan(grow_from=8, batch=32)
    assert [(p.resolution, p.fading) for p in phases] == [
        (8, False),
        (16, True),
        (16, False),
        (32, True),
        (32, False),
        (64, True),
        (64, False),
    ]
    assert [p.batch for p in phases] == [256, 128, 128, 64, 64, 32, 32]
    assert [p.grows for p in phases] == [False, True, False, True, False, True, False]
    assert [p.batch for p in plan(grow_from=8, batch=32, grow_batch=100)] == [96] * 3 + [64] * 2 + [32] * 2
    assert [p.batch for p in plan(grow_from=8, batch=32, grow_batch=1)] == [32] * 7
    assert [(p.resolution, p.grows) for p in plan(grow_from=16, fade_kimg=0)] == [
        (16, False),
        (32, True),
        (64, True),
    ]


def test_every_iteration_has_its_number_whatever_the_batch():
    phases = plan(grow_from=8, grow_kimg=1.0, fade_kimg=0.5, batch=32, d_steps=2)
    cur_nimg, alphas = 0, {}
    for iteration in range(80):
        phase = growing.at(phases, cur_nimg)
        assert phase.iteration(cur_nimg) == iteration
        alphas.setdefault((phase.resolution, phase.fading), []).append(phase.alpha(cur_nimg))
        cur_nimg += phase.iteration_nimg
    assert phase.iterations is None
    assert alphas[16, True] == [0.0, 0.5]  # 500 images, rounded up to two iterations of 256
    assert alphas[64, True] == [n / 8 for n in range(8)]
    assert set(alphas[64, False]) == {1.0}


def test_real_images_are_means_and_fade_in_as_the_generators_do():
    images = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    assert growing.shrink(images, 16, 1.0) is images
    small = growing.shrink(images, 4, 1.0)
    torch.testing.assert_close(small, images.view(2, 3, 4, 4, 4, 4).mean((3, 5)))
    faded = growing.shrink(images, 8, 0.25)
    sharp, coarse = growing.shrink(images, 8, 1.0), growing.enlarge(small, 8)
    torch.testing.assert_close(faded, 0.75 * coarse + 0.25 * sharp)
    assert faded.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("iterations", [2, 3, 5, 7, 8])
def test_saving_and_loading_changes_no_bit_before_at_and_after_each_phase(make, iterations, tmp_path, device):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    extras = {
        "loss": {"path_length": 1.0, "path_length_interval": 2, "penalty_interval": 2},
        "train": {"augment": "ada", "ada_kimg": 0.05},
    }
    unbroken = make(GROWING, **extras)
    run(unbroken, 10)
    first = make(GROWING, **extras)
    run(first, iterations)
    second, _ = with_stand_in(make(GROWING, **extras))
    second.load_state_dict(through_disk(first, tmp_path))
    run(second, 10 - iterations)
    assert second.cur_nimg == unbroken.cur_nimg == 3 * 8 + 7 * 4
    assert_same_bits(second, unbroken)


def test_only_what_is_there_is_trained_and_the_average_of_the_rest_is_the_rest(make):
    trainer = make(GROWING)
    before = {key: value.clone() for key, value in trainer.state_dict()[0].items()}
    run(trainer, 3)
    after, optimizer = trainer.state_dict()
    for key in ("to_rgb.2.weight", "convs.3.conv.weight"):  # those of 16 px
        assert torch.equal(after[f"g.{key}"], before[f"g.{key}"])
        assert torch.equal(after[f"g_ema.{key}"], after[f"g.{key}"])
        assert not any(name.startswith(f"g.{key}") for name in optimizer)
    assert not torch.equal(after["g.to_rgb.1.weight"], before["g.to_rgb.1.weight"])
    assert optimizer["g.const.step"].item() == 3

    run(trainer, 1)
    after, optimizer = trainer.state_dict()
    assert optimizer["g.const.step"].item() == 1  # Adam begins anew
    assert torch.equal(after["g.to_rgb.2.weight"], before["g.to_rgb.2.weight"])  # alpha was 0
    run(trainer, 1)
    assert not torch.equal(trainer.generator.to_rgb[2].weight, before["g.to_rgb.2.weight"])
    run(trainer, 3)
    optimizer = trainer.state_dict()[1]
    assert optimizer["g.const.step"].item() == 5
    assert optimizer["g.to_rgb.1.weight.step"].item() == 4  # not used once 16 px stand alone


def test_each_phase_has_graphs_of_its_own_that_read_alpha_from_a_tensor(make):
    trainer, recorders = with_stand_in(make(GROWING))
    alphas, generate = [], trainer.objective.generate
    trainer.objective.generate = lambda *a, **k: (
        alphas.append(trainer.objective.size.get("alpha")),
        generate(*a, **k),
    )[1]
    run(trainer, 4)
    assert {"resolution": 16, "alpha": 0.25}.items() <= trainer.scheduled().items()
    run(trainer, 5)
    assert len(recorders) == 3
    assert alphas[:3] == [1.0] * 3
    assert len({id(alpha) for alpha in alphas[3:7]}) == 1
    assert isinstance(alphas[3], torch.Tensor)
    assert alphas[7:] == [None] * 2


def test_samples_have_one_size_and_the_detail_of_their_phase(make, device):
    trainer = make(GROWING)
    z = torch.randn(2, 16)
    images = trainer.sample(z)
    assert images.shape == (2, 3, 16, 16)
    assert torch.equal(images, growing.enlarge(images[:, :, ::2, ::2], 16))
    run(trainer, 8)
    with torch.no_grad():
        assert torch.equal(trainer.sample(z), trainer.average(z.to(device)))


@pytest.mark.parametrize(("iterations", "resolution"), [(2, 8), (4, 8), (5, 16), (9, 16)])
def test_an_unfinished_run_generates_at_the_size_that_it_has_reached(make, iterations, resolution, tmp_path):
    trainer = make(GROWING)
    run(trainer, iterations)
    model, optimizer = trainer.state_dict()
    state = {
        "cur_nimg": trainer.cur_nimg,
        "resolution": trainer.phase.shown(trainer.cur_nimg),
        "config": {"model": models.table(trainer.config.model), "train": {}, "data": {}, "loss": {}},
    }
    folder = checkpoint.save(tmp_path, model=model, optimizer=optimizer, state=state, keep=1)
    checkpoint.save_release(tmp_path / "generator.safetensors", checkpoint.load(folder))
    z = torch.randn(2, 16)
    with torch.no_grad():
        expected = trainer.average.cpu()(z, resolution=resolution)
        for path in (tmp_path, tmp_path / "generator.safetensors"):
            generator, _ = checkpoint.load_generator(path)
            assert generator.config.resolution == resolution
            torch.testing.assert_close(generator(z), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("preset", "tables", "sentence"),
    [
        ("dcgan", {"train": {"grow_from": 8}}, "runs at lower resolutions, as stylegan does, and dcgan does"),
        ("r3gan", {"train": {"grow_from": 8}}, "runs at lower resolutions, as stylegan does, and r3gan does"),
        ("stylegan", {"train": {"grow_from": 12}}, "grow_from = 12 must be a power of two from 8 up"),
        ("stylegan", {"train": {"grow_from": 4}}, "grow_from = 4 must be a power of two from 8 up"),
        (
            "stylegan",
            {"train": {"grow_from": 64}, "model": {"resolution": 64}},
            "grow_from = 64 must be below the images' 64 px: take 32 or less",
        ),
        ("stylegan", {"train": {"grow_from": 8, "grow_kimg": 0}}, "grow_kimg = 0.* must be above 0"),
        ("stylegan", {"train": {"grow_from": 8, "fade_kimg": -1}}, "fade_kimg = -1.* must not be negative"),
        ("stylegan", {"train": {"grow_from": 8, "freeze_d": 1}}, "freeze_d and train.grow_from exclude"),
    ],
)
def test_what_cannot_grow_is_refused_in_one_sentence(preset, tables, sentence):
    with pytest.raises(ConfigError, match=sentence):
        assemble.resolve(small(preset, **tables))


def test_a_projected_discriminator_judges_every_resolution(make, tmp_path, device):
    """A StyleGAN that grows under it, saved while fading, goes on to the same bits."""
    projected = {"discriminator": PROJECTED}
    unbroken = make(GROWING, **projected)
    run(unbroken, 6)
    first = make(GROWING, **projected)
    run(first, 4)
    assert first.phase.resolution == 16
    second = make(GROWING, **projected)
    second.load_state_dict(through_disk(first, tmp_path))
    run(second, 2)
    if device.type == "cpu":
        assert_same_bits(second, unbroken)
