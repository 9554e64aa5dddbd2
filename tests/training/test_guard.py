"""Steps that are not finite: skipped one by one, and gone back from when they do not end."""

import json
import math

import pytest

from fastgan.errors import FastganError
from fastgan.training import checkpoint, guard, run
from tests.training.test_graphs import with_stand_in
from tests.training.test_run import fit, lines, settings
from tests.training.test_trainer import assert_same_bits, through_disk

CASES = ["dcgan", "spectral, penalised", "ada", "path length"]


def spoil(trainer, network, bad):
    """From now on the loss of `network` is `bad`, whether its gradient is finite or not."""
    name = {"g": "generator", "d": "discriminator"}[network]
    inner = trainer.objective.loss

    class Spoilt:
        GENERATOR_NEEDS_REAL = inner.GENERATOR_NEEDS_REAL

        def __getattr__(self, key):
            function = getattr(inner, key)
            return function if key != name else lambda *logits: function(*logits) * bad

    trainer.objective.loss = Spoilt()
    return inner


def snapshot(trainer):
    model, optimizer = trainer.state_dict()
    return {k: v.clone() for k, v in (model | optimizer).items() if not k.startswith(("g_ema.", "guard"))}


@pytest.mark.parametrize(
    ("name", "graphs"), [*((name, False) for name in CASES), ("spectral, penalised", True)]
)
def test_a_skipped_iteration_leaves_no_trace_but_in_the_count(make, name, graphs):
    """The bits of everything that training reads: parameters, moments, batch norm, w_avg, u and v, ADA's sums."""
    trainer = make(name)
    if graphs:
        with_stand_in(trainer)
    for _ in range(5):
        trainer.step()
    trainer.take_losses()
    inner = spoil(trainer, "d", float("nan"))
    spoil(trainer, "g", float("inf"))
    for stage in (
        trainer.step_d,
        trainer.step_g,
    ):  # what the two steps themselves do, without the average and ADA's p
        before = snapshot(trainer)
        batch = trainer.config.train.batch
        steps = trainer.graphs or trainer
        if stage == trainer.step_d:
            steps.step_d(trainer.feed.batch(0, batch).images, False)
        else:
            steps.step_g(batch)
        after = snapshot(trainer)
        assert after.keys() == before.keys()
        assert all(after[key].equal(before[key]) for key in before)
    assert trainer.take_losses() == {"skipped": 2.0}
    trainer.objective.loss = inner
    before = snapshot(trainer)
    trainer.step()
    assert not all(value.equal(before[key]) for key, value in snapshot(trainer).items())
    assert "skipped" not in trainer.take_losses()


def test_means_are_of_what_was_finite(make):
    trainer = make("dcgan")
    inner = spoil(trainer, "d", float("nan"))
    trainer.step()
    trainer.objective.loss = inner
    losses = trainer.take_losses()
    assert "loss_d" not in losses
    assert losses["skipped"] == 1
    trainer.step()
    spoil(trainer, "d", float("nan"))
    trainer.step()
    both = trainer.take_losses()
    assert both["skipped"] == 1
    assert math.isfinite(both["loss_d"])


def test_a_network_without_a_step_is_stuck_and_a_checkpoint_remembers_how_long(make, tmp_path):
    trainer = make("dcgan")
    trainer.step()
    spoil(trainer, "g", float("nan"))
    for _ in range(guard.PATIENCE - 1):
        trainer.step()
    assert not trainer.stuck()
    fresh = make("dcgan")
    fresh.load_state_dict(through_disk(trainer, tmp_path))
    assert_same_bits(fresh, trainer)
    spoil(fresh, "g", float("nan"))
    fresh.step()
    assert fresh.stuck()
    assert fresh.g_guard.stuck()
    assert not fresh.d_guard.stuck()


