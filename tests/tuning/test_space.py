"""Search spaces: what may be written, what is refused, and that the default fits every preset."""

from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fastgan.config import build, preset, preset_names, read_toml
from fastgan.documents import parse_toml
from fastgan.errors import ConfigError
from fastgan.training.settings import RunConfig
from fastgan.tuning import default_space, space
from fastgan.tuning.dimension import parse
from fastgan.tuning.space import Images, Space

IMAGES = Images(64, 16)


def made(written: dict[str, Any], *names: str, settings: dict[str, Any] | None = None) -> Space:
    found = space.make(space.given(written), space.given(settings or {}), names, "space.toml")
    space.check(found, IMAGES, "cpu")
    return found


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("1e-4..4e-3 log", FloatDistribution(1e-4, 4e-3, log=True)),
        ("0.0..0.99", FloatDistribution(0.0, 0.99)),
        ("16..64 step 16", IntDistribution(16, 64, step=16)),
        ("16..70 step 16", IntDistribution(16, 64, step=16)),
        ("1..100 log", IntDistribution(1, 100, log=True)),
        ("0.0..1.0 step 0.25", FloatDistribution(0.0, 1.0, step=0.25)),
        ("x0.5 .. x2 log", FloatDistribution(0.5, 2.0, log=True)),
    ],
)
def test_ranges(text: str, distribution: object) -> None:
    found = parse("train.lr_g", text)
    assert found is not None
    assert found.distribution == distribution


def test_lists_are_choices_and_all_else_is_fixed() -> None:
    found = made({"model.width": [8, 16], "train.augment": "none", "train.lr_g": "1e-4..1e-3 log"})
    assert [d.key for d in found.dimensions] == ["model.width", "train.lr_g"]
    assert found.dimensions[0].distribution == CategoricalDistribution([8, 16])
    assert found.fixed == {"train": {"augment": "none"}}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            {"train.lrg": "1e-4..1e-3"},
            "space.toml: train.lrg = 1e-4..1e-3: unknown setting train.lrg (did you mean",
        ),
        ({"train.lr_g": "1e-4..1e-3 logg"}, "space.toml: train.lr_g = '1e-4..1e-3 logg' is no range: write"),
        ({"train.lr_g": "4e-3..1e-4"}, "must go upwards"),
        ({"train.lr_g": "0..1e-4 log"}, "must begin above 0"),
        ({"train.lr_g": "-1.0..1e-4"}, "train.lr_g = -1.0 must be above 0"),
        ({"train.batch": [16, 16]}, "lists 16 twice"),
        ({"train.batch": []}, "lists no choices"),
        ({"train.batch": "x2..4"}, "one end with x and one without"),
        (
            {"train.augment": "x0.5..x2"},
            "is a factor, and the preset small has 'color,translation,cutout' there",
        ),
        ({"loss.name": ["hinge", "hing"]}, "loss.name"),
        ({"model.width": "16.0..32.0"}, "a whole number"),
        ({"model.resolution": [16, 32]}, "`resolution` sets it"),
        ({"train.budget": ["1m", "2m"]}, "`trial_budget` sets it"),
        ({"preset": "smal", "train.batch": [8, 16]}, "preset = 'smal' is unknown: there are"),
        ({"train.batch": 16}, "leaves nothing to search"),
        ({"train.batch": [8, 16], "train.lr_g": 0}, "train.lr_g"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_its_setting(written: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        made(written)
    assert said in str(error.value)
    assert "space.toml" in str(error.value)


def test_a_choice_that_goes_with_another_choice_alone_is_a_choice() -> None:
    """loss.clip is refused but for the loss wasserstein: as train refuses it, and the trial then says so."""
    found = made({"loss.name": ["nonsaturating", "wasserstein"], "loss.clip": ["none", 0.01]}, "dcgan")
    assert len(found.dimensions) == 2


@pytest.mark.parametrize("name", preset_names())
def test_the_default_space_holds_the_preset_itself(name: str) -> None:
    written = default_space.default({name: preset(name)})
    found = space.make(written, {}, (name,), "the default space")
    space.check(found, IMAGES, "cpu")
    drawn, moved = found.own(name, IMAGES, "cpu")
    if name != "few-shot":  # whose values follow from the images
        assert moved == []
        _, tables = found.settings(drawn, IMAGES, "cpu")
        assert space.look_up(tables, "train.lr_g") == preset(name)["train"]["lr_g"]
    assert {"train.lr_g", "train.lr_d", "train.batch", "train.augment"} <= {d.key for d in found.dimensions}


def test_several_presets_share_a_space_of_factors() -> None:
    names = ("small", "stylegan")
    written = default_space.default({name: preset(name) for name in names})
    found = space.make(written, {}, names, "the default space")
    space.check(found, IMAGES, "cpu")
    assert found.searched[0].distribution == CategoricalDistribution(names)
    drawn, _ = found.own("stylegan", IMAGES, "cpu")
    drawn["train.lr_g"] = 0.5
    name, tables = found.settings(drawn, IMAGES, "cpu")
    assert (name, tables["model"]["name"], tables["train"]["lr_g"]) == ("stylegan", "stylegan", 1e-3)


def test_a_space_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(
        'preset = ["small", "demo"]\ntrain.lr_g = "x0.5..x2 log"\nmodel.width = [8, 16]\n'
        'train.ema_kimg = [[3.0, 1.0]]\nloss.penalty_weight = "0.0..2.0"\n'
    )
    first = space.make(read_toml(path), {}, (), str(path))
    again = space.make(parse_toml(first.toml(), "x"), {}, (), str(path))
    assert first == again
    assert first.fixed == {"train": {"ema_kimg": [3.0, 1.0]}}
    assert [d.key for d in first.searched] == ["preset", "train.lr_g", "model.width", "loss.penalty_weight"]


def test_what_the_call_fixes_is_not_searched() -> None:
    found = made({"model.width": [8, 16], "train.lr_g": "1e-4..1e-3 log"}, settings={"model.width": 12})
    assert [d.key for d in found.dimensions] == ["train.lr_g"]
    assert found.base("small", IMAGES, "cpu")["model"]["width"] == 12


def test_the_presets_own_value_moves_into_a_space_without_it() -> None:
    written = {"train.lr_g": "3e-4..9e-4 log", "model.width": [8, 16], "train.batch": "8..24 step 8"}
    found = made(written, "dcgan")
    drawn, moved = found.own("dcgan", IMAGES, "cpu")
    assert drawn == {"train.lr_g": 3e-4, "model.width": 16, "train.batch": 24}
    assert sorted(moved) == ["model.width", "train.batch", "train.lr_g"]


def test_portions_of_the_planned_images_are_searched_as_portions():
    one = default_space.default({"small": {"model": {"name": "dcgan"}, "train": {"ema_kimg": "2.5%"}}})
    assert one["train"]["ema_kimg"] == ["0.625%", "2.5%", "10%"]
    two = default_space.default(
        {"a": {"model": {"name": "dcgan"}, "train": {"ema_kimg": "2.5%"}}, "b": {"model": {"name": "dcgan"}}}
    )
    assert two["train"]["ema_kimg"] == ["0.625%", "2.5%", "10%", 2.5, 10.0, 40.0]
    for value in two["train"]["ema_kimg"]:
        build(RunConfig, {"train": {"ema_kimg": value}})
