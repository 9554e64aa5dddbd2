"""Runs side by side: the same images, in their order, whatever goes wrong."""

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fastgan.benchmark.suite import threads
from fastgan.errors import ConfigError
from fastgan.exporters import export_onnx
from fastgan.inference import Inputs, open_generator, runs
from fastgan.inference.runs import Fetch, lanes_here
from fastgan.inference.runtime import default_lanes
from tests.inference.fakes import FakeRuntime, contents, write
from tests.tiny import unsealed


class LanedRuntime(FakeRuntime):
    """Counts the runs that go on at once; `before` is called within each."""

    def __init__(
        self, lanes: int, before: Callable[["LanedRuntime", int], None] = lambda self, n: None
    ) -> None:
        super().__init__(batch=4)
        self.lanes = lanes
        self.before = before
        self.now = self.most = 0
        self.lock = threading.Lock()

    def _begin(self, inputs: Inputs) -> Fetch:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self.before(self, len(inputs))
            pixels = np.outer(inputs.z[:, 0], np.linspace(1, 200, 8 * 8 * 3))
            images = pixels.astype(np.int64).astype(np.uint8).reshape(-1, 8, 8, 3)
            return lambda: images
        finally:
            with self.lock:
                self.now -= 1


def meet(lanes: int) -> Callable[[LanedRuntime, int], None]:
    """Makes every lane wait until all have come."""
    barrier = threading.Barrier(lanes, timeout=20)

    def wait(runtime: LanedRuntime, n: int) -> None:
        if runtime._pool is not None:  # else it is the first run, which is alone
            barrier.wait()

    return wait


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the first run took no memory that the process had not had before."""
    monkeypatch.setattr(runs, "peak_memory", lambda: 100)


def test_lanes_run_at_once_and_images_keep_their_order() -> None:
    runtime = LanedRuntime(3, meet(3))
    images = runtime.sample(28)  # the first batch is alone, the others make two rounds
    assert runtime.most == 3
    assert np.array_equal(images, FakeRuntime().sample(28))


def test_the_first_run_tells_how_many_lanes_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([1000, 1300])  # a run takes 300
    monkeypatch.setattr(runs, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(runs, "available_memory", lambda: 1500)  # half of it holds two more
    runtime = LanedRuntime(8)
    assert np.array_equal(runtime.sample(40), FakeRuntime().sample(40))
    assert runtime.lanes == 3


def test_where_there_is_room_for_one_lane_it_stays_a_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one core, as the first batch was: bytes must not depend on what is free."""
    peaks, names = iter([1000, 1300]), set()
    monkeypatch.setattr(runs, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(runs, "available_memory", lambda: 500)
    runtime = LanedRuntime(8, lambda runtime, n: names.add(threading.current_thread().name.partition("_")[0]))
    runtime.sample(12)
    assert runtime.lanes == 1
    assert names == {"fastgan-lane"}


def test_lanes_that_find_no_memory_at_once_halve_once() -> None:
    together = meet(3)

    def full(runtime: LanedRuntime, n: int) -> None:
        if n > 2 and runtime._pool is not None:
            together(runtime, n)
            raise MemoryError

    runtime = LanedRuntime(3, full)
    with pytest.warns(UserWarning, match="4 images do not fit") as said:
        images = runtime.sample(28)
    assert len(said) == 1
    assert runtime.fits == 2
    assert np.array_equal(images, FakeRuntime().sample(28))


def test_a_lane_that_fails_ends_a_set_and_what_is_whole_stays(tmp_path: Path) -> None:
    def fail(runtime: LanedRuntime, n: int) -> None:
        runtime.batches += 1
        if runtime.batches == 5:
            raise ConfigError("the fifth")

    with pytest.raises(ConfigError, match="the fifth"):
        write(tmp_path / "set", range(40), runtime=LanedRuntime(2, fail))
    done = len(contents(tmp_path / "set"))
    assert done < 40
    assert write(tmp_path / "set", range(40), runtime=LanedRuntime(2)) == 40 - done
    write(tmp_path / "once", range(40))
    assert contents(tmp_path / "set") == contents(tmp_path / "once")


@pytest.mark.parametrize(("asked", "lanes"), [("3", 3), ("4,2", 4), ("100", 32)])
def test_as_many_lanes_as_threads_are_asked_for(asked: str, lanes: int, monkeypatch: Any) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert lanes_here() == lanes


def test_large_images_and_gpus_have_no_lanes() -> None:
    assert [default_lanes(8, side, gpu=False) for side in (64, 1024, 2048)] == [8, 8, 1]
    assert default_lanes(8, 64, gpu=True) == 1


@pytest.mark.parametrize("model", ["dcgan", "stylegan"])
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_lanes_of_real_models_give_the_same_bytes(
    model: str, kind: str, runs: dict[str, Path], exported: Callable[..., Path]
) -> None:
    source = runs[model] if kind == "torch" else exported(model)
    with threads(1):
        alone = open_generator(source, device="cpu", batch=4).sample(30)
    many = open_generator(source, device="cpu", batch=4, lanes=3)
    assert many.lanes == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(many.sample(30), alone)
    assert np.array_equal(many.sample(3), alone[:3])


class CountingRuntime(FakeRuntime):
    """Knows how many images each run computed."""

    def __init__(self, batch: int, usual: int | None, room: int = 10**9) -> None:
        super().__init__(batch=batch)
        self.usual, self.room = usual, room
        self.computed: list[int] = []

    def _begin(self, inputs: Inputs) -> Fetch:
        self.computed.append(len(inputs))
        if len(inputs) > self.room:
            raise MemoryError
        pixels = np.outer(inputs.z[:, 0], np.linspace(1, 200, 8 * 8 * 3))
        return lambda: pixels.astype(np.int64).astype(np.uint8).reshape(-1, 8, 8, 3)


@pytest.mark.parametrize(
    ("batch", "usual", "n", "computed"),
    [
        (16, 16, 2, [16]),  # the usual batch is always whole: an image does not depend on its company
        (4, 16, 2, [4]),
        (4, 16, 6, [4, 4]),
        (100_000, 16, 2, [16]),
        (100_000, 16, 33, [48]),
        (40, 16, 50, [40, 16]),
        (40, 16, 75, [40, 40]),
        (100_000, None, 2, [100_000]),  # of a graph with a fixed batch
    ],
)
def test_a_batch_larger_than_what_is_asked_for_is_not_computed(
    batch: int, usual: int | None, n: int, computed: list[int]
) -> None:
    runtime = CountingRuntime(batch, usual)
    np.testing.assert_array_equal(runtime.sample(n), CountingRuntime(1, 1).sample(n))
    assert runtime.computed == computed


@pytest.mark.filterwarnings("ignore:.* do not fit into memory")
def test_a_short_run_is_halved_from_what_was_tried() -> None:
    runtime = CountingRuntime(100_000, 16, room=7)
    np.testing.assert_array_equal(runtime.sample(20), CountingRuntime(1, 1).sample(20))
    assert runtime.computed == [32, 16, 8, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_huge_batch_costs_a_few_images_nothing(
    runtime: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through every way to images: by seed, by style, in lanes, on a sheet."""
    source = runs["stylegan"]
    if runtime == "onnx":
        source = export_onnx(source, tmp_path / "s.onnx", split=True).paths[0]
    huge, usual = (open_generator(source, batch=batch, device="cpu") for batch in (1_000_000, None))
    sizes: list[int] = []
    begin = type(huge)._begin

    def counted(self: Any, inputs: Inputs) -> Fetch:
        sizes.append(len(inputs))
        return begin(self, inputs)

    monkeypatch.setattr(type(huge), "_begin", counted)
    np.testing.assert_array_equal(huge.sample(3), usual.sample(3))
    request = huge.request()
    made = huge.prepare(range(3), request)
    w = huge.styles(made.z, made.c, request)
    np.testing.assert_array_equal(huge.synthesise(w), usual.synthesise(w))
    huge.lanes = 2
    np.testing.assert_array_equal(huge.images(range(3), request), usual.sample(3))
    assert set(sizes) == {16}


def test_a_graph_of_a_fixed_batch_is_run_so(exported: Callable[..., Path], tmp_path: Path) -> None:
    from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed

    model = unsealed(exported("dcgan"))
    batch = next(value for value in model.graph.input if value.name == "z").type.tensor_type.shape.dim[0]
    make_dim_param_fixed(model.graph, batch.dim_param, 3)
    onnx.save(model, tmp_path / "three.onnx")
    three = open_generator(tmp_path / "three.onnx")
    assert three.batch == 3
    expected = open_generator(exported("dcgan"), batch=3).sample(7)
    np.testing.assert_array_equal(three.sample(7), expected)
    with pytest.raises(ConfigError, match="runs 3 images at a time and no other number"):
        open_generator(tmp_path / "three.onnx", batch=4)
