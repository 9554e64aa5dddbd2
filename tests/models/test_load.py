"""Finding models by name, and what their Configs refuse."""

import dataclasses

import pytest

from fastgan import models
from fastgan.errors import ConfigError


@pytest.mark.parametrize("name", ["dcgan", "r3gan", "stylegan"])
def test_every_model_file_has_the_three_classes(name):
    module = models.load(name)
    config = module.Config()
    assert config.resolution == 64
    assert dataclasses.is_dataclass(config)
    assert module.Generator(config).z_dim == config.z_dim
    assert module.Discriminator(config).config is config


@pytest.mark.parametrize("name", ["stylegan9", "_checks", "__init__", "", "os.path", "../losses/wasserstein"])
def test_unknown_model_names_those_there_are(name):
    with pytest.raises(ConfigError, match="dcgan, r3gan, sle, stylegan, swift"):
        models.load(name)


BAD = [
    ("dcgan", "resolution", 48, "power of two: 32 and 64"),
    ("dcgan", "resolution", 4, "8 to 4096"),
    ("dcgan", "resolution", 8192, "8 to 4096"),
    ("dcgan", "resolution", 64.0, "whole number"),
    ("dcgan", "img_channels", 0, "1 to 4"),
    ("dcgan", "img_channels", 5, "1 to 4"),
    ("dcgan", "z_dim", 0, "z_dim"),
    ("dcgan", "width", True, "width"),
    ("dcgan", "norm", "layer", "batch, none"),
    ("r3gan", "resolution", 100, "power of two: 64 and 128"),
    ("r3gan", "channel_multiplier", float("inf"), "at most 16"),
    ("r3gan", "blocks", 0, "blocks"),
    ("r3gan", "expansion", 1.5, "expansion"),
    ("r3gan", "group_size", 0, "group_size"),
    ("r3gan", "group_size", 20, "inside every block: 768, 1536"),
    ("stylegan", "resolution", 100, "power of two: 64 and 128"),
    ("stylegan", "img_channels", "3", "1 to 4"),
    ("stylegan", "w_dim", -1, "w_dim"),
    ("stylegan", "mapping_layers", 0, "mapping_layers"),
    ("stylegan", "mapping_lr_multiplier", 0.0, "above 0"),
    ("stylegan", "channel_multiplier", 0, "above 0"),
    ("stylegan", "channel_multiplier", float("nan"), "above 0"),
    ("stylegan", "style_mixing_prob", 1.5, "from 0 to 1"),
    ("stylegan", "w_avg_decay", -0.1, "from 0 to 1"),
    ("stylegan", "minibatch_stddev_group", 0, "minibatch_stddev_group"),
]


@pytest.mark.parametrize(("model", "key", "value", "message"), BAD)
def test_impossible_values_are_one_sentence_with_the_key(model, key, value, message):
    with pytest.raises(ConfigError) as caught:
        models.load(model).Config(**{key: value})
    text = str(caught.value)
    assert f"[model] {key}" in text
    assert message in text
    assert text.endswith(".")
    assert "\n" not in text
