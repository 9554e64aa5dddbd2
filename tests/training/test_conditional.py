"""Training on labels and attributes: which c meets which image, exact resumption, what checkpoints hold."""

from dataclasses import replace

import pytest
import torch

from fastgan import models
from fastgan.data.dataset import Dataset
from fastgan.data.feed import Feed
from fastgan.errors import ConfigError
from fastgan.training import assemble, checkpoint, conditions, transfer, weights
from fastgan.training.log import Grid
from tests.training.conftest import PROJECTED, small
from tests.training.test_graphs import with_stand_in
from tests.training.test_trainer import assert_same_bits, run, through_disk

NAMES = ("smiling", "age")
CASES = {
    "labels": ("dcgan", "labels", {}),
    "attributes, penalised": ("wgan-gp", "attributes", {}),
    "both, R1": ("stylegan", "both", {}),
    "both, relativistic": ("r3gan", "both", {}),
    "auxiliary labels": ("dcgan", "labels", {"model": {"conditioning": "auxiliary"}}),
    "auxiliary, R1, ada": (
        "stylegan",
        "both",
        {"model": {"conditioning": "auxiliary"}, "train": {"augment": "ada", "ada_kimg": 0.05}},
    ),
    "auxiliary, relativistic": ("r3gan", "attributes", {"model": {"conditioning": "auxiliary"}}),
    "spectral": ("dcgan", "both", {"loss": {"name": "hinge", "spectral_norm": True}}),
    "projected": ("stylegan", "both", {"discriminator": PROJECTED}),
    "projected, auxiliary, relativistic": (
        "r3gan",
        "both",
        {"discriminator": PROJECTED, "model": {"conditioning": "auxiliary"}},
    ),
    "path length, frozen": ("stylegan", "labels", {"loss": {"path_length": 1.0}, "train": {"freeze_d": 1}}),
    "in parts": ("wgan-gp", "both", {"train": {"accumulate": 2}}),
}


@pytest.fixture(scope="module")
def labelled(dataset: Dataset) -> Dataset:
    generator = torch.Generator().manual_seed(2)
    n = len(dataset)
    attributes = torch.stack(
        [
            torch.randint(0, 2, (n,), generator=generator).float(),
            torch.randn(n, generator=generator),
        ],
        dim=1,
    )
    attributes[::5, 0] = float("nan")
    return replace(
        dataset,
        labels=torch.arange(n) % 3,
        class_names=("a", "b", "c"),
        attributes=attributes,
        attribute_names=NAMES,
    )


@pytest.fixture
def conditional(labelled, device):
    """conditional(preset, what, precision="fp32", table={key: value}...) -> a fresh small Trainer."""

    def build_one(name, what, precision="fp32", **tables):
        tables["data"] = {"conditional": what, **tables.get("data", {})}
        config = assemble.resolve(small(name, **tables), labelled)
        feed = Feed(labelled, device=device, seed=config.train.seed)
        return assemble.make_trainer(config, feed, device, precision)

    return build_one


@pytest.mark.parametrize("case", CASES)
def test_conditional_training_resumes_bit_for_bit_through_buffers_or_not(conditional, case, tmp_path, device):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    name, what, tables = CASES[case]
    unbroken = conditional(name, what, **tables)
    before = {key: tensor.clone() for key, tensor in unbroken.state_dict()[0].items()}
    run(unbroken, 6)
    moved = {key for key, t in unbroken.state_dict()[0].items() if not torch.equal(t, before[key])}
    for key in before:  # all that reads a condition has learnt
        if "condition." in key or key.startswith(("d.projection", "d.auxiliary")):
            assert key in moved, key
    assert unbroken.finite()

    first = conditional(name, what, **tables)
    run(first, 4)
    second = conditional(name, what, **tables)
    if "accumulate" not in tables.get("train", {}):
        second, _ = with_stand_in(second)
    second.load_state_dict(through_disk(first, tmp_path))
    run(second, 2)
    assert_same_bits(second, unbroken)


def test_bf16_trains(conditional):
    for name in ("dcgan", "r3gan", "stylegan"):
        trainer = conditional(name, "both", "bf16")
        run(trainer, 2)
        assert trainer.finite()


