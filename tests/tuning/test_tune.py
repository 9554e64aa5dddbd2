"""A whole search in small: its files, its result, and what goes on from it."""

import json
from collections.abc import Callable
from pathlib import Path

import fastgan
from fastgan.config import preset, read_toml
from fastgan.training import checkpoint


def test_a_search_ends_with_settings_that_train_takes(
    tune: Callable[..., fastgan.Tuned], squares: Path, tmp_path: Path
) -> None:
    heard: list[tuple[int, dict[str, float]]] = []

    class Ears(fastgan.Callback):
        def log(self, step: int, values: dict[str, float]) -> None:  # type: ignore[override]
            heard.append((step, values))

    done = tune(callback=Ears())
    assert [trial["state"] for trial in done.trials] in (["complete"] * 2, ["complete", "pruned"])
    assert done.trials[0]["label"] == "small"
    assert done.trials[0]["train.lr_g"] == preset("small")["train"]["lr_g"]
    assert [step for step, _ in heard] == [0, 1]
    assert {key for _, values in heard for key in values} == {"kid"}

    (best, *others) = done.confirmed
    assert done.report["best"] == best["of"]
    assert {row["of"] for row in done.confirmed} <= {"0000", "0001", "small"}
    assert len(best["scores"]) == 1
    assert all(best["mean"] <= row["mean"] for row in others)
    report = json.loads((tmp_path / "out" / "study.json").read_text())
    assert report["trials"][1]["settings"].keys() == {"train.lr_g"}
    assert f"kid {best['mean']:.4g}" in done.sentence
    page = done.page.read_text()
    assert done.sentence in page
    assert page.count("<svg") >= 2
    assert "<script src" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")

    for run in ("trials/0000", "trials/0001"):  # an ordinary run, with one checkpoint
        folder = tmp_path / "out" / run
        assert fastgan.Run(folder).cur_nimg >= 100
        assert len(list((folder / "checkpoints").iterdir())) == 1
    state = checkpoint.describe(tmp_path / "out" / "trials" / "0000")
    assert state["data"]["images"] == 48  # 16 of 64 are held out

    by_config = fastgan.train(squares, config=done.config, out=tmp_path / "a", budget="16img", progress=False)
    by_best = fastgan.train(squares, settings=done.best, out=tmp_path / "b", budget="16img", progress=False)
    assert by_config.config.train == by_best.config.train
    assert by_config.config.train.lr_g == done.best["train"]["lr_g"]
    assert "seed" not in read_toml(done.config)["train"]
