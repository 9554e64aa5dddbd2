"""Training under torchrun: real processes on gloo, against one process."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fastgan.data.packed import write
from fastgan.device import choose
from fastgan.errors import ConfigError
from fastgan.interrupts import Interrupted
from fastgan.training import checkpoint, distributed, run
from fastgan.training.distributed import ProcessLostError, reason
from tests.training.conftest import small
from tests.training.test_run import lines

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gloo and signals as POSIX has them")
PRESET = {
    "stylegan": [
        "model.channel_multiplier=0.03",
        "model.w_dim=16",
        "model.z_dim=16",
        "loss.penalty_interval=2",
        "loss.path_length=1",
        "train.augment=ada",
        "train.ada_kimg=0.05",
        "train.ada_target=-0.9",
    ],
    "dcgan": ["model.width=4"],
}
QUICK = ["train.batch=8", "train.grid_images=4", "train.precision=fp32", "train.log_every=8img"]
QUICK += ["train.planned_kimg=0.064"]  # schedules do not follow from the budget


def command(preset, *args, sets=()):
    pairs = [*QUICK, *PRESET[preset], *sets]
    return [
        "train",
        "--preset",
        preset,
        *map(str, args),
        *(part for pair in pairs for part in ("--set", pair)),
    ]


def start(arguments, cwd, processes=2):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}"]
    launcher = [*launcher, "-m"] if processes > 1 else ["-m"]
    return subprocess.Popen(
        [sys.executable, *launcher, "fastgan", *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


@pytest.fixture
def packed(dataset, tmp_path):
    write(tmp_path / "set.fgd", dataset)
    return tmp_path / "set.fgd"


def test_two_processes_train_as_one_does_and_one_goes_on(packed, tmp_path):
    """Losses to 1e-5 relative, weights to 1e-4 of their largest; noise, mixing, ADA, R1 and path length included."""
    shared = ["--device", "cpu", "--budget"]
    # The first half in two processes, the second in one; against all in one.
    code, out, err = finish(start(command("stylegan", packed, "--out", "two", *shared, "32img"), tmp_path))
    assert code == 0, err
    assert out.count("trained 0.032 kimg") == 1
    assert err.count("note: stylegan on 23 images of 16x16x3, cpu x 2 fp32") == 1
    for arguments in (
        ["train", "--resume", "two", *shared, "64img"],
        command("stylegan", packed, "--out", "one", *shared, "64img"),
    ):
        code, _, err = finish(start(arguments, tmp_path, processes=1))
        assert code == 0, err
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert [line["cur_nimg"] for line in two] == [line["cur_nimg"] for line in one] == [*range(8, 72, 8)]
    for ours, theirs in zip(two, one, strict=True):
        for clock in (ours, theirs):
            del clock["seconds"], clock["img_per_s"]
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    ours, theirs = (
        load_file(tmp_path / name / "checkpoints" / "000000064" / "model.safetensors")
        for name in ("two", "one")
    )
    assert ours.keys() == theirs.keys()
    assert theirs["augment.controller.p"] > 0
    for key, expected in theirs.items():
        torch.testing.assert_close(
            ours[key], expected, rtol=0, atol=1e-4 * float(expected.abs().max() + 1e-3)
        )


def rank(launcher, number):
    """The process id of a rank, found among the launcher's children."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in children:
        if f"\0RANK={number}\0" in Path(f"/proc/{child}/environ").read_text():
            return int(child)
    raise AssertionError(f"no rank {number} among {children}")


def training(tmp_path, packed):
    """Two processes that train for an hour, once there is a checkpoint."""
    sets = ["train.checkpoint_every=8img"]
    process = start(
        command("dcgan", packed, "--out", "run", "--device", "cpu", "--budget", "1h", sets=sets), tmp_path
    )
    end = time.monotonic() + 120
    while not (tmp_path / "run" / "latest").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    return process


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_other_with_one_message(victim, packed, tmp_path):
    process = training(tmp_path, packed)
    os.kill(rank(process, victim), signal.SIGKILL)
    _, err = process.communicate(timeout=60)  # torch's own patience would be half an hour
    assert process.returncode != 0
    assert err.count("fastgan: error:") == 1
    assert "another of the 2 training processes has ended" in err
    checkpoint.load(tmp_path / "run")  # whole
    nimg = checkpoint.load(tmp_path / "run").state["cur_nimg"]
    resume = ["train", "--resume", "run", "--budget", f"{nimg + 8}img", "--device", "cpu"]
    code, _, err = finish(start(resume, tmp_path, processes=1))
    assert code == 0, err


def test_a_signal_on_the_way_of_a_lost_process_does_not_hide_it():
    lost, stopped = (
        ProcessLostError("another of the 2 training processes has ended"),
        Interrupted(signal.SIGTERM),
    )
    assert reason(stopped) is stopped
    with pytest.raises(Interrupted):  # noqa: PT012
        try:
            raise lost
        finally:  # where the feed and the folder are closed
            raise stopped
    assert reason(stopped) is lost
    assert reason(lost) is lost


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_a_signal_to_any_process_stops_all_and_saves(packed, tmp_path):
    process = training(tmp_path, packed)
    os.kill(rank(process, 1), signal.SIGTERM)
    _, out, err = finish(process)
    assert "exitcode  : 143" in err
    assert err.count("all processes stop after this step") == 1
    assert out.count("saved run/checkpoints/") == 1
    assert f"stopped at {checkpoint.load(tmp_path / 'run').state['cur_nimg'] / 1000:g} kimg" in out


class Two(distributed.Processes):
    """As the first of two processes sees itself."""

    size = 2


def test_what_several_processes_cannot_share_is_said(packed, tmp_path):
    config = small("dcgan", data={"source": str(packed)}, train={"batch": 9})
    with (
        pytest.raises(ConfigError, match=r"train.batch = 9 cannot .* 2 processes: 8 or 10 can"),
        run.new(config, out=tmp_path / "run", device="cpu", note=print, processes=Two()),
    ):
        pass
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="cuda, which gives each its own"):
        choose("cuda:1", Two())


def test_one_process_has_no_others(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")  # as some clusters set it, with nobody to meet
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with distributed.joined() as processes:
        assert processes is distributed.ALONE
