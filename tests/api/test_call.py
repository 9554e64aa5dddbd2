"""What holds for each long call: flags, lists and callbacks of any type, and nothing of the caller's that changes."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastgan
from fastgan.data import survey
from fastgan.errors import ArgumentError, ConfigError, FastganError
from fastgan.naming import command_line, resuming
from fastgan.training import sizes
from tests.data.images import fill
from tests.tiny import tiny_run


class Listener(fastgan.Callback):
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    fill(folder, 6)
    return folder


@pytest.mark.parametrize(
    ("callback", "sentence"),
    [
        (Listener, r"callback=<class .*> is no callback: make one: Listener\(\)\."),
        ([Listener(), Listener], r"is no callback: make one: Listener\(\)\."),
        (print, "is no callback: subclass fastgan.Callback."),
        (3, "callback=3 is no callback"),
        ("wandb", "callback='wandb' is no callback"),
        ({"log": print}, "is no callback"),
        (torch.tensor(3), "is no callback"),
    ],
)
def test_what_is_no_callback_is_refused_before_the_work(
    run: Path, tmp_path: Path, callback: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        fastgan.generate(run, n=1, out=tmp_path / "out", callback=callback, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["no", None, 1, [], np.ones(2)])
def test_a_flag_is_true_or_false(run: Path, tmp_path: Path, value: Any) -> None:
    for name in ("overwrite", "grid", "interpolate", "style_mix", "progress"):
        flag: dict[str, Any] = {"progress": False, name: value}
        with pytest.raises(ConfigError, match=f"{name}=.* is neither True nor False: give one of them."):
            fastgan.generate(run, n=1, out=tmp_path / "out", **flag)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [np.int64, np.uint64, np.int32, torch.tensor])
def test_numbers_of_numpy_and_torch_are_numbers(run: Path, images: Path, tmp_path: Path, number: Any) -> None:
    done = fastgan.generate(
        run, n=number(2), seed=number(5), workers=number(2), out=tmp_path / "out", progress=False
    )
    assert (done.seeds, done.written) == ("5-6", 2)
    packed = fastgan.pack(
        images, tmp_path / "a.fgd", resolution=number(8), channels=number(1), progress=False
    )
    assert (packed.resolution, packed.channels) == (8, 1)


def test_one_text_is_one_item_and_no_list_of_letters(images: Path) -> None:
    with pytest.raises(ConfigError, match=r"dtypes='fp8' is unknown"):
        fastgan.bench("ops", dtypes="fp8", progress=False)
    with pytest.raises(ConfigError, match=r"dtypes=3 is no list: give several"):
        fastgan.bench("ops", dtypes=3, progress=False)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"ratios=2 is no list: give several"):
        fastgan.augment(images, ratios=2, progress=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("metrics", [None, 3, torch.tensor(3)])
def test_metrics_are_names(run: Path, images: Path, metrics: Any) -> None:
    with pytest.raises(ConfigError, match=r"metrics=.* is no list"):
        fastgan.evaluate(run, data=images, metrics=metrics, progress=False)


def test_no_metrics_are_no_card(run: Path, images: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics=\[\] names no metric: give one or more of fid, "):
        fastgan.evaluate(run, data=images, metrics=[], progress=False)


@pytest.mark.parametrize("name", ["group_by", "imbalance", "size", "gan_preset", "gan_init_from", "arms"])
def test_a_study_names_the_argument_that_is_of_another_type(images: Path, name: str) -> None:
    wrong: dict[str, Any] = {name: torch.tensor(1.5)}
    with pytest.raises(ConfigError, match=rf"{name}=tensor\(1\.5"):
        fastgan.augment(images, progress=False, dry_run=True, **wrong)


def test_an_operator_set_is_a_number(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="opset='17' is no whole number"):
        fastgan.export(run, tmp_path / "m.onnx", opset="17", progress=False)  # type: ignore[arg-type]


def test_a_tensor_without_dimensions_is_no_list(run: Path, tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"seeds": torch.tensor(3)}, {"classes": torch.tensor(3)}]
    for given in wrong:
        with pytest.raises(ConfigError, match=f"{next(iter(given))}=tensor"):
            fastgan.generate(run, out=tmp_path / "out", progress=False, **given)
    with pytest.raises(ConfigError, match=r"shard=3 is not INDEX/COUNT"):
        fastgan.generate(run, out=tmp_path / "out", progress=False, shard=3)  # type: ignore[arg-type]


def test_the_random_numbers_of_the_caller_go_on(images: Path, tmp_path: Path) -> None:
    settings = {"model.width": 2, "train.batch": 2, "train.grid_images": 4, "train.precision": "fp32"}
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run = fastgan.train(
        images,
        preset="dcgan",
        resolution=16,
        budget="4img",
        settings=settings,
        out=tmp_path / "run",
        device="cpu",
        progress=False,
    )
    fastgan.load(run, device="cpu").sample(2)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ConfigError):
        fastgan.train(resume=run, budget="4img", progress=False)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> fastgan.Run:
    settings = {"model.width": 2, "train.batch": 2, "train.grid_images": 4, "train.precision": "fp32"}
    out = tmp_path_factory.mktemp("runs") / "it's"
    return fastgan.train(
        images,
        preset="dcgan",
        resolution=16,
        budget="4img",
        settings=settings,
        out=out,
        device="cpu",
        progress=False,
    )


def test_what_goes_on_with_a_run_is_a_call_of_python(trained: fastgan.Run, images: Path) -> None:
    with pytest.raises(FastganError) as refused:
        fastgan.train(images, out=trained, progress=False)
    assert f"go on with fastgan.train(resume={str(trained.path)!r}), or choose another `out`" in str(
        refused.value
    )
    with command_line():
        assert resuming("a b", {"train.lr_g": "1e-4"}) == "fastgan train --resume 'a b' --set train.lr_g=1e-4"
    assert resuming("a b", {"train.lr_g": "1e-4"}) == (
        """fastgan.train(resume='a b', settings={"train.lr_g": 1e-4})"""
    )


def test_a_run_goes_on_in_its_own_folder(trained: fastgan.Run, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"`resume` goes on in .*: leave `out` away"):
        fastgan.train(resume=trained, out=tmp_path / "other", budget="6img", progress=False)
    assert not (tmp_path / "other").exists()
    with pytest.raises(ConfigError, match="has used up its budget"):
        fastgan.train(resume=trained.path / "latest", out=trained, budget="4img", progress=False)


def test_a_run_that_is_gone_still_has_a_name(trained: fastgan.Run, tmp_path: Path) -> None:
    copy = fastgan.Run(shutil.copytree(trained, tmp_path / "copy"))
    assert "4img" in repr(copy)
    shutil.rmtree(copy)
    assert repr(copy).startswith(f"Run({str(copy.path)!r}: ")
    assert copy._repr_html_() is None


def test_networks_are_made_of_any_whole_numbers() -> None:
    network = fastgan.create_model("dcgan", resolution=np.int64(16), width=torch.tensor(2), z_dim=np.int32(4))
    assert network(torch.zeros(1, 4)).shape == (1, 3, 16, 16)
    for wrong in (None, 3, np.ones(2)):
        with pytest.raises(ConfigError, match="there is no model"):
            fastgan.create_model(wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="pattern="):
            fastgan.list_models(wrong)  # type: ignore[arg-type]


def test_what_training_proposes_is_said_in_python_s_words(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 2, size=128)
    found = survey(tmp_path / "photos")
    _, why = sizes.choose(found, torch.device("cpu"))
    assert "resolution=128 shows more" in (why or "")
    with command_line():
        _, why = sizes.choose(found, torch.device("cpu"))
    assert "--resolution 128 shows more" in (why or "")