def breaking(config, out, device, moments, resume=False):
    """Fit, with every parameter of the generator spoilt at each of `moments` (rollbacks, cur_nimg)."""
    notes = []
    shared = {"device": str(device), "note": notes.append}
    with run.resumed(out, config, **shared) if resume else run.new(config, out=out, **shared) as session:

        def report(report):
            if (len(session.rollbacks), report.cur_nimg) in moments:
                for parameter in session.trainer.generator.parameters():
                    parameter.data.fill_(float("inf"))

        session.fit(report)
    return notes


def test_training_goes_back_and_on_with_other_numbers_and_smaller_steps(packed, tmp_path, device):
    out = tmp_path / "run"
    notes = breaking(settings(packed, budget="40img"), out, device, {(0, 20), (1, 20)})
    went = [note for note in notes if "broke down" in note]
    assert [note.partition("it goes on from ")[2].split()[0] for note in went] == ["16", "8"]
    state = checkpoint.load(out).state
    assert [(r["from"], r["to"]) for r in state["rollbacks"]] == [(24, 16), (24, 8)]
    assert [line["cur_nimg"] for line in lines(out)] == [8, 16, 24, 32, 40]
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [e["kind"] for e in events] == ["rollback"]  # the one before lies in a future that was left
    with run.resumed(out, settings(packed, budget="48img"), device=str(device), note=notes.append) as session:
        assert session.trainer.rollbacks == 2
        session.fit(lambda report: None)
        assert session.trainer.g_optimizer.param_groups[0]["lr"] == session.config.train.lr_g / 4
    assert checkpoint.load(out).state["rollbacks"] == state["rollbacks"]


def test_going_on_after_a_rollback_is_exact(packed, tmp_path, device):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    breaking(settings(packed, budget="40img"), whole, device, {(0, 20)})
    breaking(settings(packed, budget="28img"), parts, device, {(0, 20)})
    fit(settings(packed, budget="40img"), parts, device, resume=True)
    if device.type == "cpu":
        for name in ("model.safetensors", "optimizer.safetensors"):
            one, other = (path / "checkpoints" / "000000040" / name for path in (whole, parts))
            assert one.read_bytes() == other.read_bytes()


def test_a_killed_rollback_is_remembered(packed, tmp_path, device):
    """The checkpoint that training went back to is written anew at once: the next process knows."""
    out = tmp_path / "run"
    with run.new(settings(packed, budget="40img"), out=out, device=str(device), note=print) as session:

        def report(report):
            if session.rollbacks:
                raise KeyboardInterrupt
            if report.cur_nimg == 20:
                next(session.trainer.discriminator.parameters()).data.fill_(float("nan"))

        with pytest.raises(KeyboardInterrupt):
            session.fit(report)
    loaded = checkpoint.load(out)
    assert loaded.state["cur_nimg"] == 16
    assert [r["to"] for r in loaded.state["rollbacks"]] == [16]


def test_without_rollbacks_it_gives_up_at_once(packed, tmp_path, device):
    with pytest.raises(FastganError, match=r"broke down at 24 images \(a parameter is not finite\)"):
        breaking(settings(packed, budget="40img", max_rollbacks=0), tmp_path / "run", device, {(0, 20)})


def test_one_bad_step_is_said_and_training_goes_on(packed, tmp_path, device):
    notes = []
    out = tmp_path / "run"
    with run.new(settings(packed), out=out, device=str(device), note=notes.append) as session:
        alarms = []

        def report(report):
            alarms.append(report.alarms)
            if report.cur_nimg == 8:
                session.inner = spoil(session.trainer, "d", float("nan"))
            if report.cur_nimg == 12:
                session.trainer.objective.loss = session.inner

        session.fit(report)
    assert any("1 step was skipped: the loss or a gradient was not finite" in note for note in notes)
    assert [line.get("skipped") for line in lines(out)] == [None, 1.0, None]
    assert alarms == [(), (), (), ("skipped",), ("skipped",), ()]
    assert all(math.isfinite(value) for line in lines(out) for value in line.values())
