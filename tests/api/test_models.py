"""What there is to choose from, and networks made by name."""

from pathlib import Path

import pytest
import torch

import fastgan
from fastgan.errors import ConfigError
from tests.tiny import OPTIONS

PACKAGE = Path(fastgan.__file__).parent


def test_models_are_the_files_of_their_folder() -> None:
    there = [path.stem for path in (PACKAGE / "models").glob("*.py") if not path.name.startswith("_")]
    assert fastgan.list_models() == sorted(there)
    assert fastgan.list_models("style*") == ["stylegan"]
    assert fastgan.list_models("vae*") == []


def test_presets_are_the_files_of_their_folder() -> None:
    there = [path.stem for path in (PACKAGE / "presets").glob("*.toml")]
    assert fastgan.list_presets() == sorted(there)
    assert fastgan.list_presets("wgan*") == ["wgan", "wgan-gp"]


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_generator_and_discriminator_fit_each_other(name: str) -> None:
    config = OPTIONS[name] | {"img_channels": 1}
    generator = fastgan.create_model(name, resolution=16, **config)
    discriminator = fastgan.create_model(name, 16, part="discriminator", **config)
    z = torch.randn(2, int(OPTIONS[name]["z_dim"]))
    images = generator(z)
    assert images.shape == (2, 1, 16, 16)
    assert discriminator(images).shape == (2,)
    assert generator.training
    assert all(parameter.requires_grad for parameter in generator.parameters())


def test_networks_are_drawn_from_torchs_random_numbers() -> None:
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(fastgan.create_model("dcgan", resolution=16, width=2).state_dict())
    same = [all(torch.equal(made[0][key], other[key]) for key in other) for other in made[1:]]
    assert same == [True, False]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stylgan",), "there is no model 'stylgan': did you mean 'stylegan'?"),
        (("pix2pix",), "there is no model 'pix2pix': there are dcgan, "),
        ((3,), "there is no model 3: there are dcgan, "),
        (("dcgan", 48), "48"),
    ],
)
def test_what_there_is_not_is_one_sentence(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        fastgan.create_model(*arguments)  # type: ignore[arg-type]
    assert words in str(raised.value)


def test_unknown_settings_and_parts_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting widht \(did you mean width\)"):
        fastgan.create_model("dcgan", widht=3)
    with pytest.raises(ConfigError, match="part='critic' is unknown: choose one of generator, discriminator"):
        fastgan.create_model("dcgan", part="critic")
