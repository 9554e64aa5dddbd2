"""The loop: run folders, logs, grids, budgets, and refusing to go on where it cannot."""

import json
import threading
from dataclasses import replace

import pytest
from PIL import Image

from fastgan.config import Duration
from fastgan.data.dataset import content_hash
from fastgan.data.packed import write
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError, OutputError
from fastgan.training import checkpoint, folder, run
from fastgan.training.log import Grid, _trim
from tests.training.conftest import small


def settings(packed, name="dcgan", **train):
    train = {
        "budget": "24img",
        "log_every": "8img",
        "grid_every": "8img",
        "checkpoint_every": "8img",
        **train,
    }
    train = {"precision": "fp32", "grid_images": 6, **train}
    return small(name, data={"source": str(packed)}, train=train)


def fit(config, out, device, resume=False):
    notes = []
    shared = {"device": str(device), "note": notes.append}
    with run.resumed(out, config, **shared) if resume else run.new(config, out=out, **shared) as session:
        return session.fit(lambda report: None), notes


def lines(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_it_promises(packed, tmp_path, device):
    out = tmp_path / "run"
    reports = []
    with run.new(settings(packed), out=out, device=str(device), note=print) as session:
        outcome = session.fit(reports.append)
    assert (outcome.cur_nimg, outcome.signum, outcome.exit_code) == (24, None, 0)
    assert [line["cur_nimg"] for line in lines(out)] == [8, 16, 24]
    assert {"loss_d", "loss_g", "real", "fake", "seconds", "img_per_s"} <= lines(out)[0].keys()
    assert [r.cur_nimg for r in reports] == [4, 8, 12, 16, 20, 24]
    assert [bool(r.losses) for r in reports] == [False, True] * 3
    assert reports[-1].done == 1.0
    assert sorted(p.name for p in (out / "grids").iterdir()) == [f"{n:09d}.png" for n in (0, 8, 16, 24)]
    with Image.open(out / "grids" / "000000024.png") as image:
        assert image.size == (2 * 16, 3 * 16)  # 6 images in 2 columns
    assert list((out / "tensorboard").iterdir())
    assert not (out / "data.fgd").exists()  # the source was packed already
    resolved = folder.read_config(out)
    assert resolved.model.resolution == 16
    assert resolved == session.config
    generator, state = checkpoint.load_generator(out / "generator.safetensors")
    assert state["cur_nimg"] == 24
    assert generator.config.resolution == 16


def test_going_on_is_exact_and_extends_the_log(packed, tmp_path, device):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(settings(packed, budget="24img"), whole, device)
    fit(settings(packed, budget="12img"), parts, device)
    with open(parts / "log.jsonl", "a") as log:
        log.write('{"cur_nimg": 16, "loss_d": 7}\n{"cur_nimg": 20, "lo')  # a killed process got further
    fit(settings(packed, budget="24img"), parts, device, resume=True)
    assert [line["cur_nimg"] for line in lines(parts)] == [8, 12, 16, 24]
    if device.type == "cpu":
        for name in ("model.safetensors", "optimizer.safetensors"):
            one, other = (path / "checkpoints" / "000000024" / name for path in (whole, parts))
            assert one.read_bytes() == other.read_bytes()


def test_a_damaged_line_of_the_log_is_left_out_and_stops_nothing(packed, tmp_path, device):
    out = tmp_path / "run"
    fit(settings(packed, budget="16img"), out, device)
    for name in ("log.jsonl", "events.jsonl"):
        bad = [
            b"[1]",
            b"{",
            b"\xff\xfe",
            b'{"cur_nimg": "8"}',
            b'{"cur_nimg": 1e400}',
            b"[" * 10**5,
            b"null",
            b"",
        ]
        path = out / name
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(b"\n".join(bad) + b"\n" + before)
    _, notes = fit(settings(packed, budget="24img"), out, device, resume=True)
    assert [line["cur_nimg"] for line in lines(out)] == [8, 16, 24]
    assert (out / "events.jsonl").read_bytes() == before
    assert sum("left out 7 damaged lines" in note for note in notes) == 2


@pytest.mark.parametrize("change", [{"seconds": None}, {"precision": "fp64"}, {"machine": []}, {"data": {}}])
def test_a_state_that_cannot_be_resumed_says_which_key(packed, tmp_path, device, change):
    out = tmp_path / "run"
    fit(settings(packed, budget="8img"), out, device)
    path = checkpoint.locate(out) / "state.json"
    state = json.loads(path.read_text()) | change
    del state["sha256"]
    path.write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=next(iter(change))):
        fit(settings(packed, budget="16img"), out, device, resume=True)


