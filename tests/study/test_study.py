"""A whole study: who trains on what, what is kept, and what comes out."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fastgan.config import Duration, merge, preset
from fastgan.data import open_dataset
from fastgan.errors import ConfigError, FastganError
from fastgan.study import filtering, gan, outcome, page, plan, report, transfer, write
from fastgan.study.batches import Course
from fastgan.study.desk import Desk
from fastgan.study.exam import Exam
from fastgan.study.labelled import Labelled
from fastgan.study.pace import OutOfTimeError
from fastgan.study.scenarios import Scenario
from fastgan.study.study import Study
from fastgan.training.choices import choose
from tests.study.test_transfer import backbone

Make = Callable[..., Study]
FEW = ("real", "classical", "synthetic x1")


def rows_of(images: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in images.flatten(1)}


def test_neither_gan_nor_classifier_ever_sees_a_test_image(
    small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test and validation images are the canaries.

    Whatever is shown in a step, given to the pretrained network (heads, taps, the filter) or to a GAN is looked through
    for them, but where a classifier is validated, and where it is examined.
    """
    monkeypatch.setattr(transfer, "open_backbone", lambda resolution: backbone())
    some = ("frozen transfer", "transfer", "synthetic x1 filtered", "all real")
    study = small(only=(*FEW, *some), transfer=True)
    seen: dict[str, set[bytes]] = {"training": set(), "validation": set(), "exam": set()}
    during = ["training"]

    def meanwhile(phase: str, method: Callable) -> Callable:
        def spied(*a: object) -> object:
            during.append(phase)
            try:
                return method(*a)
            finally:
                during.pop()

        return spied

    batches, prepare = Course.batches, transfer.Backbone.prepare

    def stepped(self: Course, *a: object) -> object:
        for batch in batches(self, *a):
            seen["training"].update(rows_of(batch.images))
            yield batch

    def prepared(self: transfer.Backbone, images: torch.Tensor) -> torch.Tensor:
        seen[during[-1]].update(rows_of(images))
        return prepare(self, images)

    monkeypatch.setattr(Course, "batches", stepped)
    monkeypatch.setattr(transfer.Backbone, "prepare", prepared)
    monkeypatch.setattr(Desk, "validate", meanwhile("validation", Desk.validate))
    monkeypatch.setattr(Exam, "grade", meanwhile("exam", Exam.grade))
    study.run()
    gans = list(study.folder.glob("gans/*/train.fgd"))
    assert len(gans) == 2
    for file in gans:
        seen["training"] |= rows_of(load_file(file)["images"])
    parts = {name: rows_of(study.data.images[rows]) for name, rows in study.split.parts().items()}
    assert seen["training"] & parts["train"]
    assert not seen["training"] & parts["test"]
    assert not seen["training"] & parts["val"]
    assert seen["validation"]
    assert seen["validation"] <= parts["val"]
    assert seen["exam"] >= parts["test"]


def test_a_gan_is_of_its_training_images_alone(small: Make) -> None:
    """The exam has the test images, and nothing that a GAN or a classifier is made from refers to it."""
    study = small()
    desk = study.desk(study.scenarios[0], 0)
    held = [value for value in vars(desk).values() if isinstance(value, Labelled)]
    test = rows_of(study.data.images[study.split.test])
    assert len(held) == 3
    assert not any(rows_of(part.images) & test for part in held)


def test_pairs_share_images_and_order(small: Make) -> None:
    study = small()
    first, again = (study.desk(study.scenarios[0], 1) for _ in range(2))
    assert torch.equal(first.train.images, again.train.images)
    real, classical = study.arms(study.scenarios[0])[:2]
    a, b = (next(desk.batches(arm, "cnn")) for desk, arm in ((first, real), (again, classical)))
    assert torch.equal(a.images, b.images)
    assert not torch.equal(first.train.images, study.desk(study.scenarios[0], 0).train.images)


def test_the_exam_is_taken_once(small: Make) -> None:
    study = small()
    constant = lambda images: torch.full((len(images), 3), 1 / 3)  # noqa: E731
    found = study.exam.grade("x", constant, study.pool)
    assert found.accuracy == pytest.approx(1 / 3, abs=0.02)
    with pytest.raises(ValueError, match="asked once"):
        study.exam.grade("x", constant, study.pool)


