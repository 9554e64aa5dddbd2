"""Settings: what is written is read back, and what is wrong is said in one sentence."""

import tomllib
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgan import config
from fastgan.config import Duration, build, merge, overrides, read_toml, to_mapping, to_toml, with_units
from fastgan.errors import ConfigError
from fastgan.training.settings import RunConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Sample:
    width: int
    scale: float = 1.0
    on: bool = False
    name: str = "a"
    betas: tuple[float, float] = (0.0, 0.9)
    sizes: tuple[int, ...] = ()
    limit: float | None = 3.0
    mode: Literal["slow", "fast"] = "slow"
    every: Duration = field(default=Duration(seconds=60.0))

    def __post_init__(self) -> None:
        if self.width == 13:
            raise ValueError("width 13 is unlucky")


SAMPLES = st.builds(
    Sample,
    width=st.integers(14, 2**62),
    scale=st.floats(allow_nan=False),
    on=st.booleans(),
    name=st.text(st.characters(codec="utf-8")),
    betas=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    sizes=st.lists(st.integers(-9, 9)).map(tuple),
    limit=st.none() | st.floats(allow_nan=False),
    mode=st.sampled_from(["slow", "fast"]),
    every=st.integers(1, 10**9).map(lambda n: Duration(images=n))
    | st.integers(1, 10**6).map(lambda n: Duration(seconds=float(n))),
)


@given(SAMPLES)
@example(sample=Sample(width=14, name="\U0010dc80 \U0010dce9"))  # where bytes that are no UTF-8 are kept
@example(sample=Sample(width=14, name="caf\udce9"))
def test_every_config_survives_toml(tmp_path_factory, sample):
    path = tmp_path_factory.getbasetemp() / "sample.toml"
    path.write_text(to_toml(to_mapping(sample)), encoding="utf-8")
    assert build(Sample, read_toml(path)) == sample


@given(SAMPLES)
def test_every_config_survives_toml_in_a_table(tmp_path_factory, sample):
    path = tmp_path_factory.getbasetemp() / "table.toml"
    table = to_toml({"top": "x", "sample": to_mapping(sample), "other": {"a": 1}})
    path.write_text(table, encoding="utf-8")
    assert build(Sample, read_toml(path)["sample"]) == sample


def test_an_int_serves_as_a_float_and_a_list_as_a_tuple():
    sample = build(
        Sample,
        {"width": 2, "scale": 3, "betas": [0, 1], "sizes": [1, 2, 3], "limit": "none", "every": "100kimg"},
    )
    assert sample == Sample(
        width=2, scale=3.0, betas=(0.0, 1.0), sizes=(1, 2, 3), limit=None, every=Duration(images=100_000)
    )
    assert type(sample.scale) is float
    assert type(sample.betas[0]) is float


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"width": 1, "widht": 2}, "unknown setting t.widht (did you mean t.width)"),
        (
            {"width": 1, "zzzzz": 2},
            "unknown setting t.zzzzz (known here: betas, every, limit, mode, name, on, scale, sizes, width)",
        ),
        ({}, "t.width must be set"),
        ({"width": "4"}, "t.width = '4' must be a whole number"),
        ({"width": True}, "t.width = True must be a whole number"),
        ({"width": 1.5}, "t.width = 1.5 must be a whole number"),
        ({"width": 1, "on": 1}, "t.on = 1 must be true or false"),
        ({"width": 1, "scale": "big"}, "t.scale = 'big' must be a number"),
        ({"width": 1, "limit": "big"}, "t.limit = 'big' must be a number"),
        ({"width": 1, "betas": [1.0]}, "t.betas must hold 2 values, not 1"),
        ({"width": 1, "betas": 1.0}, "t.betas = 1.0 must be a list, as in [1, 2]"),
        ({"width": 1, "sizes": [1, "x"]}, "t.sizes[1] = 'x' must be a whole number"),
        ({"width": 1, "mode": "medium"}, "t.mode = 'medium' must be one of slow, fast"),
        ({"width": 13}, "t: width 13 is unlucky"),
        (
            {"width": 1, "every": "10 parsecs"},
            "t.every = '10 parsecs' is not a length of training: write 90s, 10m, 2h, 250img or 50kimg",
        ),
    ],
)
def test_what_is_wrong_is_named(mapping, sentence):
    with pytest.raises(ConfigError) as caught:
        build(Sample, mapping, "t")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"trian": {}}, "unknown setting trian (did you mean train)"),
        ({"train": 5}, "train = 5 must be a table: write [train]"),
        ({"model": 5}, "model = 5 must be a table"),
        ({"model": {"width": 5}}, 'model.name must name a model, as in [model] name = "dcgan"'),
        ({"train": {"batch": 0}}, "train.batch = 0 must be 1 or more"),
        ({"train": {"lr_g": 0}}, "train.lr_g = 0.0 must be above 0 and finite"),
        ({"train": {"beta2": 1}}, "train.beta2 = 1.0 must lie in [0, 1)"),
        ({"train": {"lr_d": float("nan")}}, "train.lr_d = nan must be above 0 and finite"),
        ({"train": {"precision": "fp8"}}, "train.precision = 'fp8' must be one of auto, fp32, bf16"),
        ({"loss": {"penalty_interval": 0}}, "loss.penalty_interval = 0 must be 1 or more"),
        ({"data": {"mirror": "yes"}}, "data.mirror = 'yes' must be true or false"),
        ({"data": {"rotate": -5}}, "data.rotate = -5.0 must lie in [0, 180], degrees either way"),
        ({"data": {"scale": 1.1}}, "data.scale = 1.1 must lie in [0, 1], as in 0.1"),
        ({"data": {"fit": "stretch"}}, "data.fit = 'stretch' must be one of crop, pad"),
        ({"data": {"split": "dev"}}, "data.split = 'dev' must be one of train, val, test, extra, all"),
    ],
)
def test_impossible_runs_are_refused(tables, sentence):
    with pytest.raises(ConfigError) as caught:
        build(RunConfig, tables)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "length", "again"),
    [
        ("10m", Duration(seconds=600.0), "10m"),
        ("90s", Duration(seconds=90.0), "90s"),
        ("1.5s", Duration(seconds=1.5), "1.5s"),
        ("120m", Duration(seconds=7200.0), "2h"),
        ("50kimg", Duration(images=50_000), "50kimg"),
        ("2.5kimg", Duration(images=2500), "2500img"),
        ("250 img", Duration(images=250), "250img"),
    ],
)
def test_lengths_of_training(text, length, again):
    assert Duration.parse(text) == length
    assert str(length) == again