def test_lengths_without_a_unit_in_an_older_config_still_resume(packed, tmp_path, device):
    out = tmp_path / "run"
    fit(settings(packed, budget="8img"), out, device)
    text = (out / "config.toml").read_text().replace('budget = "8img"', "budget = 8")
    (out / "config.toml").write_text(text.replace('log_every = "8img"', 'log_every = "8"'))
    train = folder.read_config(out).train
    assert (train.budget, train.log_every) == (Duration(images=8), Duration(images=8))


def test_a_used_up_budget_asks_for_a_larger_one(packed, tmp_path, device):
    fit(settings(packed), tmp_path / "run", device)
    with pytest.raises(ConfigError, match=r"has used up its budget of 24img .*larger total with `budget`"):
        fit(settings(packed), tmp_path / "run", device, resume=True)


def test_changed_images_are_noticed(packed, dataset, tmp_path, device):
    fit(settings(packed), tmp_path / "run", device)
    others = dataset.images.flip(0)
    write(packed, replace(dataset, images=others, content_hash=content_hash(others)))
    with pytest.raises(DataError, match=r"the images have changed since .* began"):
        fit(settings(packed, budget="32img"), tmp_path / "run", device, resume=True)


def test_a_flipped_bit_in_the_images_is_seen_at_the_start_and_when_a_run_goes_on(packed, tmp_path, device):
    whole = packed.read_bytes()
    flipped = whole[:-7] + bytes([whole[-7] ^ 1]) + whole[-6:]
    fit(settings(packed), tmp_path / "run", device)
    packed.write_bytes(flipped)
    sentence = r"set\.fgd was changed or damaged after packing"
    with pytest.raises(DataError, match=sentence):
        fit(settings(packed, budget="32img"), tmp_path / "run", device, resume=True)
    with pytest.raises(DataError, match=sentence):
        fit(settings(packed), tmp_path / "other", device)
    assert not (tmp_path / "other").exists()
    packed.write_bytes(whole)
    fit(settings(packed, budget="32img"), tmp_path / "run", device, resume=True)


def test_sizes_that_only_the_settings_claim_are_refused_before_memory_is_taken(packed, tmp_path, device):
    out = tmp_path / "run"
    fit(settings(packed), out, device)
    config = settings(packed, budget="32img")
    wide = replace(config, model=replace(config.model, width=1024, z_dim=65536))
    with pytest.raises(CheckpointError, match="holds another architecture"):
        fit(wide, out, device, resume=True)


def test_an_output_folder_in_use(packed, tmp_path, device):
    out = tmp_path / "run"
    fit(settings(packed), out, device)
    with pytest.raises(
        OutputError, match=r"already holds a training run: go on with fastgan\.train\(resume="
    ):
        fit(settings(packed), out, device)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="is not empty: choose another `out`"):
        fit(settings(packed), tmp_path / "full", device)
    with folder.locked(out), pytest.raises(OutputError, match="another process is training in"):
        fit(settings(packed, budget="32img"), out, device, resume=True)


def test_a_run_that_cannot_begin_leaves_nothing(packed, tmp_path, device):
    with pytest.raises(DataError):
        fit(settings(tmp_path / "absent.fgd"), tmp_path / "run", device)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="needs a discriminator without batch norm"):
        fit(
            replace(settings(packed), loss=replace(settings(packed).loss, penalty="gp")),
            tmp_path / "run",
            device,
        )
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_killed_before_its_first_checkpoint_starts_over(packed, tmp_path, device):
    out = tmp_path / "run"
    folder.create(out)
    folder.write_config(out, settings(packed))
    assert fit(settings(packed), out, device, resume=True)[0].cur_nimg == 24


