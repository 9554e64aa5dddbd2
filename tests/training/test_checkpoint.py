"""Checkpoints: whole or not at all, and every broken one is refused in one sentence."""

import errno
import json
import os
import shutil
from itertools import product

import pytest
import torch
from safetensors.torch import load_file, save_file

from fastgan.config import to_mapping
from fastgan.errors import CheckpointError, OutputError
from fastgan.tensors import open_tensors, save_tensors
from fastgan.training import checkpoint


@pytest.fixture
def run(make, tmp_path):
    """A run folder with two checkpoints, at 4 and 8 images, and the trainer that wrote them."""
    trainer = make("stylegan")
    for _ in range(2):
        trainer.step()
        store(trainer, tmp_path)
    return tmp_path, trainer


def store(trainer, folder, keep=2):
    model, optimizer = trainer.state_dict()
    config = to_mapping(trainer.config)
    config["data"]["source"] = "/home/someone/private"
    state = {"cur_nimg": trainer.cur_nimg, "config": config, "data": {"class_names": ["cat"]}, "seconds": 1.0}
    return checkpoint.save(folder, model=model, optimizer=optimizer, state=state, keep=keep)


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "named", ["checkpoints/../../other/checkpoints/000000008", "..", "/etc", "checkpoints/..", "a\0b"]
)
def test_latest_names_nothing_outside_of_its_run(run, tmp_path, named):
    folder, *_ = run
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    shutil.copytree(folder / "checkpoints" / "000000008", tmp_path / "other" / "checkpoints" / "000000008")
    (folder / "latest").write_text(named)
    with pytest.raises(CheckpointError, match="which is not a folder of the run"):
        checkpoint.locate(folder)


def test_latest_names_the_newest_and_old_ones_go(run):
    folder, trainer = run
    assert names(folder) == ["000000004", "000000008"]
    assert (folder / "latest").read_text() == "checkpoints/000000008\n"
    trainer.step()
    store(trainer, folder)
    assert names(folder) == ["000000008", "000000012"]
    assert checkpoint.load(folder).state["cur_nimg"] == 12
    assert checkpoint.load(folder / "checkpoints" / "000000008").state["cur_nimg"] == 8


def test_saving_after_going_back_drops_the_future_that_was_left(run):
    folder, trainer = run
    trainer.cur_nimg = 6
    store(trainer, folder)
    assert names(folder) == ["000000004", "000000006"]
    assert checkpoint.load(folder).state["cur_nimg"] == 6


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_file_cut_anywhere_is_seen(run, name, share):
    folder, _ = run
    path = folder / "checkpoints" / "000000008" / name
    content = path.read_bytes()
    cut = content[: int(len(content) * share)]
    path.write_bytes(cut if name.endswith("safetensors") or share < 0.9 else content[:-3])
    with pytest.raises(CheckpointError, match=f"{name} is (cut short or )?damaged|{name} is cut short"):
        checkpoint.load(folder)
    assert checkpoint.load(folder / "checkpoints" / "000000004").state["cur_nimg"] == 4


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_missing_file_is_named(run, name):
    folder, _ = run
    (folder / "checkpoints" / "000000008" / name).unlink()
    with pytest.raises(CheckpointError, match=f"is not whole: {name} is missing"):
        checkpoint.load(folder)


def test_what_is_no_checkpoint_says_so(run, tmp_path):
    folder, _ = run
    with pytest.raises(CheckpointError, match="neither a training run nor a checkpoint"):
        checkpoint.load(tmp_path / "absent")
    shutil.rmtree(folder / "checkpoints" / "000000008")
    with pytest.raises(CheckpointError, match="names 'checkpoints/000000008', which is not a folder"):
        checkpoint.load(folder)
    (folder / "latest").unlink()
    (folder / "config.toml").touch()
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 99}, "has format 99, and this fastgan reads format 1"),
        ({"cur_nimg": "many"}, "cur_nimg should be a whole number, and is 'many'"),
        ({"cur_nimg": -1}, "cur_nimg -1 and seconds"),
        ({"config": None}, "config should be a table of names and values, and is null"),
        ({"config": {}}, "config.model is missing"),
        ({"config": {"model": {"name": 5}}}, "config.model.name should be text, and is 5"),
        ({"config": {"model": {"name": "x"}, "train": {"ema_kimg": ["a"]}}}, "config.train.ema_kimg"),
        ({"data": {"class_names": "cat"}}, "data.class_names should be a list, and is 'cat'"),
        ({"data": {"class_names": ["cat", 5]}}, r"data.class_names\[1\] should be text, and is 5"),
        ({"watch": {"bad": [1]}}, "watch.bad should be a table"),
        ({"seconds": float("inf")}, "must be 0 or more, and finite"),
    ],
)
def test_unknown_formats_are_refused(run, change, sentence):
    path = run[0] / "checkpoints" / "000000008" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.load(run[0])


