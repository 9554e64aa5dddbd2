"""Transfer: what matches is taken, what does not is named, and frozen blocks stay."""

import pytest
import torch
from torch import nn

from fastgan import models
from fastgan.errors import CheckpointError, ConfigError
from fastgan.training import checkpoint, thawing, transfer
from fastgan.training import run as run_module
from fastgan.training.settings import TrainConfig
from tests.training.test_run import fit, settings
from tests.training.test_trainer import assert_same_bits, run, through_disk


def networks(trainer):
    return {
        name: tensor.clone()
        for name, tensor in trainer.state_dict()[0].items()
        if name.startswith(("g.", "d.", "g_ema."))
    }


def test_the_same_architecture_is_taken_whole(make):
    source, target = make("stylegan"), make("stylegan", train={"seed": 1})
    run(source, 2)
    sentences = transfer.initialise(target, networks(source), "there")
    assert len(sentences) == 3
    for sentence in sentences:
        assert sentence.endswith("tensors from there")
    for name, tensor in networks(source).items():
        assert torch.equal(target.state_dict()[0][name], tensor)
    assert target.cur_nimg == 0
    assert target.state_dict()[1] == {}
    run(target, 1)


def test_what_does_not_match_is_named_and_stays(make):
    source, target = make("stylegan"), make("stylegan", train={"seed": 1})
    there, before = networks(source), networks(target)
    del there["d.conv.bias"]
    there["g.const"] = torch.zeros(1, 3, 4, 4)
    generator, average, discriminator = transfer.initialise(target, there, "there")
    channels = before["g.const"].shape[1]
    assert f"as initialised stay const ([1, 3, 4, 4] there, [1, {channels}, 4, 4] here)" in generator
    assert "stay" not in average
    assert discriminator.endswith("as initialised stay conv.bias (absent there)")
    after = networks(target)
    assert torch.equal(after["g.const"], before["g.const"])
    assert torch.equal(after["d.conv.bias"], before["d.conv.bias"])
    assert torch.equal(after["d.conv.conv.weight"], there["d.conv.conv.weight"])


def test_a_release_serves_both_generators(make, tmp_path):
    source, target = make("dcgan"), make("dcgan", train={"seed": 1})
    run(source, 3)
    state = {
        "cur_nimg": 12,
        "config": {"train": {"init_from": "/secret"}, "model": models.table(source.config.model)},
    }
    model, optimizer = source.state_dict()
    checkpoint.save(tmp_path, model=model, optimizer=optimizer, state=state, keep=1)
    checkpoint.save_release(tmp_path / "g.safetensors", checkpoint.load(tmp_path))
    assert b"secret" not in (tmp_path / "g.safetensors").read_bytes()
    assert checkpoint.describe(tmp_path / "g.safetensors")["cur_nimg"] == 12
    there = checkpoint.load_networks(tmp_path / "g.safetensors")
    *_, discriminator = transfer.initialise(target, there, "it")
    assert "discriminator takes 0 of its" in discriminator
    for name, tensor in there.items():
        assert torch.equal(target.state_dict()[0][name], tensor)
        assert torch.equal(target.state_dict()[0][name.replace("g_ema.", "g.")], tensor)


@pytest.mark.parametrize(("name", "other"), [("dcgan", "stylegan"), ("dcgan", "r3gan"), ("stylegan", "sle")])
def test_another_model_altogether_is_refused(make, name, other):
    with pytest.raises(CheckpointError, match="nothing in there fits the generator by name and shape"):
        transfer.initialise(make(name), networks(make(other)), "there")


def test_counters_and_biases_alone_make_no_fit(make):
    target = make("dcgan", model={"width": 128})
    small = [
        name for name, tensor in networks(target).items() if tensor.ndim < 2 or name == "g.to_image.weight"
    ]
    assert {"g.to_image.bias", "g.project.norm.num_batches_tracked"} <= set(small)
    there = {name: networks(target)[name] for name in small}
    with pytest.raises(CheckpointError, match="next to nothing in there fits the generator"):
        transfer.initialise(target, there, "there")