def test_skipped_images_are_named_once(tmp_path, device):
    source = tmp_path / "photos"
    source.mkdir()
    for i in range(8):
        Image.new("RGB", (16, 16), (30 * i, 0, 0)).save(source / f"{i}.png")
    (source / "half.png").write_bytes((source / "7.png").read_bytes()[:40])
    config = settings(source, budget="8img")
    with pytest.raises(DataError, match=r"half\.png"):
        fit(config, tmp_path / "run", device)
    config = replace(config, data=replace(config.data, max_bad=1))
    assert any("skipped half.png" in note for note in fit(config, tmp_path / "run", device)[1])
    longer = settings(source, budget="16img")
    assert not any("half.png" in note for note in fit(longer, tmp_path / "run", device, resume=True)[1])


def test_numbers_are_given_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = []
    threads = [threading.Thread(target=lambda: made.append(folder.create(None))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in made) == [f"{n:04d}" for n in range(1, 9)]
    with pytest.raises(CheckpointError, match="no run under runs/ to resume"):
        folder.newest()
    (tmp_path / "runs" / "0003" / "config.toml").touch()
    assert folder.newest().name == "0003"


def test_training_that_breaks_down_for_good_keeps_the_last_good_checkpoint(packed, tmp_path, device):
    out = tmp_path / "run"
    with run.new(settings(packed, budget="80img"), out=out, device=str(device), note=print) as session:

        def poison(report):
            if report.cur_nimg == 12:
                session.trainer.generator.to_image.weight.data.fill_(float("nan"))

        with pytest.raises(
            FastganError,
            match=r"at 16 images after 2 rollbacks \(a parameter is not finite\); .*8 remains: go on .*resume=",
        ):
            session.fit(poison)
    assert checkpoint.load(out).state["cur_nimg"] == 8
    fit(settings(packed, budget="16img"), out, device, resume=True)


def test_a_broken_parameter_is_never_saved_even_if_no_loss_has_shown_it(packed, tmp_path, device):
    with run.new(
        settings(packed, budget="8img"), out=tmp_path / "run", device=str(device), note=print
    ) as session:

        def poison(report):
            if report.cur_nimg == 8:
                session.trainer.generator.to_image.weight.data.fill_(float("inf"))

        with pytest.raises(FastganError, match=r"a parameter is not finite.*no checkpoint was saved before"):
            session.fit(poison)


def test_trimming_keeps_whole_lines_up_to_a_point(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"cur_nimg": 1}\n{"cur_nimg": 2}\n{"cur_nimg": 3}\n{"cur')
    _trim(log, 2, print)
    assert log.read_text() == '{"cur_nimg": 1}\n{"cur_nimg": 2}\n'
    _trim(log, 0, print)
    assert log.read_text() == ""


def test_grids_show_the_same_latents_in_reading_order(make, tmp_path):
    trainer = make("stylegan", train={"grid_images": 5, "seed": 3})
    grid = Grid(tmp_path, trainer)
    first, again = grid.tile(grid.draw()), grid.tile(grid.draw())
    assert first.equal(again)
    assert first.shape == (3 * 16, 2 * 16, 3)
    alone = Grid(tmp_path, trainer)
    alone.z, alone.columns = alone.z[3:4], 1
    tile = first[16:32, 16:32]
    assert (alone.tile(alone.draw()).int() - tile.int()).abs().max() <= 1
    assert first[32:, 16:].eq(0).all()  # the sixth place is empty


def test_lengths_in_time_end_a_run_too(packed, tmp_path, device):
    config = settings(packed, budget=str(Duration(seconds=0.5)), checkpoint_every="1h", log_every="1h")
    outcome, _ = fit(config, tmp_path / "run", device)
    assert outcome.seconds >= 0.5
    assert outcome.cur_nimg > 0
    assert checkpoint.load(tmp_path / "run").state["seconds"] >= 0.5
