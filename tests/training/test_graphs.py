"""Steps as graphs: through a stand-in for CUDA on every machine, and against plain steps on a GPU."""

from dataclasses import replace

import pytest
import torch

from fastgan.errors import FastganError
from fastgan.training import graphs
from fastgan.training.settings import TrainConfig
from tests.training.conftest import CASES, GROWING
from tests.training.test_trainer import assert_same_bits, run, through_disk

ITERATIONS = (
    9  # with a penalty every third: its graph is captured at the third, replayed at none; others replay
)


FRESH = {"reuse_fakes": False}
"""As fakes are in graphs, whatever is asked for."""


class StandIn:
    """Records without running, and replays into the same tensors, as CUDA does."""

    def __init__(self):
        self.log = []

    def warm_up(self, step):
        self.log.append("warm")
        return step()

    def capture(self, step):
        self.log.append("capture")
        kept = {}

        def replay():
            self.log.append("replay")
            for name, value in step().items():
                kept.setdefault(name, torch.empty_like(value)).copy_(value)

        return replay, kept


def with_stand_in(trainer):
    recorders = []

    def make_recorder():
        recorders.append(StandIn())
        return recorders[-1]

    trainer.graphs = graphs.StepGraphs(trainer, make_recorder)
    return trainer, recorders


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_static_buffers_change_no_bit_not_even_over_a_resumption(make, name, precision, tmp_path, device):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    plain = make(name, precision, data={"mirror": True}, train=FRESH)
    run(plain, ITERATIONS)

    first, recorders = with_stand_in(make(name, precision, data={"mirror": True}))
    run(first, ITERATIONS)
    assert recorders[0].log.count("replay") > recorders[0].log.count("capture") >= 2
    assert_same_bits(first, plain)
    assert first.take_losses() == plain.take_losses()

    first, _ = with_stand_in(make(name, precision, data={"mirror": True}))
    run(first, 5)
    loaded = through_disk(first, tmp_path)
    second, recorders = with_stand_in(make(name, precision, data={"mirror": True}))
    run(second, 3)  # graphs of a state that loading replaces
    second.load_state_dict(loaded)
    run(second, ITERATIONS - 5)
    assert len(recorders) == 2
    assert recorders[1].log[0] == "warm"
    assert_same_bits(second, plain)


def test_one_graph_for_each_kind_of_step_captured_after_its_own_warm_up(make):
    trainer, (recorder,) = with_stand_in(make("stylegan"))  # a lazy penalty every third iteration
    steps = []
    step_d, step_g = trainer.step_d, trainer.step_g
    trainer.step_d = lambda real, penalise, *c: (
        steps.append("d!" if penalise else "d"),
        step_d(real, penalise, *c),
    )[1]
    trainer.step_g = lambda n, *rest: (steps.append("g"), step_g(n, *rest))[1]
    run(trainer, 8)
    assert steps == ["d!", "g", "d", "g", "d", "g", "d!", "g", "d", "g", "d", "g", "d!", "g", "d", "g"]
    assert recorder.log.count("warm") == 3 * graphs.WARM_UP
    assert recorder.log.count("capture") == 3
    assert recorder.log.count("replay") == 16 - 3 * graphs.WARM_UP


def test_the_batch_keeps_its_address_and_its_layout(make):
    trainer, _ = with_stand_in(make("dcgan"))
    seen = []
    step_d = trainer.step_d
    trainer.step_d = lambda real, *rest: (seen.append(real), step_d(real, *rest))[1]
    run(trainer, 5)
    assert len({real.data_ptr() for real in seen}) == 1
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_step_that_cannot_be_captured_is_one_sentence(make):
    trainer, (recorder,) = with_stand_in(make("dcgan"))

    def fail(step):
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        finally:
            raise RuntimeError("the capture was invalidated")

    recorder.capture = fail
    run(trainer, graphs.WARM_UP)
    with pytest.raises(FastganError, match=r"\(operation not permitted .* capturing\): .*cuda_graphs=off"):
        trainer.step()


@pytest.mark.parametrize(
    ("asked", "device", "backend", "expected"),
    [
        ("auto", "cuda", "native", True),
        ("auto", "cuda", "reference", False),
        ("on", "cuda", "reference", True),
        ("off", "cuda", "native", False),
        ("on", "cpu", "native", False),
        ("auto", "cpu", "native", False),
    ],
)
def test_graphs_are_for_cuda_with_our_kernels(asked, device, backend, expected, monkeypatch):
    monkeypatch.setattr(graphs.ops, "backend", lambda kind: backend)
    train = TrainConfig(cuda_graphs=asked)
    assert graphs.wanted(train, torch.device(device)) is expected
    assert not graphs.wanted(replace(train, accumulate=2), torch.device(device))
    assert graphs.wanted(train, torch.device(device), processes=2) is (expected and asked == "on")


@pytest.fixture
def deterministic(device):
    """A GPU whose convolutions give the same bits every time."""
    if device.type != "cuda":
        pytest.skip("needs FASTGAN_TEST_DEVICE=cuda")
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


@pytest.mark.cuda
@pytest.mark.usefixtures("deterministic")
def test_a_replay_draws_what_the_seed_says():
    recorder = graphs.Cuda(torch.device("cuda"))

    def draw():
        return {"normal": torch.randn(1000, device="cuda"), "uniform": torch.rand(33, device="cuda")}

    recorder.warm_up(draw)
    replay, drawn = recorder.capture(draw)
    for seed in (5, 6):
        torch.manual_seed(seed)
        expected = [draw(), draw()]
        torch.manual_seed(seed)
        for plain in expected:  # the second replay goes on where the first ended
            replay()
            assert all(torch.equal(drawn[name], plain[name]) for name in plain)


@pytest.mark.cuda
@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [*CASES, GROWING])
def test_graphs_train_as_plain_steps_do(make, name, precision, tmp_path):
    """After 9 iterations and a resumption the weights differ by less than 5% of the way that they have gone."""
    plain = make(name, precision, train={"cuda_graphs": "off"} | FRESH)
    assert plain.graphs is None
    start = weights(plain)
    run(plain, ITERATIONS)

    first = make(name, precision, train={"cuda_graphs": "on"})
    run(first, 5)
    second = make(name, precision, train={"cuda_graphs": "on"})
    run(second, 3)
    second.load_state_dict(through_disk(first, tmp_path))
    run(second, ITERATIONS - 5)
    assert second.graphs is not None
    assert second.graphs._captured
    assert (weights(second) - weights(plain)).norm() < 0.05 * (weights(plain) - start).norm()


def weights(trainer):
    """All parameters and averages of a trainer as one vector [P] in float64."""
    tensors = trainer.state_dict()[0].values()
    return torch.cat([tensor.double().flatten() for tensor in tensors])
