"""Every runtime gives the same image for the same seed, at any batch size, to within the stated tolerance."""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from scipy import stats

import fastgan
from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference import Inputs, open_generator, torch_runtime
from fastgan.inference.conditions import Request
from fastgan.inference.onnx_session import Session, open_session
from fastgan.inference.runtime import default_batch
from fastgan.pixels import to_uint8
from fastgan.seeds import latents
from fastgan.training import checkpoint
from tests.inference.conftest import MODELS
from tests.tiny import DATA_HASH, tiny_run, unsealed

Exported = Callable[..., Path]


def assert_same_images(a: np.ndarray, b: np.ndarray) -> None:
    """The tolerance that Runtime states: one grey level, in fewer than one pixel of a thousand."""
    difference = np.abs(a.astype(int) - b)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_torch_gives_what_the_model_gives(name: str, runs: dict[str, Path], device: torch.device) -> None:
    runtime = open_generator(runs[name], device=str(device), batch=5)
    generator, _ = checkpoint.load_generator(runs[name])
    z = latents(range(11), runtime.z_dim)
    with torch.no_grad():
        expected = to_uint8(generator(torch.from_numpy(z))).numpy()
    images = runtime.sample(11)
    assert images.shape == (11, 16, 16, 3)
    assert images.dtype == np.uint8
    assert images.std() > 30  # the test means something only if the images do
    assert_same_images(images, expected)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("uint8", [False, True])
def test_onnx_runtime_agrees_with_torch(
    name: str, uint8: bool, runs: dict[str, Path], exported: Exported
) -> None:
    ours = open_generator(exported(name, uint8=uint8), batch=4)
    theirs = open_generator(runs[name], batch=7)
    assert ours.name == "onnx"
    assert theirs.name == "torch"
    assert_same_images(ours.sample(50, seed=3), theirs.sample(50, seed=3))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_image_depends_on_its_seed_alone(
    name: str, runtime: str, runs: dict[str, Path], exported: Exported
) -> None:
    source = runs[name] if runtime == "torch" else exported(name)
    one, seven = open_generator(source, batch=1), open_generator(source, batch=7)
    ten = seven.sample(10)
    assert_same_images(ten, one.sample(10))
    # At one batch size, place and company make no difference at all.
    np.testing.assert_array_equal(ten[8], seven.sample(1, seed=8)[0])
    np.testing.assert_array_equal(ten[[9, 2]], seven.generate(latents([9, 2], seven.z_dim)))
    assert seven.generate(latents([], seven.z_dim)).shape == (0, 16, 16, 3)


def test_truncation_in_both_runtimes(runs: dict[str, Path], exported: Exported) -> None:
    torch_, onnx_ = open_generator(runs["stylegan"]), open_generator(exported("stylegan"))
    full, half = torch_.sample(6), torch_.sample(6, truncation_psi=0.5)
    assert np.abs(full.astype(int) - half).mean() > 1
    assert_same_images(half, onnx_.sample(6, truncation_psi=0.5))
    mean = onnx_.sample(6, truncation_psi=0.0)
    assert (mean == mean[:1]).all()


def test_truncation_in_the_first_layers_alone(runs: dict[str, Path], exported: Exported) -> None:
    torch_, onnx_ = open_generator(runs["stylegan"]), open_generator(exported("stylegan"))
    images = {k: torch_.sample(3, truncation_psi=0.2, truncation_cutoff=k) for k in (0, 2, 6)}
    assert_same_images(images[2], onnx_.sample(3, truncation_psi=0.2, truncation_cutoff=2))
    np.testing.assert_array_equal(images[0], torch_.sample(3))
    np.testing.assert_array_equal(images[6], torch_.sample(3, truncation_psi=0.2))
    assert np.abs(images[2].astype(int) - images[6]).mean() > 1
    assert np.abs(images[2].astype(int) - images[0]).mean() > 1
    for cutoff in (-1, 7):
        with pytest.raises(ConfigError, match="give a number from 0 to 6"):
            onnx_.sample(1, truncation_cutoff=cutoff)
    with pytest.raises(ConfigError, match="has no truncation"):
        open_generator(runs["dcgan"]).sample(1, truncation_cutoff=1)