def test_a_whole_study_with_its_page_and_its_images(small: Make, tmp_path: Path) -> None:
    study = small(imbalance="square=3")
    finished = outcome.run(study, plan.fit(study, None, free_gan=False))
    assert [s["name"] for s in finished["scenarios"]] == ["8 a class", "8 a class, 3 of square"]
    assert finished == json.loads((study.folder / "report.json").read_text()) | {
        "data": finished["data"],
        "settings": finished["settings"],
    }
    plain, thinned = finished["scenarios"]
    names = {arm["name"]: arm for arm in plain["arms"]}
    assert {"synthetic x1 filtered", "synthetic x1 redrawn wide", "synthetic only"} < {*names}
    assert names["synthetic x1"]["synthetic_images"] == 24
    assert {*names["synthetic x1 filtered"]["filter"]} >= {"another class", "least real"}
    assert names["all real: classical"]["real_images"] > 24
    assert names["synthetic only"]["real_images"] == 0
    fill = next(arm for arm in thinned["arms"] if arm["name"] == "synthetic fill")
    assert (fill["real_images"], fill["synthetic_images"]) == (19, 5)
    assert thinned["measure"] == "recall:2"
    html = (study.folder / "report.html").read_text()
    assert html.count("<svg") >= 2
    assert html.count('src="data:image/png;base64,') == 3
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    sentences = [scenario["verdict"]["sentence"] for scenario in finished["scenarios"]]
    assert sentences[0].split("(")[0] in html
    document = tmp_path / "study.md"
    document.write_text(
        "before\n<!-- tables of tools/augmentation_study.py -->\nold\n<!-- end of tables -->\nafter\n"
    )
    tool = Path(__file__).parents[2] / "tools" / "augmentation_study.py"
    command = [sys.executable, tool, "table", study.folder.parent, "--write", document]
    subprocess.run(command, check=True)
    drawn = document.read_text()
    assert all(sentence in drawn for sentence in sentences)
    assert drawn.startswith("before\n")
    assert drawn.endswith("<!-- end of tables -->\nafter\n")
    assert "old" not in drawn
    written = write.write(study, finished, tmp_path / "more")
    manifest = json.loads((written / "manifest.json").read_text())
    assert {Path(image["file"]).parent.name for image in manifest["images"]} <= {"square"}
    assert len(open_dataset(written)) == len(manifest["images"])