def test_fakes_share_the_reals_condition_in_the_discriminators_step_alone(conditional, labelled):
    trainer = conditional("wgan-gp", "both", train={"cuda_graphs": "off", "d_steps": 1})
    made, judged = [], []
    trainer.generator.register_forward_hook(lambda m, inputs, out: made.append(inputs[1]))
    judge = trainer.discriminator.judge
    trainer.discriminator.judge = lambda phi, c: (judged.append(c), judge(phi, c))[1]
    run(trainer, 1)
    batch = trainer.feed.batch(0, 4)
    real = trainer.encode(batch)
    assert real.shape == (4, 3 + 2 * 2)
    d_step, g_step = made
    assert torch.equal(d_step, real)
    assert torch.equal(g_step, trainer.encode(trainer.feed.conditions(0, 4)))
    assert len(judged) == 4  # real, fake, between them, and the generator's fakes
    assert all(torch.equal(c, real) for c in judged[:3])
    assert torch.equal(judged[3], g_step)


def test_a_relativistic_pair_shares_its_condition(conditional):
    trainer = conditional("r3gan", "labels", train={"cuda_graphs": "off"})
    judged = []
    judge = trainer.discriminator.judge
    trainer.discriminator.judge = lambda phi, c: (judged.append(c), judge(phi, c))[1]
    run(trainer, 1)
    real = trainer.encode(trainer.feed.batch(0, 4))
    assert len(judged) == 6  # two, the penalties at both, and two
    assert all(torch.equal(c, real) for c in judged)


def test_micro_batches_take_their_own_conditions(conditional):
    seen = {}
    for parts in (1, 2):
        trainer = conditional("wgan-gp", "both", train={"cuda_graphs": "off", "accumulate": parts})
        made = seen[parts] = []
        trainer.generator.register_forward_hook(lambda m, inputs, out, made=made: made.append(inputs[1]))
        run(trainer, 1)
    assert len(seen[2]) == 2 * len(seen[1])
    assert torch.equal(torch.cat(seen[1]), torch.cat(seen[2]))


def test_the_auxiliary_loss_counts_in_both_networks(conditional):
    """With a weight of 0 the classifier learns nothing; with 1 it does, and the generator's gradient differs."""
    weights, generators = {}, {}
    for weight in (0.0, 1.0):
        trainer = conditional(
            "dcgan", "both", model={"conditioning": "auxiliary"}, loss={"auxiliary_weight": weight}
        )
        before = trainer.discriminator.auxiliary.weight.clone()
        run(trainer, 2)
        weights[weight] = torch.equal(before, trainer.discriminator.auxiliary.weight)
        generators[weight] = trainer.state_dict()[0]["g.condition.embed.weight"]
        assert {"auxiliary_real", "auxiliary_fake"} <= set(trainer.take_losses())
    assert weights == {0.0: True, 1.0: False}
    assert not torch.equal(generators[0.0], generators[1.0])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("none", (0, 0)), ("labels", (3, 0)), ("attributes", (0, 2)), ("both", (3, 2)), ("auto", (3, 2))],
)
def test_the_data_says_what_there_is(labelled, asked, expected):
    model = assemble.resolve(small("dcgan", data={"conditional": asked}), labelled).model
    assert (model.classes, model.attributes) == expected


@pytest.mark.parametrize(
    ("asked", "lacking"),
    [
        ("labels", "labels"),
        ("attributes", "attributes"),
        ("both", "labels"),
        ("auto", "labels or attributes"),
    ],
)
def test_data_without_conditions_is_one_sentence(dataset, asked, lacking):
    with pytest.raises(ConfigError, match=rf"'{asked}' needs {lacking}, and these images have none: give"):
        assemble.resolve(small("dcgan", data={"conditional": asked}), dataset)


def test_one_class_is_none(dataset):
    single = replace(dataset, labels=torch.zeros(len(dataset), dtype=torch.int64), class_names=("a",))
    with pytest.raises(ConfigError, match="needs labels, and these images have a single class"):
        assemble.resolve(small("dcgan", data={"conditional": "labels"}), single)


def test_large_values_are_noted(labelled):
    config = assemble.resolve(small("dcgan", data={"conditional": "attributes"}), labelled)
    assert conditions.notes(config, labelled) == []
    years = replace(labelled, attributes=labelled.attributes * torch.tensor([1.0, 40.0]))
    (note,) = conditions.notes(config, years)
    assert "age goes beyond 10" in note
    plain = assemble.resolve(small("dcgan"), years)
    assert conditions.notes(plain, years) == []


