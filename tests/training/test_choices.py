"""What is chosen, as a function of images, device, budget and speed; and that what is asked for is not."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from fastgan.config import Duration, build, merge, preset, preset_names
from fastgan.errors import ConfigError
from fastgan.training import assemble
from fastgan.training.choices.choose import attention, choose
from fastgan.training.choices.facts import Facts
from fastgan.training.choices.opened import Rule, comparable, opened
from fastgan.training.settings import RunConfig

CPU, GPU = 1.0, 30.0
"""How fast a machine is, in units of a core"""


def facts(images=3000, side=64, budget="30m", **more):
    return Facts(images=images, side=side, budget=Duration.parse(budget), **more)


def speed_of(machine):
    """Images a second, about as measured on one core: swift 190 at 64 px, stylegan of an eighth of the width 53."""

    def speed(tables):
        model = build(RunConfig, tables).model
        width = {"stylegan": 0.125, "r3gan": 0.125, "sle": 8, "dcgan": 32, "swift": 16}[model.name]
        own = getattr(model, "width", None) or model.channel_multiplier
        base = {"stylegan": 53, "r3gan": 20, "sle": 40, "dcgan": 190, "swift": 190}[model.name]
        return machine * base * (64 / model.resolution) ** 2 * (width / own) ** 1.5

    return speed


def chosen(name="small", given=None, machine=CPU, **about):
    tables, choices = choose(name, given or {}, facts(**about), speed_of(machine))
    return build(RunConfig, tables), choices


@pytest.mark.parametrize(
    ("name", "machine", "images", "side", "budget", "px", "more"),
    [
        ("small", CPU, 3000, 64, "2m", 32, {}),
        ("small", CPU, 3000, 64, "30m", 64, {}),
        ("small", CPU, 100, 64, "30m", 64, {}),
        ("small", CPU, 50_000, 512, "30m", 64, {}),
        ("small", CPU, 50_000, 512, "12h", 128, {}),
        ("small", CPU, 3000, 32, "12h", 32, {}),
        ("small", CPU, 3000, 16, "2m", 16, {}),
        ("small", GPU, 50_000, 512, "2m", 64, {}),
        ("small", GPU, 50_000, 512, "30m", 128, {}),
        ("small", GPU, 50_000, 512, "12h", 256, {}),
        ("stylegan", CPU, 3000, 64, "2m", 32, {"channel_multiplier": 0.125}),
        ("stylegan", CPU, 3000, 64, "30m", 32, {"channel_multiplier": 0.25}),
        ("stylegan", 1.7 * CPU, 3000, 64, "30m", 64, {"channel_multiplier": 0.125}),
        ("stylegan", CPU, 3000, 64, "12h", 64, {"channel_multiplier": 0.5}),
        ("stylegan", GPU, 3000, 64, "12h", 64, {"channel_multiplier": 1.0, "w_dim": 512}),
        ("few-shot", CPU, 300, 64, "2m", 32, {"width": 16}),
        ("few-shot", CPU, 300, 256, "1h", 128, {"width": 16}),
        ("dcgan", CPU, 3000, 64, "2m", None, {"width": 64}),
        ("wgan-gp", GPU, 3000, 64, "12h", None, {"width": 64}),
    ],
)
def test_machine_and_budget_buy_a_size(name, machine, images, side, budget, px, more):
    config, _ = chosen(name, machine=machine, images=images, side=side, budget=budget)
    assert config.model.asked("resolution") == px, "None: data and device decide"
    assert {key: getattr(config.model, key) for key in more} == more


@pytest.mark.parametrize("name", ["small", "stylegan", "r3gan", "few-shot"])
@pytest.mark.parametrize("side", [32, 128])
def test_more_time_never_buys_smaller_images_nor_a_faster_machine(name, side):
    for fixed, changed in (("machine", "budget"), ("budget", "machine")):
        steps = {"budget": ("2m", "30m", "12h", "200h"), "machine": (0.3, CPU, 4.0, GPU)}
        for value in steps[fixed]:
            found = [chosen(name, side=side, **{fixed: value, changed: step})[0] for step in steps[changed]]
            sizes = [config.model.asked("resolution") for config in found]
            assert sizes == sorted(sizes)
            for one, other in pairwise(found):
                if one.model.resolution == other.model.resolution and hasattr(
                    one.model, "channel_multiplier"
                ):
                    assert one.model.channel_multiplier <= other.model.channel_multiplier


@pytest.mark.parametrize("name", ["small", "stylegan", "r3gan", "few-shot"])
def test_what_is_chosen_comes_to_pictures_where_anything_does(name):
    for budget in ("2m", "30m", "12h"):
        about = facts(budget=budget, side=256)
        config, choices = chosen(name, budget=budget, side=256)
        reached = (
            about.seconds * speed_of(CPU)({"model": vars(config.model) | {"name": config.model.name}}) / 1000
        )
        short = any("too short even for" in choice.why for choice in choices)
        assert (reached >= 0.95 * config.train.usual_kimg) != short


def test_a_step_that_does_not_fit_into_memory_is_not_chosen():
    def speed(tables):
        return 0.0 if tables["model"]["channel_multiplier"] > 0.3 else 1e9

    tables, choices = choose("stylegan", {}, facts(), speed)
    assert tables["model"]["channel_multiplier"] == 0.25
    assert any("the largest that is fast enough" in choice.why for choice in choices)


@pytest.mark.parametrize("name", ["small", "stylegan", "r3gan"])
def test_a_budget_in_images_chooses_the_same_on_every_machine(name):
    found = [chosen(name, machine=machine, budget="79kimg")[0] for machine in (CPU, GPU)]
    assert found[0] == found[1]
    assert found[0].model.asked("resolution") is None
    tables, _ = choose(name, {}, facts(budget="2m"), None)  # nothing is measured: the same
    assert build(RunConfig, tables).model == found[0].model


def test_what_is_asked_for_is_followed():
    given = {
        "model": {"name": "dcgan", "resolution": 64},
        "train": {"batch": 8, "augment": "none", "lr_g": 1e-3},
    }
    config, choices = chosen(given=given, images=300, budget="2m", resolution=64)
    assert (config.model.resolution, config.train.batch, config.train.lr_g) == (64, 8, 1e-3)
    assert config.train.augment == "none"
    assert config.train.lr_d == 4e-4, "what is left open is chosen"
    assert not {"train.batch", "train.augment", "train.lr_g"} & {key for c in choices for key in c.settings}
    assert {"train.lr_d": 4e-4} in [choice.settings for choice in choices]
    config, choices = chosen("stylegan", given={"model": {"w_dim": 64}})
    assert (config.model.w_dim, config.model.channel_multiplier) == (64, 1.0), "a width of one's own"
    config, _ = chosen(given={"train": {"usual_kimg": 5.0}})
    assert config.train.usual_kimg == 5.0


def test_growing_stays_possible():
    config, _ = chosen("stylegan", given={"train": {"grow_from": 32}}, budget="2m")
    assert config.model.resolution == 64


@pytest.mark.parametrize(
    ("images", "conditional", "augment"),
    [
        (100, False, "color,translation,cutout"),
        (500, False, "color,translation,cutout"),
        (100, True, "ada"),
        (501, False, "ada"),
        (2000, False, "ada"),
        (2001, False, "ada"),
        (50_000, False, "ada"),
    ],
)
def test_what_few_shot_knows_holds_in_the_default_too(images, conditional, augment):
    found, said = chosen("small", images=images, conditional=conditional, resolution=64)
    few, _ = chosen("few-shot", images=images, conditional=conditional, resolution=64)
    small = preset("small")["train"]
    for config in (found, few)[: 1 + (images <= 2000)]:
        assert config.train.augment == augment
        assert all(getattr(config.train, key) == small[key] for key in ("batch", "lr_g", "lr_d"))
    assert found.loss == few.loss
    assert all(
        preset("small")["train"].get(key.partition(".")[2]) != value
        for c in said
        for key, value in c.settings.items()
    )


@pytest.mark.parametrize(
    ("images", "px", "batch", "rates"),
    [
        (100, 64, 16, (2e-4, 4e-4)),
        (500, 64, 32, (2e-4, 4e-4)),
        (100, 32, 32, (8e-4, 8e-4)),
        (2000, 32, 32, (8e-4, 8e-4)),
    ],
)
def test_a_dcgan_that_few_shot_is_asked_for_is_trained_as_it_was_measured(images, px, batch, rates):
    config, _ = chosen("few-shot", given={"model": {"name": "dcgan"}}, images=images, resolution=px)
    assert (config.train.batch, config.train.lr_g, config.train.lr_d) == (batch, *rates)
    assert (config.model.norm, config.loss.penalty_weight, config.loss.penalty_interval) == ("none", 0.5, 4)
    assert (config.loss.penalty, config.train.beta1, config.train.beta2) == ("r1", 0.0, 0.99)
    assert (config.loss.reconstruction, config.train.reuse_fakes) == (0.0, False)


@pytest.mark.parametrize("model", ["stylegan", "r3gan"])
def test_few_shot_knows_the_batch_of_a_model_that_it_did_not_measure(model):
    given, batches = {"model": {"name": model}}, []
    for images in (100, 600):
        config, _ = chosen("few-shot", given=given, images=images, resolution=64)
        batches.append(config.train.batch)
        assert (config.loss.reconstruction, config.train.reuse_fakes) == (0.0, False)
        assert config.train.lr_g == preset(model)["train"]["lr_g"]
    assert batches == [16, 32]


@pytest.mark.parametrize("name", ["small", "demo"])
@pytest.mark.parametrize("model", ["dcgan", "sle", "stylegan", "r3gan"])
@pytest.mark.parametrize("images", [100, 5000])
def test_only_the_model_that_it_was_chosen_for_reconstructs(name, model, images):
    config, said = chosen(name, given={"model": {"name": model}}, images=images, resolution=64)
    assert (config.loss.reconstruction, config.train.reconstruction_kimg) == (0.0, 0.0)
    assert config.train.reuse_fakes is False
    assert "measured with the model swift alone" in [choice.why for choice in said]
    own, _ = chosen(name, images=images, resolution=64)
    assert own.loss.reconstruction == preset(name)["loss"]["reconstruction"]
    assert own.train.reuse_fakes is True
    given = {"model": {"name": model}, "loss": {"reconstruction": 3.0}, "train": {"reconstruction_kimg": 1.0}}
    asked, _ = chosen(name, given=given, images=images, resolution=64)
    assert (asked.loss.reconstruction, asked.train.reconstruction_kimg) == (3.0, 1.0)


@pytest.mark.parametrize(("images", "rates"), [(300, (2e-4, 4e-4)), (5000, (8e-4, 8e-4))])
def test_a_dcgan_in_the_default_is_the_default_before_swift(images, rates):
    config, _ = chosen("small", given={"model": {"name": "dcgan"}}, images=images, resolution=64)
    assert (config.model.width, config.model.norm) == (32, "none")
    assert (config.loss.penalty, config.loss.penalty_weight, config.loss.penalty_interval) == ("r1", 0.5, 4)
    assert (config.train.lr_g, config.train.lr_d) == rates


def test_in_the_default_a_projected_discriminator_changes_nothing_of_the_rest():
    projected = {"discriminator": {"name": "projected", "features": "random", "size": 32}}
    config, _ = chosen("small", given=projected, images=300, projected=True, resolution=64)
    plain = build(RunConfig, preset("small"))
    assert config.loss == plain.loss
    assert replace(config.train, budget=plain.train.budget, usual_kimg=None) == plain.train


def test_at_32_px_few_shot_is_the_default():
    few, small = (chosen(name, images=600, side=32)[0] for name in ("few-shot", "small"))
    assert few == small


@pytest.mark.parametrize(
    ("name", "about", "why"),
    [
        ("small", {"side": 64}, "as large as the images allow, and 30m is enough for it"),
        (
            "small",
            {"side": 128, "budget": "2m"},
            "the images have 128 px, and 2m is too short to learn more than 32 px",
        ),
        (
            "small",
            {"budget": "5s"},
            "the images have 64 px, and 5s is too short even for 32 px, which come nearest",
        ),
        (
            "small",
            {"side": 512, "budget": "90h"},
            "the images have 512 px, and small trains at 256 px at most",
        ),
        ("few-shot", {"side": 48}, "the power of two that suits images of 48 px"),
        (
            "few-shot",
            {"side": 48, "budget": "9kimg"},
            "the power of two that suits images of 48 px, and a budget in",
        ),
        (
            "few-shot",
            {"side": 512, "budget": "9kimg"},
            "the images have 512 px, and few-shot trains at 256 px at most",
        ),
    ],
)
def test_the_reason_for_a_resolution_is_the_reason(name, about, why):
    _, choices = chosen(name, **about)
    assert choices[0].why.startswith(why)


def test_a_dcgan_or_swift_to_start_from_settles_the_resolution_of_few_shot():
    start = {"name": "dcgan", "width": 8, "resolution": 16}
    config, choices = chosen("few-shot", budget="5h", start=start)
    assert (config.model.resolution, config.model.width) == (16, 8)
    assert choices[0].why.startswith("that of the dcgan to start from")
    config, choices = chosen("few-shot", budget="5h", start=start | {"name": "swift"})
    assert (config.model.name, config.model.resolution, config.model.width) == ("swift", 16, 8)
    assert choices[0].why.startswith("that of the swift to start from")
    config, _ = chosen("few-shot", budget="9h", start=start, given={"model": {"name": "stylegan"}})
    assert config.model.resolution == 64, "most of a StyleGAN fits at any"


MODELS = {
    "swift": {"width": 4},
    "dcgan": {"width": 4},
    "sle": {"width": 1},
    "stylegan": {"channel_multiplier": 0.03, "w_dim": 16},
    "r3gan": {"channel_multiplier": 0.01, "blocks": 1},
}


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_few_shot_suits_a_model_that_was_asked_for(name, projected):
    given = {"model": {"name": name, "resolution": 16, **MODELS[name]}}
    if projected:
        given["discriminator"] = {"name": "projected", "features": "random", "size": 32}
    about = facts(images=300, side=16, budget="9kimg", projected=projected, resolution=16)
    tables, choices = choose("few-shot", given, about)
    config = assemble.resolve(build(RunConfig, tables))
    assemble.networks(config, torch.device("cpu"))
    assert config.model.name == name
    if projected or name not in ("dcgan", "sle", "swift"):
        own = build(RunConfig, preset("projected" if projected else name))
        unused = {"penalty_weight": 10.0, "penalty_interval": 1} if projected else {}  # there is no penalty
        assert replace(config.loss, **unused) == own.loss
        assert (config.train.lr_g, config.train.lr_d) == (own.train.lr_g, own.train.lr_d)
        assert not any("R1" in c.why or "gamma" in c.why or "fastest" in c.why for c in choices)


@pytest.mark.parametrize("images", [100, 50_000])
@pytest.mark.parametrize("side", [16, 64, 256])
@pytest.mark.parametrize("name", sorted({*preset_names()} - {"projected"}))
def test_every_choice_is_a_setting_that_can_be_trained_with(images, side, name):
    config, choices = chosen(name, images=images, side=side, resolution=side)
    assemble.resolve(replace(config, model=replace(config.model, resolution=side)))
    assert all(choice.why or {*choice.settings} <= {"train.usual_kimg"} for choice in choices)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (5000, "few-shot is made for 100 to 2,000 images, and there are 5,000: compare with --preset small"),
        (55, "few-shot is made for 100 to 2,000 images, and there are 55: fewer than 100 were not measured"),
        (1, "few-shot is made for 100 to 2,000 images, and there is 1: fewer than 100 were not measured"),
    ],
)
def test_a_set_of_another_size_is_told_so(images, sentence):
    assert attention("few-shot", images) == [sentence]
    assert attention("small", images) == []
    assert not any("1 images" in str(choice) for choice in chosen("few-shot", images=images)[1])


def test_papers_keep_their_sizes_and_say_what_they_usually_need():
    for name in ("dcgan", "wgan", "wgan-gp"):
        assert not opened(name).sizes
        assert not opened(name).rules
        assert not opened(name).resolution
        assert opened(name).usual(32) > 0


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r'images = "few" must be a range'.replace('"', "'")):
        Rule(settings={}, why="", images="few")


def test_what_is_open_is_not_compared_with_a_run():
    there = comparable("small")
    assert "lr_g" not in there["train"], "few images are trained otherwise"
    assert there["train"]["beta2"] == 0.99
    assert comparable("few-shot") == {}
    assert comparable("dcgan") == merge(preset("dcgan"), {})
