"""Training against pretrained features: what is saved, whose features they are, and what is refused."""

import builtins
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastgan import effnet_lite0
from fastgan.errors import CheckpointError, ConfigError
from fastgan.training import assemble, checkpoint, pretrained
from fastgan.training import run as run_module
from tests.training.conftest import small
from tests.training.test_run import fit, settings
from tests.training.test_trainer import run


def test_a_checkpoint_holds_the_mixing_and_not_the_features(packed, tmp_path, device):
    out = tmp_path / "run"
    fit(settings(packed, "projected"), out, device)
    loaded = checkpoint.load(out)
    assert loaded.state["features"] == {"name": "random", "sha256": "seed 0"}
    assert loaded.state["config"]["discriminator"]["name"] == "projected"
    names = {name for name in loaded.model if name.startswith("d.")}
    assert {"d.ccm.0", "d.csm.3"} < names
    assert all(name.startswith(("d.ccm.", "d.csm.", "d.heads.")) for name in names)
    assert not any(name.startswith(("d.ccm", "d.csm")) for name in loaded.optimizer)


def test_other_features_than_before_are_refused(packed, tmp_path, device, monkeypatch):
    out = tmp_path / "run"
    fit(settings(packed, "projected"), out, device)
    monkeypatch.setattr(pretrained.RandomFeatures, "sha256", "seed 1")
    with pytest.raises(
        CheckpointError, match=r"trained on the features of random \(SHA-256 seed 0\), and these are"
    ):
        fit(settings(packed, "projected", budget="48img"), out, device, resume=True)


def test_the_same_network_under_another_name_is_the_same(packed, tmp_path, device, monkeypatch):
    out = tmp_path / "run"
    fit(settings(packed, "projected"), out, device)
    monkeypatch.setattr(pretrained.RandomFeatures, "name", "renamed.onnx")
    fit(settings(packed, "projected", budget="48img"), out, device, resume=True)
    assert checkpoint.load(out).state["cur_nimg"] == 48


def test_a_discriminator_on_other_features_is_not_taken(packed, tmp_path, device, monkeypatch):
    source, init_from = tmp_path / "source", str(tmp_path / "source")
    fit(settings(packed, "projected"), source, device)
    fit(settings(packed, "projected", init_from=init_from, seed=1), tmp_path / "same", device)
    monkeypatch.setattr(pretrained.RandomFeatures, "sha256", "seed 1")
    _, notes = fit(settings(packed, "projected", init_from=init_from, seed=1), tmp_path / "other", device)
    assert any(
        "the discriminator stays as initialised, for that in" in note
        and "was trained on the features of random (SHA-256 seed 0), and these are random (seed 1)" in note
        for note in notes
    )
    mixing = [checkpoint.load(tmp_path / name).model["d.ccm.0"] for name in ("source", "same", "other")]
    assert torch.equal(mixing[0], mixing[1])
    assert not torch.equal(mixing[0], mixing[2])


def test_features_are_looked_for_before_images_are_packed(packed, tmp_path, device, monkeypatch):
    def never(*_):
        raise AssertionError("images were read")

    monkeypatch.setattr(run_module, "_data", never)
    config = settings(packed, "projected")
    for asked, sentence in (
        ({"features": "absent.onnx"}, r"'absent\.onnx' does not exist"),
        ({"features": "absent.ONNX"}, r"'absent\.ONNX' does not exist"),
        ({"features": "resnet"}, "'resnet' is unknown"),
    ):
        changed = replace(config, discriminator=replace(config.discriminator, **asked))
        with pytest.raises(ConfigError, match=sentence):
            fit(changed, tmp_path / "run", device)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["net.onnx", "NET.ONNX"])
def test_the_path_of_a_network_is_made_absolute(name, dataset):
    config = assemble.resolve(small("projected", discriminator={"features": name}), dataset)
    assert Path(config.discriminator.features).is_absolute()


def test_mixing_stays_as_drawn_and_heads_learn(make):
    trainer = make("projected")
    before = {name: tensor.clone() for name, tensor in trainer.discriminator.state_dict().items()}
    run(trainer, 2)
    after = trainer.discriminator.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {name for name in after if name.startswith("heads.") and "original" in name} <= moved
    assert not any(name.startswith(("ccm", "csm")) for name in moved)


def test_without_the_extra_one_sentence_says_what_to_install(make, monkeypatch):
    def without(name, *args, **kwargs):
        if name.startswith("efficientnet_lite0"):
            raise ImportError(name=name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    effnet_lite0._found.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ConfigError, match=r"install it with pip install .*, or train with --discriminator own"
    ):
        make("dcgan", discriminator={"name": "projected"})


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            {"discriminator": {"features": "resnet"}},
            "'resnet' is unknown: choose one of effnet-lite0, random",
        ),
        ({"discriminator": {"size": 48}}, r"discriminator.size = 48 must be a multiple of 32"),
        ({"discriminator": {"width": 0}}, "discriminator.width = 0 must be a whole number"),
        ({"train": {"freeze_d": 1}}, "freeze_d means nothing with a projected discriminator"),
        ({"train": {"checkpoint_activations": True}}, "checkpoint_activations cannot go with a projected"),
    ],
)
def test_nonsense_is_refused(dataset, device, tables, sentence):
    with pytest.raises(ConfigError, match=sentence):
        assemble.networks(assemble.resolve(small("projected", **tables), dataset), device)