def test_a_full_disk_leaves_the_previous_checkpoint(run, monkeypatch):
    folder, trainer = run
    trainer.step()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_tensors", full)
    with pytest.raises(
        OutputError, match=r"could not save .*000000012 \(No space left on device\); .*000000008 remains"
    ):
        store(trainer, folder)
    assert names(folder) == ["000000004", "000000008"]
    assert checkpoint.load(folder).state["cur_nimg"] == 8


def test_the_optimiser_takes_the_layout_of_its_parameters(run, make):
    folder, _ = run
    fresh = make("stylegan")
    fresh.load_state_dict(checkpoint.load(folder))
    for parameter, state in fresh.d_optimizer.state.items():
        assert state["exp_avg"].stride() == parameter.stride()
        assert state["step"].device == parameter.device


@pytest.mark.parametrize("ema", [True, False])
def test_a_generator_comes_back_from_run_and_checkpoint(run, ema):
    folder, trainer = run
    expected = (trainer.average if ema else trainer.generator).state_dict()
    for path in (folder, folder / "checkpoints" / "000000008"):
        generator, state = checkpoint.load_generator(path, ema=ema)
        assert not generator.training
        assert generator(torch.randn(3, 16)).shape == (3, 3, 16, 16)
        assert all(
            torch.equal(tensor, expected[name].cpu()) for name, tensor in generator.state_dict().items()
        )
        assert state["config"]["model"]["name"] == "stylegan"


def test_an_average_is_chosen_by_its_half_life(make, tmp_path):
    trainer = make("scheduled")
    for _ in range(3):
        trainer.step()
    folder = store(trainer, tmp_path)
    for ema, prefix in ((True, "g_ema"), (10, "g_ema"), (0.5, "g_ema_500"), (0.0, "g_ema_0"), (False, "g")):
        generator, _ = checkpoint.load_generator(folder, ema=ema)
        for name, tensor in generator.state_dict().items():
            assert torch.equal(tensor, trainer.state_dict()[0][f"{prefix}.{name}"].cpu())
    with pytest.raises(CheckpointError, match=r"no average of a half-life of 3 kimg: there are 10, 0.5, 0"):
        checkpoint.load_generator(folder, ema=3.0)
    checkpoint.save_release(tmp_path / "release.safetensors", checkpoint.load(folder))
    assert len(checkpoint.load_networks(tmp_path / "release.safetensors")) == len(
        trainer.average.state_dict()
    )


def test_a_release_is_one_file_that_tells_nothing_of_this_machine(run, tmp_path):
    folder, trainer = run
    path = tmp_path / "face.safetensors"
    checkpoint.save_release(path, checkpoint.load(folder))
    assert b"private" not in path.read_bytes()
    generator, state = checkpoint.load_generator(path)
    expected = trainer.average.state_dict()
    assert all(torch.equal(tensor, expected[name].cpu()) for name, tensor in generator.state_dict().items())
    assert state["data"]["class_names"] == ["cat"]
    with pytest.raises(CheckpointError, match="holds the averaged generator alone"):
        checkpoint.load_generator(path, ema=False)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        checkpoint.load_generator(path)


def test_a_safetensors_file_of_others_is_no_release(tmp_path):
    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="was not written by fastgan"):
        checkpoint.load_generator(path)


def test_a_generator_of_another_architecture_is_refused(run):
    edit_state(run[0], w_dim=32)
    with pytest.raises(CheckpointError, match="another architecture"):
        checkpoint.load_generator(run[0])


LOADS = (checkpoint.load_generator, checkpoint.load_networks)
HUGE = {"resolution": 4096, "channel_multiplier": 16.0, "z_dim": 65536, "w_dim": 65536}


def edit_state(run, **model):
    """Change the model that the newest checkpoint says it is, as one who knows of the fingerprint would."""
    path = run / "checkpoints" / "000000008" / "state.json"
    state = json.loads(path.read_text())
    del state["sha256"]
    state["config"]["model"] |= model
    state["resolution"] = state["config"]["model"]["resolution"]
    path.write_text(json.dumps(state))


def released(run):
    """Its release, as a path, tensors and metadata."""
    path = run / "generator.safetensors"
    checkpoint.save_release(path, checkpoint.load(run))
    with open_tensors(path) as file:
        return path, {name: file.get_tensor(name) for name in file.entries}, file.metadata()


