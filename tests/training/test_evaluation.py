"""Metrics while training, the best checkpoint, and conditions that end a run."""

import json

import numpy as np
import pytest
import torch

import fastgan
from fastgan.config import build
from fastgan.errors import CheckpointError, ConfigError, MetricError
from fastgan.inference import open_generator
from fastgan.seeds import latents
from fastgan.training import checkpoint, run, stopping
from fastgan.training.evaluation import better, decisive, sampler
from fastgan.training.settings import TrainConfig
from tests.training.test_run import lines, settings


def scripted(values, name="fid[test]"):
    """An evaluator that gives these values, one a call."""
    remaining = iter(values)
    return lambda dataset, train, device: lambda sample: {name: next(remaining), "other": 0.0}


def go(packed, out, device, evaluator=None, resume=False, notes=None, **train):
    shared = {"device": str(device), "note": (notes if notes is not None else []).append}
    shared["evaluator"] = evaluator
    config = settings(packed, **train)
    with run.resumed(out, config, **shared) if resume else run.new(config, out=out, **shared) as session:
        return session.fit(lambda report: None)


def test_the_sampler_gives_what_generate_would_make_of_the_same_seeds(packed, tmp_path, device):
    seen = {}

    def evaluator(dataset, train, device):
        def evaluate(sample):
            seen["images"], seen["parts"] = sample(3, 5), torch.cat([sample(3, 2), sample(5, 3)])
            return {"kid": 1.0}

        return evaluate

    go(packed, tmp_path / "run", device, evaluator, budget="8img", eval_every="8img")
    assert seen["images"].dtype == torch.uint8
    assert seen["images"].shape == (5, 16, 16, 3)
    generated = fastgan.load(tmp_path / "run" / "best").sample(5, seed=3)
    for images in seen.values():
        assert np.abs(np.asarray(generated).astype(int) - images.numpy().astype(int)).max() <= 1


def test_large_samples_come_in_batches(make):
    trainer = make("dcgan")
    sizes = []
    trainer.sample = lambda z, c: (sizes.append(z), torch.zeros(len(z), 3, 16, 16))[1]
    assert sampler(trainer)(7, 150).shape == (150, 16, 16, 3)
    assert [len(z) for z in sizes] == [64, 64, 22]
    assert torch.cat(sizes).equal(torch.from_numpy(latents(range(7, 157), trainer.z_dim)))


def test_of_several_averages_one_is_generated_from(packed, tmp_path, device):
    out = tmp_path / "run"
    go(packed, out, device, budget="16img", ema_kimg=[10.0, 0.0], ema_rampup="none", lr_g=0.01)
    images = {ema: open_generator(out, device="cpu", ema=ema).sample(2) for ema in (None, 10.0, 0.0)}
    assert (images[None] == images[10.0]).all()
    assert (images[None] != images[0.0]).any()
    with pytest.raises(CheckpointError, match="no average of a half-life of 5 kimg: there are 10, 0"):
        open_generator(out, device="cpu", ema=5.0)


def test_samples_that_cannot_be_measured_are_news_and_no_end(packed, tmp_path, device):
    def evaluator(dataset, train, device):
        answers = iter([None, 3.0])

        def evaluate(sample):
            value = next(answers)
            if value is None:
                raise MetricError("the generated images are all alike")
            return {"fid[test]": value}

        return evaluate

    out, notes = tmp_path / "run", []
    go(packed, out, device, evaluator, notes=notes, budget="16img", eval_every="8img")
    assert any(note.endswith("the generated images are all alike") for note in notes)
    assert [line.get("fid[test]") for line in lines(out)][-1] == 3.0
    assert (out / "best").read_text() == "checkpoints/000000016\n"


def test_best_is_kept_whatever_is_pruned_and_its_value_survives(packed, tmp_path, device):
    out = tmp_path / "run"
    evaluator = scripted([5.0, 3.0, 4.0, float("nan")])
    go(packed, out, device, evaluator, budget="32img", eval_every="8img", keep_checkpoints=1)
    assert (out / "best").read_text() == "checkpoints/000000016\n"
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == ["000000016", "000000032"]
    assert [line.get("fid[test]") for line in lines(out)] == [
        5.0,
        3.0,
        4.0,
        pytest.approx(float("nan"), nan_ok=True),
    ]
    assert checkpoint.load(out / "best").state["cur_nimg"] == 16
    assert checkpoint.load_generator(out / "best")[1]["cur_nimg"] == 16
    go(
        packed,
        out,
        device,
        scripted([3.5, 2.0]),
        resume=True,
        budget="48img",
        eval_every="8img",
        keep_checkpoints=1,
    )
    assert (out / "best").read_text() == "checkpoints/000000048\n"
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["000000048"]
    assert checkpoint.load(out).state["best"] == {"metric": "fid[test]", "value": 2.0, "cur_nimg": 48}