@pytest.mark.parametrize(
    "text", ["", "0", "-5m", "5 weeks", True, "0kimg", "nan", "1e3", None, "1" * 5000 + "s"]
)
def test_no_length_of_training(text):
    with pytest.raises(ConfigError, match="is not a length of training"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("text", "amount"), [("10", "10"), (10, "10"), (100_000, "100000"), ("2.5", "2.5"), (1.5, "1.5")]
)
def test_a_length_without_its_unit_is_asked_which_is_meant(text, amount):
    with pytest.raises(ConfigError) as caught:
        Duration.parse(text, "--budget")
    assert str(caught.value) == (
        f"--budget = {text!r} has no unit: write {amount}m (minutes), {amount}h (hours), {amount}kimg (thousands of "
        f"images) or {amount}img"
    )


def test_older_files_of_settings_counted_images_where_no_unit_is_given():
    older = {"train": {"budget": 100_000, "log_every": "250", "eval_every": "10m", "batch": 8}}
    train = build(RunConfig, with_units(RunConfig, older)).train
    assert (train.budget, train.log_every) == (Duration(images=100_000), Duration(images=250))
    assert (train.eval_every, train.batch) == (Duration(seconds=600.0), 8)


def test_numbers_too_large_for_any_setting_are_refused_and_not_printed():
    huge = 10**5000
    for value in (huge, -huge, 2**63):
        with pytest.raises(ConfigError) as caught:
            build(RunConfig, {"train": {"batch": value}})
        assert "must be a whole number below 2**63" in str(caught.value)
        assert len(str(caught.value)) < 120
    for table in ({"lr_g": huge}, {"budget": huge}):
        with pytest.raises(ConfigError, match=r"must be a number below|is not a length of training"):
            build(RunConfig, {"train": table})
    with pytest.raises(
        ConfigError, match=r"train\.batch = a number of [\d,]+ digits must be a whole number below 2"
    ):
        build(RunConfig, overrides(["train.batch=" + "1" * 4400]))


def test_overrides_are_toml_where_they_can_be():
    pairs = [
        "a.b=1",
        "a.c=1e-3",
        "a.d=true",
        "a.e=10m",
        "a.f=[1, 2]",
        "a.g='x'",
        "h=x = 1\ny = 2",
        "a.b=2",
        "i = text ",
    ]
    expected = {
        "a": {"b": 2, "c": 1e-3, "d": True, "e": "10m", "f": [1, 2], "g": "x"},
        "h": "x = 1\ny = 2",
        "i": "text",
    }
    assert overrides(pairs) == expected


@pytest.mark.parametrize("pair", ["train.batch", "=3", "a..b=3", ".a=3"])
def test_an_override_without_key_or_value(pair):
    with pytest.raises(ConfigError, match=r"must read table\.key=value"):
        overrides([pair])


def test_merge_lays_tables_over_tables():
    base = {"a": {"x": 1, "y": 2}, "b": 1}
    assert merge(base, {"a": {"y": 3}, "c": 4}) == {"a": {"x": 1, "y": 3}, "b": 1, "c": 4}
    assert base == {"a": {"x": 1, "y": 2}, "b": 1}


def test_toml_errors_name_file_and_line(tmp_path):
    broken = tmp_path / "mine.toml"
    broken.write_text("[train]\nbatch = = 3\n")
    with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML .*line 2"):
        config.read_toml(broken)
    with pytest.raises(ConfigError, match=r"cannot read the settings .*: No such file"):
        config.read_toml(tmp_path / "absent.toml")
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config.read_toml(broken)


@pytest.mark.parametrize("name", config.preset_names())
def test_presets_on_disk_are_valid(name):
    run = build(RunConfig, config.preset(name))
    assert build(RunConfig, tomllib.loads(to_toml(to_mapping(run)))) == run


def test_an_unknown_preset_lists_the_known_ones():
    assert {"dcgan", "stylegan", "wgan-gp"} <= set(config.preset_names())
    with pytest.raises(ConfigError, match=r"unknown preset 'smal' \(did you mean small\?\); there are dcgan"):
        config.preset("smal")
    with pytest.raises(ConfigError, match=r"unknown preset 'biggan'; there are .*stylegan"):
        config.preset("biggan")


def test_the_defaults_of_a_run_are_what_an_empty_file_means():
    assert build(RunConfig, {}).train == TrainConfig()
