"""GANs that start from a model of other images: what they take of it, and that it has not seen what is judged by."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastgan.config import Duration
from fastgan.errors import CheckpointError, ConfigError, DataError
from fastgan.study import gan, origin
from fastgan.study.labelled import Labelled
from fastgan.study.study import Study
from fastgan.training import checkpoint
from tests.study.conftest import TINY_GAN
from tests.study.images import bars

Make = Callable[..., Study]
STILL = (*TINY_GAN, "train.lr_g=1e-12", "train.lr_d=1e-12")


def trained(study: Study, images: Labelled, folder: Path, **changes: object) -> Path:
    """The run of a GAN of `images`."""
    recipe = replace(study.gan_recipe(), **changes)
    return gan.train(study.task, images, recipe, 7, folder, report=lambda said: None)


def test_gans_start_from_it_and_are_kept_by_what_it_is(small: Make, tmp_path: Path) -> None:
    run = trained(small(), bars(8, seed=1), tmp_path / "others")
    noted: list[str] = []
    study = small(gan_init_from=str(run), gan_sets=STILL)
    origin.unseen(study.origin, study.data.images[study.split.test], noted.append)
    assert not noted, "its training images are at hand, and none of them is a test image"
    desk = study.desk(study.scenarios[0], 0)
    started = trained(study, desk.train, study.folder / "gans")
    theirs, ours = checkpoint.load_networks(run), checkpoint.load_networks(started)
    weights = [name for name in theirs if name.endswith(".weight") and not name.startswith("g_ema.")]
    assert len(weights) > 10
    for name in weights:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)

    def identity(made: Study) -> str:
        return gan.identity(made.task, desk.train, made.gan_recipe(), 0)

    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    assert identity(small(gan_init_from=str(moved), gan_sets=STILL)) == identity(study)
    assert identity(small(gan_sets=STILL)) != identity(study)
    further = trained(small(), bars(8, seed=1), tmp_path / "further", budget=Duration(images=128))
    assert identity(small(gan_init_from=str(further), gan_sets=STILL)) != identity(study)


def test_one_that_has_seen_a_test_image_is_refused_and_so_is_its_offspring(
    small: Make, tmp_path: Path
) -> None:
    study = small()
    others = bars(8, seed=1)
    canary = study.data.take(study.split.test[:1])
    run = trained(study, others + Labelled(canary.images.flip(2), canary.targets), tmp_path / "spoilt")
    for source in (run, run / gan.RELEASE):
        with pytest.raises(
            DataError, match=r"was trained on 1 of the \d+ validation and test images of this"
        ):
            small(gan_init_from=str(source))
    child = small()
    child.origin = origin.open_origin(run)
    offspring = trained(child, others, tmp_path / "offspring")
    (offspring.parent / "train.fgd").unlink()
    with pytest.raises(DataError, match=rf"{run} was trained on 1 of"):
        small(gan_init_from=str(offspring))


def test_one_that_has_seen_test_images_at_half_their_size_has_seen_them(small: Make, tmp_path: Path) -> None:
    study = small()
    held = study.data.images[study.split.test]
    half = origin._smaller(held, 8)
    assert half.shape[1:3] == (8, 8)
    run = trained(study, Labelled(half, study.data.targets[study.split.test]), tmp_path / "half")
    with pytest.raises(DataError, match=rf"was trained on {len(held)} of the {len(held)} validation"):
        origin.unseen(origin.open_origin(run), held, print)


def test_what_it_was_trained_on_may_be_out_of_reach(small: Make, tmp_path: Path) -> None:
    run = trained(small(), bars(8, seed=1), tmp_path / "others")
    noted: list[str] = []
    held = bars(2, seed=2).images
    for source in (run / gan.RELEASE, run):
        (run.parent / "train.fgd").unlink(missing_ok=True)
        origin.unseen(origin.open_origin(source), held, noted.append)
    assert len(noted) == 2
    assert all("see to it that no validation or test image of this study is" in text for text in noted)


def test_what_does_not_fit_is_refused_before_anything_is_trained(small: Make, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither a training run nor a checkpoint"):
        small(gan_init_from=str(tmp_path))
    run = trained(small(), bars(8, seed=1), tmp_path / "others")
    with pytest.raises(
        ConfigError, match=r"nothing in .* fits .* is a swift of 16 px, and GANs are stylegan"
    ):
        small(gan_init_from=str(run), gan_preset="stylegan", gan_sets=("train.batch=8",))
    with pytest.raises(ConfigError, match="freezes what a network has learnt"):
        small(gan_sets=("train.freeze_d=1",))
    with pytest.raises(ConfigError, match="this discriminator has 3 blocks"):
        small(gan_init_from=str(run), gan_sets=("train.freeze_d=77",))
    with pytest.raises(ConfigError, match=r"would freeze .* of the discriminator, which .* does not have"):
        small(gan_init_from=str(run / gan.RELEASE), gan_sets=(*TINY_GAN, "train.freeze_d=1"))
    with pytest.raises(ConfigError, match="is --gan-init-from here"):
        small(gan_sets=("train.init_from=runs/0001",))