def test_attributes_of_zeros_and_ones_are_binary(labelled):
    both = assemble.resolve(small("dcgan", data={"conditional": "both"}), labelled)
    assert conditions.binary(both, labelled).tolist() == [True, False]
    labels = assemble.resolve(small("dcgan", data={"conditional": "labels"}), labelled)
    assert conditions.binary(labels, labelled).tolist() == []


@pytest.mark.parametrize("what", ["none", "labels", "attributes", "both"])
def test_a_checkpoint_and_its_release_hold_the_joint_sample(conditional, labelled, what, tmp_path):
    trainer = conditional("dcgan", what)
    model, optimizer = trainer.state_dict()
    held = conditions.sample(trainer.config, labelled)
    expected = {"none": set(), "both": {"conditions.labels", "conditions.attributes"}}
    assert set(held) == expected.get(what, {f"conditions.{what}"})
    state = {"cur_nimg": 0, "config": {"model": models.table(trainer.config.model)}}
    checkpoint.save(tmp_path, model=model | held, optimizer=optimizer, state=state, keep=1)
    loaded = checkpoint.load(tmp_path)
    if what in ("labels", "both"):
        assert torch.equal(loaded.model["conditions.labels"], labelled.labels)
    trainer.load_state_dict(loaded)
    checkpoint.save_release(tmp_path / "g.safetensors", loaded)
    generator, _ = checkpoint.load_generator(tmp_path / "g.safetensors")
    assert generator.condition_dim == trainer.encode.condition_dim
    there = checkpoint.load_networks(tmp_path / "g.safetensors")
    assert not [name for name in there if "conditions." in name]
    raw = weights.read(tmp_path / "g.safetensors")
    assert {name for name in raw if name.startswith("conditions.")} == set(held)


def test_the_sample_keeps_rows_together_and_is_bounded(labelled, monkeypatch):
    monkeypatch.setattr(conditions, "SAMPLE", 7)
    config = assemble.resolve(small("dcgan", data={"conditional": "both"}), labelled)
    held = conditions.sample(config, labelled)
    assert len(held["conditions.labels"]) == 7
    pairs = set(zip(labelled.labels.tolist(), labelled.attributes[:, 1].tolist(), strict=True))
    labels, attributes = held["conditions.labels"].tolist(), held["conditions.attributes"][:, 1].tolist()
    assert set(zip(labels, attributes, strict=True)) < pairs


@pytest.mark.parametrize(("what", "rows"), [("labels", 3), ("both", 3), ("attributes", 4)])
def test_the_grid_has_a_row_for_each_class_and_a_column_for_each_latent(conditional, tmp_path, what, rows):
    trainer = conditional("dcgan", what, train={"grid_images": 16})
    grid = Grid(tmp_path, trainer)
    z, c = grid.z.view(rows, 4, -1), grid.c.view(rows, 4, -1)
    assert (z == z[0]).all()
    assert (c == c[:, :1]).all()
    assert len(c[:, 0].unique(dim=0)) == rows
    assert grid.tile(grid.draw()).shape == (rows * 16, 4 * 16, 3)
    if what != "attributes":
        assert torch.equal(c[:, 0, :3].cpu(), torch.eye(3))


def test_samples_without_a_condition_take_the_datas(conditional):
    trainer = conditional("dcgan", "both")
    z = torch.randn(3, trainer.z_dim)
    drawn = trainer.encode(trainer.feed.conditions(0, 3))
    assert torch.equal(trainer.sample(z), trainer.sample(z, drawn))


def test_another_label_set_is_taken_but_for_what_reads_it(conditional):
    source, target = conditional("stylegan", "labels"), conditional("stylegan", "both")
    there = {k: t.clone() for k, t in source.state_dict()[0].items()}
    generator, _, discriminator = transfer.initialise(target, there, "there")
    assert "mapping.condition.embed.weight ([16, 3] there, [16, 7] here)" in generator
    assert "stay projection.weight (" in discriminator
    assert torch.equal(
        target.state_dict()[0]["g.mapping.linears.0.weight"], there["g.mapping.linears.0.weight"]
    )