def test_an_arm_whose_filter_let_nothing_through_is_not_judged(
    small: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It trained on real images alone, so it would pass for an arm that synthetic images do no harm to."""
    monkeypatch.setattr(
        filtering,
        "judge",
        lambda task, real, candidates, judges, near: filtering.Filtered(
            kept=torch.zeros(len(candidates), dtype=torch.bool), reasons={"another class": len(candidates)}
        ),
    )
    study = small(only=("real", "synthetic x1", "synthetic x1 filtered"))
    finished = outcome.run(study, plan.fit(study, None, free_gan=False))
    found = finished["scenarios"][0]
    arms = {arm["name"]: arm for arm in found["arms"]}
    filtered = arms["synthetic x1 filtered"]
    assert filtered["synthetic_images"] == 0
    assert filtered["main"] == arms["real"]["main"]
    assert filtered["over_best"] is None
    assert found["verdict"]["arm"] == "synthetic x1"
    html = (study.folder / "report.html").read_text()
    assert "none passed the filter" in html
    assert "Of the images of the first GAN the filter threw away: another class 72." in html
    only = small(only=("real", "synthetic x1 filtered"))
    finished = outcome.run(only, plan.fit(only, None, free_gan=False))
    assert "No classifier was trained on synthetic images" in finished["scenarios"][0]["verdict"]["sentence"]
    with pytest.raises(FastganError, match="nothing to write"):
        write.write(only, finished, tmp_path / "none")


def test_what_is_written_is_of_the_first_gan_that_passes_the_filter(
    small: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = small(only=("real", "synthetic x1 filtered"))
    first = study.desk(study.scenarios[0], 0).train
    allowed = [False, True]  # of the first seed, of the others

    def judge(task: object, real: Labelled, candidates: Labelled, *others: object) -> filtering.Filtered:
        kept = allowed[not torch.equal(real.images, first.images)]
        return filtering.Filtered(kept=torch.full((len(candidates),), kept), reasons={})

    monkeypatch.setattr(filtering, "judge", judge)
    finished = outcome.run(study, plan.fit(study, None, free_gan=False))
    manifest = json.loads((write.write(study, finished, tmp_path / "more") / "manifest.json").read_text())
    assert manifest["seed"] == 1
    assert manifest["images"]
    allowed[:] = False, False
    with pytest.raises(
        FastganError, match=r"no image passed the filter of 'synthetic x1 filtered'; train longer"
    ):
        write.write(study, finished, tmp_path / "none")


def test_class_names_that_become_the_same_folder_are_told_apart() -> None:
    names = ["a:b", "a?b", "A_B", "cat", "cat.", "..", "cat_2"]
    assert write._folders(names) == ["a_b", "a_b_2", "A_B_3", "cat", "cat_2", "_", "cat_2_2"]


def test_a_study_goes_on_where_it_was_stopped(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small(only=FEW)
    fitted = []
    fit = Desk.fit
    monkeypatch.setattr(
        Desk, "fit", lambda self, arm, hyper: fitted.append(arm.name) or fit(self, arm, hyper)
    )

    def stop(*a: object, **k: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(gan, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            study.run()
    done = list(fitted)
    again = small(only=FEW)
    again.run()
    whole = report.make(again, 0.0)
    assert len(whole["cells"]) == 3 * 2
    assert [found["cur_nimg"] for found in whole["gans"]] == [64, 64]
    assert fitted.count("real") == done.count("real") + 1  # of the second seed: the first was there
    fitted.clear()
    small(only=FEW).run()
    assert not fitted


def test_a_gan_that_was_interrupted_is_trained_on(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small()
    desk = study.desk(study.scenarios[0], 0)
    reports = []

    def hurry(report: object) -> None:
        reports.append(report.cur_nimg)  # type: ignore[attr-defined]
        if len(reports) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    place = study.folder / "gans"
    known = gan.identity(study.task, desk.train, study.gan_recipe(), 0)
    with pytest.raises(gan.Stopped):
        gan.train(study.task, desk.train, study.gan_recipe(), 0, place, report=hurry)
    assert gan.found(known, place) is None
    run = gan.train(study.task, desk.train, study.gan_recipe(), 0, place, report=lambda r: None)
    assert gan.found(known, place) == run
    assert gan.facts(run)["cur_nimg"] == 64
    other = gan.identity(study.task, study.desk(study.scenarios[0], 1).train, study.gan_recipe(), 0)
    assert other[:16] != run.parent.name


def test_the_preset_few_shot_chooses_by_the_training_images_of_its_cell(small: Make) -> None:
    study = small(gan_preset="few-shot", gan_sets=("train.batch=8",))
    few = study.desk(study.scenarios[0], 0).train
    recipe = study.gan_recipe()
    made = recipe.config(study.task, few, Path("train.fgd"), 0)
    assert (made.model.name, made.train.augment) == ("swift", "ada")
    assert made.loss.reconstruction > 0
    assert made.train.reuse_fakes
    assert made.train.batch == 8, "what is set is not chosen"
    bare = dataclasses.replace(recipe, sets=(("model", {"name": "dcgan"}),))
    large = Labelled(torch.zeros(100, 64, 64, 3, dtype=torch.uint8), torch.zeros(100, dtype=torch.int64))
    many = Labelled(large.images.repeat(6, 1, 1, 1), large.targets.repeat(6))
    batches = [bare.config(study.task, images, Path("train.fgd"), 0).train.batch for images in (large, many)]
    assert batches == [16, 32]
    short = dataclasses.replace(bare, budget=Duration(seconds=5))
    made = short.config(study.task, large, Path("train.fgd"), 0)
    assert (made.model.asked("resolution"), made.train.lr_g) == (None, 2e-4), (
        "images are made as large as classifiers see them, however short the time, and learnt as such"
    )


def test_time_that_is_up_ends_it_with_what_is_there(small: Make) -> None:
    study = small(only=FEW)
    study.deadline = 0.0
    with pytest.raises(OutOfTimeError):
        study.run()
    planned = plan.Plan(seconds=1.0, budget=0.0, sentence="")
    again = small(only=FEW)
    finished = outcome.run(again, planned)
    assert not finished["complete"]
    assert "the same call with a larger --budget goes on" in outcome.told(again, finished)
    assert page.render(again, finished)


def test_a_budget_decides_once_how_long_gans_are_trained(
    small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHORTEST", 1.0)

    def planned(budget: float | None, **changes: object) -> tuple[Study, plan.Plan]:
        study = small(only=("real", "synthetic x1"), **changes)
        return study, plan.fit(study, budget, free_gan=True)

    study, first = planned(25.0)
    assert first.gan_seconds
    assert 1 <= first.gan_seconds <= 12
    assert f"2 GANs of {Duration(seconds=first.gan_seconds)}" in first.sentence
    outcome.run(study, first)
    trained = {path.name for path in study.folder.glob("gans/*")}
    for budget in (25.0, 3600.0, None):
        again, there = planned(budget)
        assert there.sentence.startswith("everything is there already")
        assert again.settings.gan_budget == Duration(seconds=first.gan_seconds)
        assert [gan["seconds"] for gan in outcome.run(again, there)["gans"]]
    assert {path.name for path in study.folder.glob("gans/*")} == trained
    _, more = planned(3600.0, seeds=3)
    assert f"2 classifiers and 1 GANs of {Duration(seconds=first.gan_seconds)} to train" in more.sentence
    assert "GANs stay as long as an earlier budget made them" in more.sentence
    own = small(only=("real", "synthetic x1"))
    assert "2 classifiers and 2 GANs of 64img" in plan.fit(own, None, free_gan=False).sentence


def test_a_budget_that_comes_later_keeps_the_gans_there_are(small: Make) -> None:
    few = ("real", "synthetic x1")
    small(only=few).run()
    more = small(only=few, seeds=3)
    sentence = plan.fit(more, 600.0, free_gan=True).sentence
    assert "2 classifiers and 1 GANs of 64img to train" in sentence
    assert not (more.folder / "plan.json").exists()
    long = small(only=few, gan_budget=Duration(seconds=600.0))
    with pytest.raises(ConfigError, match=r"with GANs of 10m; nothing .*, or shorter GANs with --gan-budget"):
        plan.fit(long, 900.0, free_gan=False)


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-5", '"x"'])
def test_a_damaged_plan_is_none(small: Make, seconds: str) -> None:
    study = small(only=("real", "synthetic x1"))
    study.folder.mkdir()
    text = f'{{"content": "{study.content}", "gan_seconds": {seconds}}}'
    (study.folder / "plan.json").write_text(text)
    assert "GANs of 64img" in plan.fit(study, None, free_gan=True).sentence


def test_gans_that_are_there_are_not_planned_again(small: Make) -> None:
    small(only=("real", "synthetic x1")).run()
    more = small(only=("real", "synthetic x1", "synthetic x1 filtered"))
    assert "2 classifiers and 0 GANs" in plan.fit(more, None, free_gan=False).sentence


def test_a_budget_bounds_gans_that_are_given_in_images(small: Make) -> None:
    study = small(gan_budget=Duration(images=10_000_000))
    with pytest.raises(ConfigError, match=r"--budget 1h is too short: .* with GANs of 10000kimg") as error:
        plan.fit(study, 3600.0, free_gan=False)
    needed = Duration.parse(
        str(error.value).partition(" need ")[2].partition(" with ")[0]
    )  # as it can be given
    assert needed.seconds
    assert needed.seconds > 3600
    assert not study.folder.exists()


def test_no_gan_is_trained_for_its_picture(small: Make) -> None:
    study = small(only=FEW)
    study.run()
    shutil.rmtree(study.folder / "gans")
    again = small(only=FEW)
    finished = outcome.run(again, plan.Plan(seconds=0.0, budget=0.0, sentence=""))
    assert finished["complete"]
    assert "synthetic images" in (study.folder / "report.html").read_text()
    assert not list(study.folder.glob("gans/*"))


def test_everything_is_kept_by_what_decides_over_it(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study, other, scenario = small(), small(steps=13), Scenario(per_class=8)
    real, mixed = study.arms(scenario)[0], next(arm for arm in study.arms(scenario) if arm.mix)
    names = [s.cells.name(s.identity(scenario, real, 0)) for s in (study, other)]
    assert names[0] != names[1]
    before = study.cells.name(study.identity(scenario, mixed, 0))
    changed = merge(preset("few-shot"), {"train": {"beta2": 0.9}})
    monkeypatch.setattr(choose, "preset", lambda name: changed)
    later = small()
    assert later.cells.name(later.identity(scenario, real, 0)) == names[0]
    assert later.cells.name(later.identity(scenario, mixed, 0)) != before, "a preset that says something else"
    by_f1 = small(measure="macro_f1")
    assert by_f1.cells.name(by_f1.identity(scenario, real, 0)) != names[0], "it is chosen by something else"
    filtered = next(arm for arm in study.arms(scenario) if arm.mix and arm.mix.filtered)
    kept = [study.cells.name(study.identity(scenario, arm, 0)) for arm in (real, filtered)]
    monkeypatch.setattr(filtering, "RULES", (*filtering.RULES[:-1], 0.9))
    now = [study.cells.name(study.identity(scenario, arm, 0)) for arm in (real, filtered)]
    assert now[0] == kept[0]
    assert now[1] != kept[1]