@pytest.mark.parametrize("tensor", ["blocks.0.bias", "blocks.1.conv.weight"])
def test_what_was_not_taken_is_not_frozen(make, tensor):
    there = networks(make("wgan-gp"))
    del there[f"d.{tensor}"]
    sentence = (
        rf"train.freeze_d would freeze {tensor} \(absent there\) of the discriminator, which there does not"
    )
    with pytest.raises(ConfigError, match=sentence):
        transfer.initialise(make("wgan-gp", train={"freeze_d": 2}), there, "there")
    with pytest.raises(ConfigError, match=sentence):
        transfer.initialise(make("wgan-gp", train={"freeze_d": 2, "thaw_kimg": 1.0}), there, "there")
    transfer.initialise(make("wgan-gp"), there, "there")


def test_a_release_has_no_discriminator_to_freeze(make):
    released = {name: t for name, t in networks(make("dcgan")).items() if name.startswith("g_ema.")}
    with pytest.raises(
        ConfigError, match=r"would freeze blocks\.0\.\S+ \(absent there\).* leave out train.freeze_d"
    ):
        transfer.initialise(make("dcgan", train={"freeze_d": 1}), released, "it")


def test_spectral_normalisation_leaves_nothing_to_freeze(make):
    with pytest.raises(ConfigError, match=r"train\.freeze_d would freeze"):
        transfer.initialise(make("spectral", train={"freeze_d": 1}), networks(make("dcgan")), "there")


def test_what_is_tuned_need_not_be_taken(make):
    source, target = make("stylegan"), make("stylegan", train={"tune_g": "mapping"})
    there = networks(source)
    del there["g.mapping.linears.0.weight"]
    transfer.initialise(target, there, "there")
    del there["g.const"]
    with pytest.raises(
        ConfigError, match=r"train.tune_g would freeze const \(absent there\) of the generator"
    ):
        transfer.initialise(target, there, "there")


@pytest.mark.parametrize("train", [{"freeze_d": 1}, {"tune_g": "mapping"}])
def test_a_run_from_scratch_freezes_nothing(packed, tmp_path, device, train):
    with pytest.raises(ConfigError, match="a run from scratch has learnt nothing: start from one "):
        fit(settings(packed, "stylegan", **train), tmp_path / "run", device)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"freeze_d": 9}, "freeze_d = 9 is too much: this discriminator has 2 blocks"),
        ({"tune_g": "norms"}, "this generator has no norms"),
    ],
)
def test_parts_to_freeze_are_looked_for_before_images_are_packed(
    packed, tmp_path, device, monkeypatch, train, sentence
):
    def never(*_):
        raise AssertionError("images were read")

    monkeypatch.setattr(run_module, "_data", never)
    with pytest.raises(ConfigError, match=sentence):
        fit(settings(packed, "stylegan", init_from="there", **train), tmp_path / "run", device)


@pytest.mark.parametrize(
    ("name", "blocks", "frozen", "free"),
    [
        ("stylegan", 1, ["from_rgb.2.", "blocks.1."], ["blocks.0.", "conv.", "logit.", "from_rgb.0."]),
        ("stylegan", 2, ["from_rgb.2.", "blocks."], ["conv.", "linear.", "logit."]),
        ("dcgan", 2, ["blocks.0.", "blocks.1."], ["blocks.2.", "logit."]),
        ("spectral", 1, ["blocks.0."], ["blocks.1.", "logit."]),
    ],
)
def test_blocks_next_to_the_image_stay_as_they_are(make, name, blocks, frozen, free):
    trainer = make(name, train={"freeze_d": blocks})
    parameters = dict(trainer.discriminator.named_parameters())
    for prefix in frozen:
        held = [p for key, p in parameters.items() if key.startswith(prefix)]
        assert held
        assert not any(p.requires_grad for p in held), prefix
    for prefix in free:
        assert all(p.requires_grad for key, p in parameters.items() if key.startswith(prefix)), prefix
    before = {key: p.detach().clone() for key, p in parameters.items()}
    run(trainer, 2)
    moved = {key for key, p in parameters.items() if not torch.equal(p, before[key])}
    assert moved
    assert not any(key.startswith(tuple(frozen)) for key in moved)
    assert not any(p.requires_grad for key, p in parameters.items() if key.startswith(tuple(frozen)))


