"""A model's settings as a table and back, and what of them is left to the data."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest

from fastgan import models
from fastgan.config import build, to_mapping
from fastgan.errors import ConfigError
from fastgan.models import dcgan, stylegan
from fastgan.training.settings import RunConfig


@pytest.mark.parametrize("name", models.names())
def test_a_table_names_its_model_and_comes_back_as_it_was(name):
    config = models.configure({"name": name, "resolution": 32, "z_dim": 8})
    assert (config.name, config.resolution, config.z_dim) == (name, 32, 8)
    assert isinstance(config, models.load(name).Config)
    table = models.table(config)
    assert list(table)[:2] == ["name", "resolution"]
    assert models.configure(table) == config
    assert models.table(models.configure(table)) == table


def test_what_nobody_asked_for_is_left_to_the_data_and_to_no_table():
    config = models.configure({"name": "dcgan", "img_channels": 1})
    assert (config.asked("img_channels"), config.asked("resolution")) == (1, None)
    assert config.undecided == {"resolution": 64, "classes": 0, "attributes": 0}
    assert {"resolution", "classes", "attributes"}.isdisjoint(models.table(config))
    larger = replace(config, width=8, resolution=128)
    assert (larger.asked("resolution"), larger.asked("classes")) == (128, None)
    decided = config.decided()
    assert decided == config
    assert decided.undecided == {}
    assert models.table(decided)["resolution"] == 64


def test_a_runs_settings_hold_the_models_own():
    run = build(RunConfig, {"model": {"name": "stylegan", "w_dim": 16}})
    assert isinstance(run.model, stylegan.Config)
    assert run.model.w_dim == 16
    assert build(RunConfig, to_mapping(run)) == run
    assert isinstance(RunConfig().model, dcgan.Config)
    assert to_mapping(RunConfig())["model"]["name"] == "dcgan"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (5, "model = 5 must be a table"),
        ({}, r'model\.name must name a model, as in \[model\] name = "dcgan"'),
        ({"name": 3}, r"model\.name must name a model"),
        ({"name": "dcgan", "widht": 3}, r"unknown setting model\.widht \(did you mean model\.width\)"),
        ({"name": "dcgan", "z_dim": 0}, r"z_dim = 0 must be a whole number from 1 to 65536"),
        ({"name": "stylegan", "w_dim": 0}, r"w_dim = 0 must be a whole number from 1 to 65536"),
    ],
)
def test_impossible_tables_are_one_sentence(table, sentence):
    with pytest.raises(ConfigError, match=sentence):
        models.configure(table)


@pytest.mark.parametrize("name", models.names())
def test_every_model_is_among_those_that_mypy_holds_to_the_protocol(name):
    source = Path(inspect.getfile(models.Architecture)).read_text()
    assert f": Architecture[{name}.Config] = {name}\n" in source


@pytest.mark.parametrize("name", models.names())
def test_flags_say_what_generators_can_do(name):
    generator = models.load(name).Generator
    takes = inspect.signature(generator.forward).parameters
    assert generator.grows == ({"resolution", "alpha"} <= takes.keys())
    assert generator.has_truncation == all(
        hasattr(generator, key) for key in ("synthesis", "truncate", "layers")
    )