def test_a_size_that_is_only_claimed_takes_no_memory(run):
    """It is a terabyte: taking it would fail in another way."""
    folder, _ = run
    path, tensors, metadata = released(folder)
    edit_state(folder, **HUGE)
    state = json.loads(metadata["fastgan"])
    state["config"]["model"] |= HUGE
    save_file(tensors, path, {"fastgan": json.dumps(state)})
    for source, load in product((folder, path), LOADS):
        with pytest.raises(CheckpointError, match="holds another architecture"):
            load(source)


def test_settings_that_no_model_has_name_the_file(run):
    path, tensors, metadata = released(run[0])
    for wrong in ({"resolution": 10**9}, {"blocks": 7}, {"name": "no such"}, {"mapping_layers": 10**9}):
        state = json.loads(metadata["fastgan"])
        state["config"]["model"] |= wrong
        save_tensors(path, tensors, {"fastgan": json.dumps(state)})
        with pytest.raises(CheckpointError, match=r"generator\.safetensors cannot be built"):
            checkpoint.load_generator(path)


def test_weights_that_are_no_numbers_are_refused(run):
    folder, _ = run
    path, tensors, metadata = released(folder)
    name = next(name for name in tensors if name.endswith("weight"))
    loaded = checkpoint.load(folder)
    for value in (float("nan"), float("-inf")):
        tensors[name].view(-1)[2] = value
        save_tensors(path, tensors, metadata)
        loaded.model[f"g_ema.{name}"].view(-1)[2] = value
        checkpoint.save(folder, model=loaded.model, optimizer=loaded.optimizer, state=loaded.state, keep=2)
        for load in LOADS:
            with pytest.raises(
                CheckpointError, match=rf"generator.safetensors: 1 of the .* numbers of {name} are"
            ):
                load(path)
        for load in (*LOADS, checkpoint.load):
            with pytest.raises(
                CheckpointError, match=rf"1 of the .* numbers of g_ema\.{name} are NaN or infinite"
            ):
                load(folder)


def test_what_is_not_known_of_the_data_is_nan_and_no_damage(run):
    folder, _ = run
    loaded = checkpoint.load(folder)
    told = loaded.model | {"conditions.attributes": torch.tensor([[1.0, float("nan")]])}
    checkpoint.save(folder, model=told, optimizer=loaded.optimizer, state=loaded.state, keep=2)
    checkpoint.load(folder)
    assert checkpoint.load_sample(folder)["attributes"].isnan().sum() == 1


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_flipped_bit_in_a_checkpoint_is_seen(run, name, monkeypatch):
    folder, _ = run
    path = folder / "checkpoints" / "000000008" / name
    whole = path.read_bytes()
    name_at = whole.index(b"sha256")
    for at in [*range(20, len(whole), len(whole) // 50), *range(name_at, name_at + 6)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match=r"damaged|has format"):
            checkpoint.load(folder)
    path.write_bytes(whole)
    checkpoint.load(folder)
    if name == "state.json":
        path.write_text(path.read_text().replace('"seconds": 1.0', '"seconds": 2.0'))
        with pytest.raises(CheckpointError, match=r"not as it was written.*FASTGAN_VERIFY=0"):
            checkpoint.load(folder)
        monkeypatch.setenv("FASTGAN_VERIFY", "0")
        assert checkpoint.load(folder).state["seconds"] == 2


def test_a_flipped_bit_in_a_release_is_seen(run):
    path, _, _ = released(run[0])
    whole = path.read_bytes()
    for at in range(20, len(whole), len(whole) // 50):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match=r"cut short|holds another architecture"):
            checkpoint.load_generator(path)


def test_checkpoints_and_releases_of_older_versions_load(run):
    folder, trainer = run
    path, tensors, metadata = released(folder)
    save_file(tensors, path, {"fastgan": metadata["fastgan"]})
    edit_state(folder)  # which leaves the fingerprint out
    for name in ("model", "optimizer"):
        file = folder / "checkpoints" / "000000008" / f"{name}.safetensors"
        save_file(load_file(file), file)
    own = trainer.average.state_dict()
    for source in (folder, path):
        loaded = checkpoint.load_generator(source)[0].state_dict()
        assert all(torch.equal(loaded[name], own[name]) for name in own)
    assert checkpoint.load(folder).state["cur_nimg"] == 8


def test_a_pipe_is_called_one(tmp_path):
    os.mkfifo(tmp_path / "p.safetensors")
    for read in (checkpoint.describe, checkpoint.load_networks, checkpoint.load_generator):
        with pytest.raises(CheckpointError, match="is a named pipe, not a regular file"):
            read(tmp_path / "p.safetensors")