def test_looking_for_the_first_blocks_changes_nothing(make):
    frozen, plain = make("spectral", train={"freeze_d": 2}), make("spectral")
    for name, tensor in plain.discriminator.state_dict().items():
        assert torch.equal(frozen.discriminator.state_dict()[name], tensor)
    assert not frozen.discriminator._forward_pre_hooks
    assert frozen.discriminator.training


def test_blocks_may_be_called_stages():
    discriminator = nn.Module()
    discriminator.stages = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1))
    discriminator.forward = discriminator.stages.forward
    thawing.plan(TrainConfig(freeze_d=1), nn.Module(), discriminator, torch.zeros(1, 3, 8, 8))
    assert [p.requires_grad for p in discriminator.parameters()] == [False, False, True, True]


def test_more_blocks_than_there_are(make):
    with pytest.raises(ConfigError, match="freeze_d = 3 is too much: this discriminator has 2 blocks"):
        make("stylegan", train={"freeze_d": 3})


@pytest.mark.parametrize(
    ("name", "parts", "trained"),
    [
        ("stylegan", "mapping", ["mapping."]),
        ("stylegan", "mapping, styles", ["mapping.", "affine."]),
        ("dcgan", "mapping", ["project."]),
        ("dcgan", "norms", ["norm."]),
        ("r3gan", "mapping", ["basis."]),
        ("sle", "mapping,norms", ["project.", "norm."]),
    ],
)
def test_a_part_of_the_generator_is_trained_and_the_rest_stays(make, name, parts, trained):
    trainer = make(name, train={"tune_g": parts})
    before = {key: p.detach().clone() for key, p in trainer.generator.named_parameters()}
    run(trainer, 3)
    moved = {key for key, p in trainer.generator.named_parameters() if not torch.equal(p, before[key])}
    assert moved
    assert all(any(part in key for part in trained) for key in moved)
    assert all(any(part in key for key in moved) for part in trained)
    held = {key for key in before if not any(part in key for part in trained)}
    average = dict(trainer.average.named_parameters())
    assert all(torch.equal(average[key], before[key]) for key in held)


THAWING = {"freeze_d": 2, "tune_g": "mapping", "thaw_kimg": 0.008}


def test_frozen_layers_thaw_from_the_logit_to_the_image(make):
    trainer = make("stylegan", train=THAWING)
    seen = []
    for _ in range(6):
        before = {key: tensor.clone() for key, tensor in trainer.state_dict()[0].items()}
        facts = trainer.scheduled()
        run(trainer, 1)
        after = trainer.state_dict()[0]
        moved = {key for key in after if not torch.equal(after[key], before[key])}
        blocks = [any(key.startswith(f"d.blocks.{k}.") for key in moved) for k in (0, 1)]
        seen.append((*blocks, "g.const" in moved, facts["frozen"]))
    closed, half, opened = (False, False, False, 3), (True, False, True, 1), (True, True, True, 0)
    assert seen == [closed, closed, half, half, opened, opened]


@pytest.mark.parametrize("saved", [1, 2, 3, 4])
def test_resumption_while_it_thaws_changes_no_bit(make, tmp_path, device, saved):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    unbroken, first, second = (make("stylegan", train=THAWING) for _ in range(3))
    run(unbroken, 6)
    run(first, saved)
    second.load_state_dict(through_disk(first, tmp_path))
    run(second, 6 - saved)
    assert_same_bits(second, unbroken)


@pytest.mark.parametrize(
    ("name", "train", "sentence"),
    [
        ("dcgan", {"tune_g": "styles"}, "this generator has no styles, only mapping, norms"),
        ("r3gan", {"tune_g": "norms"}, "this generator has no norms, only mapping"),
        ("dcgan", {"tune_g": "head"}, "must be all, or some of mapping, styles, norms"),
        ("dcgan", {"tune_g": "all,norms"}, "must be all, or some of mapping, styles, norms"),
        ("dcgan", {"thaw_kimg": 1.0}, "thaw_kimg needs something that is frozen"),
        ("dcgan", {"freeze_d": 1, "thaw_kimg": 0.0}, "thaw_kimg = 0.0 must be above 0"),
    ],
)
def test_parts_that_are_not_there_are_refused(make, name, train, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make(name, train=train)