@pytest.mark.slow
def test_4096_px_of_bounded_memory(tmp_path: Path) -> None:
    """The widest layers of a StyleGAN at 4096 px have 8 channels at any width."""
    run = tiny_run(tmp_path / "run", "stylegan", resolution=4096, alive=False)
    code = (
        "import resource, fastgan\n"
        f"model = fastgan.load({str(run)!r})\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "image = model.sample(1, truncation_psi=0.7)\n"
        "print(model.batch, image.shape, image.std() > 1)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    said, grown = done.stdout.splitlines()
    assert said == "1 (1, 4096, 4096, 3) True"
    assert float(grown) < 4  # GiB; measured: 1.5


@pytest.mark.parametrize("psi", [float("nan"), 3.0, -2.5])
def test_truncation_out_of_range(psi: float, runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        open_generator(runs["stylegan"]).sample(1, truncation_psi=psi)


def test_truncation_on_a_model_without(runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="dcgan model has no truncation"):
        open_generator(runs["dcgan"]).sample(1, truncation_psi=0.5)


def test_bf16_is_close(runs: dict[str, Path]) -> None:
    exact = open_generator(runs["stylegan"]).sample(8).astype(int)
    coarse = open_generator(runs["stylegan"], precision="bf16").sample(8)
    assert 0 < np.abs(exact - coarse).mean() < 4


def test_a_run_its_checkpoint_and_its_release_are_one_model(runs: dict[str, Path], tmp_path: Path) -> None:
    run = runs["stylegan"]
    release = tmp_path / "model.safetensors"
    checkpoint.save_release(release, checkpoint.load(run))
    opened = [open_generator(path) for path in (run, checkpoint.locate(run), release)]
    assert len({runtime.facts.fingerprint for runtime in opened}) == 1
    np.testing.assert_array_equal(opened[0].sample(2), opened[2].sample(2))


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_describe(runtime: str, runs: dict[str, Path], exported: Exported) -> None:
    source = runs["stylegan"] if runtime == "torch" else exported("stylegan")
    described = open_generator(source, batch=3, device="cpu").describe()
    described.pop("fingerprint")
    assert described == {
        "source": str(source), "model": "stylegan", "resolution": 16, "img_channels": 3, "z_dim": 16,
        "has_truncation": True, "cur_nimg": 1500, "data_hash": DATA_HASH, "layers": 6,
        "class_names": (), "attribute_names": (), "noise_sizes": (4, 4, 8, 8, 16, 16),
        "runtime": runtime, "device": "cpu", "precision": "fp32", "batch": 3,
    }  # fmt: skip


def test_one_channel(tmp_path: Path) -> None:
    run = tiny_run(tmp_path, "dcgan", img_channels=1)
    assert open_generator(run).sample(2).shape == (2, 16, 16, 1)


def test_python_api(runs: dict[str, Path]) -> None:
    images = fastgan.load(runs["stylegan"], batch=4).sample(5, seed=2, truncation_psi=0.7)
    assert images.shape == (5, 16, 16, 3)
    with pytest.raises(ConfigError, match="give a number from 1 to"):
        fastgan.load(runs["stylegan"]).sample(0)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fastgan.nonsense
    assert set(fastgan.__all__) <= set(dir(fastgan))


def test_importing_fastgan_imports_nothing_heavy() -> None:
    code = "import sys, fastgan; print([m for m in ('torch', 'numpy', 'onnx', 'PIL', 'rich') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stdout
        == "[]\n"
    )


def test_onnx_runs_without_torch(exported: Exported) -> None:
    code = (
        "import sys, fastgan\n"
        f"fastgan.load({str(exported('dcgan'))!r}).sample(1)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_default_batch_shrinks_with_resolution() -> None:
    assert default_batch(64, gpu=False) == 16
    assert default_batch(64, gpu=True) == 64
    assert default_batch(256, gpu=False) == 4
    assert default_batch(4096, gpu=True) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runtime": "tensorrt"}, "unknown: choose one of auto, torch, onnx"),
        ({"runtime": "onnx"}, "fastgan export"),
        ({"precision": "fp8"}, "choose one of fp32, fp16, bf16, int8"),
        ({"precision": "int8"}, "export it first"),
        ({"batch": 0}, "give a number from 1 to"),
        ({"device": "tpu"}, "unknown: choose auto, cpu"),
        ({"device": "mps"}, "is unknown"),
        ({"device": "cuda:99"}, "does not see"),
    ],
)
def test_impossible_settings(options: dict[str, object], said: str, runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=said):
        open_generator(runs["dcgan"], **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runtime": "torch"}, "exported from"),
        ({"precision": "bf16"}, "was exported in fp32"),
        ({"device": "tpu"}, "unknown"),
        ({"device": "cuda:x"}, "unknown"),
    ],
)
def test_impossible_settings_for_onnx(options: dict[str, object], said: str, exported: Exported) -> None:
    with pytest.raises(ConfigError, match=said):
        open_generator(exported("dcgan"), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_for_onnx_without_a_gpu(exported: Exported) -> None:
    with pytest.raises(ConfigError, match="cannot use CUDA here"):
        open_generator(exported("dcgan"), device="cuda")


def foreign_onnx(path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def test_bad_onnx_files(tmp_path: Path, exported: Exported) -> None:
    bad = tmp_path / "bad.onnx"
    with pytest.raises(CheckpointError, match="does not exist"):
        open_generator(bad)
    foreign_onnx(bad)
    with pytest.raises(CheckpointError, match="not one that fastgan exported"):
        open_generator(bad)
    whole = exported("dcgan").read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        bad.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"not a whole ONNX model|not one that fastgan"):
            open_generator(bad)
    bad.unlink()
    bad.mkdir()
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_generator(bad)


def test_a_graph_that_gives_nothing_and_one_that_fails(
    tmp_path: Path, exported: Exported, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime loads both, and writes nothing to the terminal: its words, without codes, are in the sentence."""
    model = unsealed(exported("dcgan"))
    model.graph.ClearField("output")
    onnx.save(model, tmp_path / "mute.onnx")
    with pytest.raises(CheckpointError, match=r"mute\.onnx is not a whole ONNX model"):
        open_generator(tmp_path / "mute.onnx")
    foreign_onnx(tmp_path / "add.onnx")
    session = Session(open_session(tmp_path / "add.onnx", "cpu"), tmp_path / "add.onnx")
    with pytest.raises(CheckpointError, match=r"add\.onnx cannot be run \((?!.*ONNXRuntimeError)") as refused:
        session.begin({"x": np.zeros((2, 3), np.float32)})()
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""


def test_onnx_with_garbled_metadata(tmp_path: Path, exported: Exported) -> None:
    model = unsealed(exported("dcgan"))
    for prop in model.metadata_props:
        if prop.key == "fastgan.z_dim":
            prop.value = "many"
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(CheckpointError, match="garbles"):
        open_generator(tmp_path / "odd.onnx")


def test_bad_runs(tmp_path: Path, runs: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        open_generator(tmp_path / "nothing")
    with pytest.raises(CheckpointError):
        open_generator(tmp_path)  # an empty folder
    run = tmp_path / "run"
    shutil.copytree(runs["dcgan"], run)
    weights = checkpoint.locate(run) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cut short"):
        open_generator(run)


def test_noise_in_both_runtimes(runs: dict[str, Path], exported: Exported) -> None:
    """The noise of a seed is the seed's alone, and the same in each runtime."""
    torch_, onnx_ = (open_generator(path, batch=3) for path in (runs["stylegan"], exported("stylegan")))
    images = {mode: torch_.sample(5, noise=mode) for mode in ("const", "random", "none")}
    for mode, of_torch in images.items():
        assert_same_images(of_torch, onnx_.sample(5, noise=mode))
    for one, other in itertools.combinations(images.values(), 2):
        assert np.abs(one.astype(int) - other).mean() > 1
    np.testing.assert_array_equal(images["random"][4], torch_.sample(1, seed=4, noise="random")[0])
    with pytest.raises(ConfigError, match="takes no noise"):
        open_generator(exported("dcgan")).sample(1, noise="random")
    with pytest.raises(ConfigError, match="choose one of const, random, none"):
        torch_.sample(1, noise="loud")


def test_noise_is_standard_normal_and_fits(runs: dict[str, Path]) -> None:
    runtime = open_generator(runs["stylegan"])
    noise = runtime.prepare(range(40), Request(noise="random")).noise
    assert noise is not None
    assert [plane.shape for plane in noise] == [(40, 1, r, r) for r in (4, 4, 8, 8, 16, 16)]
    drawn = np.concatenate([plane.reshape(40, -1) for plane in noise], axis=1)
    assert stats.kstest(drawn.reshape(-1), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(drawn[:, :100].T) - np.eye(100)).max() < 0.7  # of 4,950 pairs, 40 draws each
    assert not np.isin(drawn[:, : runtime.z_dim], latents(range(40), runtime.z_dim)).any()
    for wrong in (noise[:-1], (*noise[:-1], noise[-1][:, :, 1:]), tuple(plane[:2] for plane in noise)):
        with pytest.raises(ValueError, match="noise has shapes"):
            runtime.generate(latents(range(40), 16), noise=wrong)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_batch_that_does_not_fit_is_split(asynchronous: bool, runs: dict[str, Path]) -> None:
    """Whether memory is found wanting when a run begins, or when its images are fetched."""
    runtime = open_generator(runs["dcgan"], batch=11)
    expected, begin, sizes = runtime.sample(11), runtime._begin, []

    def narrow(inputs: Inputs) -> Callable[[], np.ndarray]:
        def fetch() -> np.ndarray:
            sizes.append(len(inputs))
            if len(inputs) > 3:
                raise MemoryError
            return begin(inputs)()

        if asynchronous:
            return fetch
        images = fetch()
        return lambda: images

    runtime._begin = narrow
    with pytest.warns(UserWarning, match="do not fit into memory") as said:
        assert_same_images(runtime.sample(11), expected)
    assert [str(warning.message).partition(" images")[0] for warning in said] == ["11", "5"]
    assert sizes == [11, 5, 2, 2, 2, 2, 2, 2]
    assert_same_images(runtime.sample(3), expected[:3])
    assert sizes[8:] == [2, 2]
    with pytest.raises(ValueError, match="the batch is 11"):
        runtime.launch(runtime.prepare(range(12), Request()))


def test_one_image_that_does_not_fit(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = open_generator(runs["dcgan"], batch=2)

    def full(inputs: Inputs) -> Callable[[], np.ndarray]:
        raise MemoryError

    monkeypatch.setattr(runtime, "_begin", full)
    with (
        pytest.warns(UserWarning, match="going on with 1"),
        pytest.raises(ConfigError, match=r"one image of 16 px does not fit into the memory of"),
    ):
        runtime.sample(2)


@pytest.mark.skipif(sys.platform != "linux", reason="limits its address space")
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_real_lack_of_memory(
    runtime: str, runs: dict[str, Path], exported: Exported, tmp_path: Path
) -> None:
    """A process that may not grow: torch and ONNX Runtime each say so in their own words."""
    source = runs["stylegan"] if runtime == "torch" else exported("stylegan")
    code = (
        "import resource, warnings, numpy as np, fastgan\n"
        "warnings.simplefilter('ignore')\n"
        f"model = fastgan.load({str(source)!r}, batch=8192, device='cpu')\n"
        "few = model.images(range(3), model.request())\n"
        "model.fits = model.batch = model.usual = 1 << 18\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 28), resource.RLIM_INFINITY))\n"
        "inputs = model.prepare(range(3), model.request())\n"
        "images = model.launch(inputs)()\n"
        "print(model.fits, int(np.abs(images.astype(int) - few).max()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    fits, difference = map(int, done.stdout.split())
    assert 1024 <= fits < 1 << 18  # and no less: an attempt that failed leaves nothing behind
    assert difference <= 1


def test_opset_that_is_not_known(tmp_path: Path, exported: Exported) -> None:
    model = unsealed(exported("dcgan"))
    model.opset_import[0].version = 99
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(CheckpointError, match="operator set that ONNX Runtime"):
        open_generator(tmp_path / "new.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_weights_that_are_rounded_once_change_no_bit(
    name: str, runs: dict[str, Path], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = open_generator(runs[name], device=str(device), precision="bf16").sample(3)
    monkeypatch.setattr(torch_runtime, "round_weights", lambda generator: None)
    each_time = open_generator(runs[name], device=str(device), precision="bf16").sample(3)
    assert np.array_equal(once, each_time)