def test_going_on_from_before_the_best_forgets_it(packed, tmp_path, device):
    out = tmp_path / "run"
    shared = {"eval_every": "8img", "keep_checkpoints": 4}
    go(packed, out, device, scripted([5.0, 3.0, 4.0]), budget="24img", **shared)
    earlier = out / "checkpoints" / "000000008"
    config = settings(packed, budget="16img", **shared)
    with run.resumed(earlier, config, device=str(device), note=print, evaluator=scripted([6.0])) as session:
        session.fit(lambda report: None)
    assert (out / "best").read_text() == "checkpoints/000000008\n"


def test_better():
    assert better(None, "fid", 3.0)
    assert not better(None, "fid", float("nan"))
    best = {"metric": "fid[x]", "value": 3.0}
    assert better(best, "fid[x]", 2.9)
    assert not better(best, "fid[x]", 3.0)
    assert better(best, "kid", 10.0)  # of another metric
    assert better({"metric": "is[x]", "value": 3.0}, "is[x]", 3.1)
    assert not better({"metric": "precision", "value": 0.5}, "precision", 0.4)


def test_which_metric_decides():
    metrics = {"kid[lite0]": 1.0, "fid[lite0]": 2.0}
    assert decisive("auto", metrics) == "kid[lite0]"
    assert decisive("fid", metrics) == "fid[lite0]"
    assert decisive("fid[lite0]", metrics) == "fid[lite0]"
    with pytest.raises(
        ConfigError, match=r"'is' is not among the metrics that are computed: kid\[lite0\], fid"
    ):
        decisive("is", metrics)


def test_conditions_are_read_and_met_by_bare_names():
    fid, r_t = stopping.parse(" fid < 20, r_t>=.95 ", evaluates=True)
    assert (str(fid), str(r_t)) == ("fid<20", "r_t>=0.95")
    assert fid.met({"fid[inception-v3-fid]": 19.9})
    assert not fid.met({"fid[x]": 20.0, "fidelity": 1.0})
    assert r_t.met({"r_t": 0.95})
    assert not r_t.met({})
    assert not fid.met({"fid": float("nan")})
    assert stopping.parse("", evaluates=False) == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fid", "'fid' is not a condition: write a name, < or >, and a number, as in fid<20"),
        ("r_t>high", "'r_t>high' is not a condition"),
        ("r_t=0.9", "'r_t=0.9' is not a condition"),
        ("r_t>0.9, fid<20", "fid is no value of the log, so it must be a metric.* eval_every='50kimg'"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(TrainConfig, {"stop_when": text})


def test_a_metric_that_is_reached_ends_the_run_and_a_resumption_asks_for_another(packed, tmp_path, device):
    out, notes = tmp_path / "run", []
    shared = {"eval_every": "8img", "budget": "80img"}
    outcome = go(packed, out, device, scripted([30.0, 19.0]), notes=notes, stop_when="fid<20", **shared)
    assert (outcome.cur_nimg, outcome.stopped, outcome.exit_code) == (16, "fid<20", 0)
    assert any("fid<20 is met: training ends here" in note for note in notes)
    assert (out / "generator.safetensors").exists()
    assert json.loads((out / "events.jsonl").read_text())["kind"] == "stopped"
    with pytest.raises(ConfigError, match=r"stopped at 16 images because fid<20 was met: .*`stop_when`"):
        go(packed, out, device, scripted([1.0]), resume=True, stop_when="fid<20", **shared)
    outcome = go(packed, out, device, scripted([15.0, 9.0]), resume=True, stop_when="fid<10", **shared)
    assert (outcome.cur_nimg, outcome.stopped) == (32, "fid<10")


def test_a_loss_may_end_the_run_too(packed, tmp_path, device):
    outcome = go(packed, tmp_path / "run", device, budget="80img", stop_when="loss_d>0")
    assert (outcome.cur_nimg, outcome.stopped) == (8, "loss_d>0")


def test_an_evaluator_that_cannot_be_made_leaves_no_run(packed, tmp_path, device):
    def evaluator(dataset, train, device):
        raise ConfigError(f"there is no metric {train.eval_metrics!r}")

    with pytest.raises(ConfigError, match="there is no metric 'beauty'"):
        go(packed, tmp_path / "run", device, evaluator, eval_every="8img", eval_metrics="beauty")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="was given nothing that evaluates"):
        go(packed, tmp_path / "run", device, eval_every="8img")


def test_a_pointer_to_nothing_is_one_sentence(packed, tmp_path, device):
    out = tmp_path / "run"
    go(packed, out, device, budget="8img")
    (out / "best").write_text("checkpoints/000000099\n")
    with pytest.raises(CheckpointError, match=r"best names 'checkpoints/000000099', which is not a folder"):
        checkpoint.load_generator(out / "best")
