"""The exported file: what it contains, what it computes, and that it exists only when it is right."""

import json
import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fastgan import __version__
from fastgan.errors import CheckpointError, ConfigError, OutputError
from fastgan.exporters import export_onnx, verify
from fastgan.exporters import onnx as exporting
from fastgan.nn import bake
from fastgan.seeds import latents
from fastgan.training.checkpoint import load_generator
from tests.tiny import DATA_HASH, tiny_run

LAYERS = 6  # of a StyleGAN at 16 px: two a resolution


@pytest.fixture(scope="module")
def stylegan(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "new" / "stylegan.onnx"
    export_onnx(runs["stylegan"], path)
    return path


@pytest.fixture(scope="module")
def dcgan(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "dcgan.onnx"
    export_onnx(runs["dcgan"], path)
    return path


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_stylegan_graph(stylegan: Path) -> None:
    model = onnx.load(stylegan)
    count = Counter(node.op_type for node in model.graph.node)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert count["InstanceNormalization"] == LAYERS
    assert count["Conv"] == LAYERS - 1 + 1  # one to_rgb, and no convolution before the constant's style
    assert count["MatMul"] == 2 * 2  # two upsamplings
    assert count["ConvTranspose"] == count["Resize"] == count["BatchNormalization"] == 0


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def optimized(path: Path, folder: Path) -> Counter[str]:
    """The operators that ONNX Runtime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return operators(folder / "optimized.onnx")


def test_bias_stands_next_to_its_convolution(stylegan: Path, tmp_path: Path) -> None:
    """So that ONNX Runtime fuses it: of the Adds of a layer, the noise's and the style's remain."""
    assert operators(stylegan)["Add"] - optimized(stylegan, tmp_path)["Add"] == LAYERS - 1


def test_r3gan_graph(runs: dict[str, Path], tmp_path: Path) -> None:
    """Every bias and leaky ReLU is fused into the convolution before it: only the residual sums remain."""
    export_onnx(runs["r3gan"], tmp_path / "r3gan.onnx")
    blocks = 2 * 3  # of an R3GAN at 16 px: two a resolution
    count = operators(tmp_path / "r3gan.onnx")
    assert count["Conv"] == 3 * blocks + 1
    assert (count["LeakyRelu"], count["Mul"]) == (2 * blocks, 1)
    after = optimized(tmp_path / "r3gan.onnx", tmp_path)
    assert (after["LeakyRelu"], after["Add"]) == (0, blocks)


def test_inputs_and_defaults(stylegan: Path, runs: dict[str, Path]) -> None:
    graph = onnx.load(stylegan).graph
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    sides = [4, 4, 8, 8, 16, 16]
    assert shapes == {
        "z": ["batch", 16],
        "truncation_psi": [],
        "truncation_cutoff": [],
        **{f"noise_{k}": [f"noise_{k}_batch", 1, side, side] for k, side in enumerate(sides)},
        "images": ["batch", 3, 16, 16],
    }
    defaults = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    assert defaults["truncation_psi"] == 1.0
    assert defaults["truncation_cutoff"] == LAYERS
    generator, _ = load_generator(runs["stylegan"])
    for k in range(LAYERS):
        np.testing.assert_array_equal(defaults[f"noise_{k}"], generator.get_buffer(f"noise_const_{k}"))
    assert "z" not in defaults


def test_dcgan_graph(dcgan: Path) -> None:
    model = onnx.load(dcgan)
    assert [value.name for value in model.graph.input] == ["z"]
    count = Counter(node.op_type for node in model.graph.node)
    assert count["BatchNormalization"] == 0  # folded into the convolutions
    assert count["ConvTranspose"] == 2


def test_metadata(stylegan: Path, runs: dict[str, Path]) -> None:
    model = onnx.load(stylegan)
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    config = json.loads(metadata.pop("fastgan.config"))
    generator, _ = load_generator(runs["stylegan"])
    assert config["name"] == "stylegan"
    assert config["channel_multiplier"] == generator.config.channel_multiplier
    assert len(metadata.pop("fastgan.fingerprint")) == len(metadata.pop("fastgan.sha256")) == 64
    assert float(metadata.pop("fastgan.snr_db")) > 90
    assert metadata == {
        "fastgan.version": __version__, "fastgan.model": "stylegan", "fastgan.resolution": "16",
        "fastgan.img_channels": "3", "fastgan.z_dim": "16", "fastgan.has_truncation": "true",
        "fastgan.layers": "6", "fastgan.cur_nimg": "1500", "fastgan.data_hash": DATA_HASH, "fastgan.layout": "NCHW",
        "fastgan.pixels": "float32 -1..1 (clamp)",
        "fastgan.latents": "standard normal; from a seed as in fastgan/seeds.py",
        "fastgan.part": "whole", "fastgan.precision": "fp32",
    }  # fmt: skip
    assert model.producer_name == "fastgan"


def test_file_tells_nothing_about_this_machine(stylegan: Path, runs: dict[str, Path]) -> None:
    content = stylegan.read_bytes()
    for secret in (str(runs["stylegan"].parent), str(Path(exporting.__file__).parents[2]), "/secret/photos"):
        assert secret.encode() not in content


@pytest.mark.parametrize("n", [1, 2, 5])
def test_callers_may_override_everything(n: int, stylegan: Path, runs: dict[str, Path]) -> None:
    generator, _ = load_generator(runs["stylegan"])
    session = session_of(stylegan)
    z = latents(range(n), 16)
    noise = [torch.randn(n, *shape[1:]) for shape in generator.noise_shapes]
    feed: dict[str, Any] = {"z": z, "truncation_psi": np.array(0.4, np.float32)}
    with torch.no_grad():
        plain = generator(torch.from_numpy(z), truncation_psi=0.4)
        np.testing.assert_allclose(session.run(None, feed)[0], plain, atol=1e-4)
        # One layer's noise alone, with a sample each, while the others keep their default for all.
        mixed = [noise[k] if k == 3 else generator.get_buffer(f"noise_const_{k}") for k in range(LAYERS)]
        expected = generator(torch.from_numpy(z), truncation_psi=0.4, noise=mixed)
        np.testing.assert_allclose(
            session.run(None, feed | {"noise_3": noise[3].numpy()})[0], expected, atol=1e-4
        )
        assert (expected - plain).abs().max() > 0.01
        everything = feed | {f"noise_{k}": tensor.numpy() for k, tensor in enumerate(noise)}
        expected = generator(torch.from_numpy(z), truncation_psi=0.4, noise=noise)
        np.testing.assert_allclose(session.run(None, everything)[0], expected, atol=1e-4)


def test_zero_latent_is_finite(stylegan: Path, runs: dict[str, Path]) -> None:
    """The exporter's own optimiser drops the epsilon of the mapping network's normalisation."""
    generator, _ = load_generator(runs["stylegan"])
    z = np.zeros((2, 16), np.float32)
    with torch.no_grad():
        expected = generator(torch.from_numpy(z))
    np.testing.assert_allclose(session_of(stylegan).run(None, {"z": z})[0], expected, atol=1e-4)


def test_checks_are_reported(runs: dict[str, Path], tmp_path: Path) -> None:
    reported: list[verify.Check] = []
    done = export_onnx(runs["stylegan"], tmp_path / "m.onnx", uint8=True, report=reported.append)
    assert [*done.checks] == reported
    assert done.paths == (tmp_path / "m.onnx",)
    assert [(check.what, check.batch) for check in reported] == [
        ("defaults", 1), ("defaults", 3), ("defaults", 64), ("truncation 0.7", 3),
        ("truncation in half", 3), ("noise for each image", 3),
    ]  # fmt: skip
    assert all(check.difference <= check.tolerance == 1 for check in reported)
    output = onnx.load(tmp_path / "m.onnx").graph.output[0].type.tensor_type
    assert output.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in output.shape.dim] == ["batch", 16, 16, 3]


@pytest.mark.parametrize("opset", [18, 23])
def test_other_opsets(opset: int, runs: dict[str, Path], tmp_path: Path) -> None:
    export_onnx(runs["stylegan"], tmp_path / "m.onnx", opset=opset)
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == opset


def test_large_upsampling_is_exported_too(tmp_path: Path) -> None:
    """Above 64 px the graph takes another form."""
    run = tiny_run(tmp_path / "run", "stylegan", resolution=256)
    done = export_onnx(run, tmp_path / "m.onnx")
    assert [check.batch for check in done.checks] == [1, 3, 16, 3, 3, 3]
    count = Counter(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
    assert (count["MatMul"], count["Resize"]) == (2 * 5, 1)


@cache
def built(name: str, uint8: bool) -> onnx.ModelProto:
    generator, _ = load_generator(BUILT_FROM[name])
    return exporting.build(bake(generator), uint8=uint8, opset=exporting.OPSET)


BUILT_FROM: dict[str, Path] = {}


@pytest.fixture
def tamper(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make `exporting.build` give the graph of a model after `change(graph)`."""
    BUILT_FROM.update(runs)

    def arrange(name: str, change: Callable[[onnx.ModelProto], None], *, uint8: bool = False) -> None:
        model = onnx.ModelProto()
        model.CopyFrom(built(name, uint8))
        change(model)
        monkeypatch.setattr(exporting, "build", lambda *_, **__: model)

    return arrange


def scaled(constant: str, factor: float) -> Callable[[onnx.ModelProto], None]:
    """A change of the first constant with that in its name."""

    def change(model: onnx.ModelProto) -> None:
        changed = next(i for i in model.graph.initializer if constant in i.name)
        values = onnx.numpy_helper.to_array(changed) * np.float32(factor)
        changed.CopyFrom(onnx.numpy_helper.from_array(values, changed.name))

    return change


@pytest.mark.parametrize(
    ("constant", "factor", "uint8", "where"),
    [
        ("to_rgb", 1.05, False, "defaults, batch 1"),
        ("to_rgb", 1.05, True, "defaults, batch 1"),
        ("to_rgb", float("nan"), False, "defaults, batch 1"),
        ("w_avg", 1.5, False, "truncation 0.7"),
    ],
)
def test_wrong_graph_leaves_no_file(
    constant: str, factor: float, uint8: bool, where: str,
    runs: dict[str, Path], tmp_path: Path, tamper: Callable[..., None],
) -> None:  # fmt: skip
    tamper("stylegan", scaled(constant, factor), uint8=uint8)
    with pytest.raises(OutputError, match=rf"differs from torch by .* \({where}"):
        export_onnx(runs["stylegan"], tmp_path / "m.onnx", uint8=uint8)
    assert list(tmp_path.iterdir()) == []


def test_wrong_graph_keeps_the_old_file(
    runs: dict[str, Path], tmp_path: Path, tamper: Callable[..., None]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("old")
    tamper("dcgan", scaled("to_image", 1.1))
    with pytest.raises(OutputError, match="differs"):
        export_onnx(runs["dcgan"], path, overwrite=True)
    assert path.read_text() == "old"


def test_foreign_operators_are_refused(
    runs: dict[str, Path], tmp_path: Path, tamper: Callable[..., None]
) -> None:
    def change(model: onnx.ModelProto) -> None:
        next(node for node in model.graph.node if node.op_type == "Tanh").domain = "com.microsoft"
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))

    tamper("dcgan", change)
    with pytest.raises(OutputError, match=r"not standard \(com.microsoft\)"):
        export_onnx(runs["dcgan"], tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_diverged_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Callable[..., None]
) -> None:
    tamper("dcgan", lambda model: None)
    run = tiny_run(tmp_path / "run", "dcgan")
    real = exporting.load_model

    def diverged(path: Path) -> Any:
        generator, facts, state = real(path)
        generator.to_image.weight.data.fill_(float("nan"))
        return generator, facts, state

    monkeypatch.setattr(exporting, "load_model", diverged)
    with pytest.raises(CheckpointError, match="not finite"):
        export_onnx(run, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("model.txt", r"ends in \.onnx"),
        ("folder.onnx", "is a folder"),
        ("there.onnx", "is there already"),
        ("there.onnx/model.onnx", "not a folder that you may write to"),
    ],
)
def test_bad_targets(target: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "there.onnx").write_text("x")
    with pytest.raises(OutputError, match=said):
        export_onnx(tmp_path / "no run is opened", tmp_path / target)


def test_a_precision_of_no_export(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precision='bf16' is unknown: choose one of fp32, fp16, int8"):
        export_onnx(tmp_path, tmp_path / "m.onnx", precision="bf16")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may write to"):
        export_onnx(tmp_path, tmp_path / "m.onnx")


def test_full_disk(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Callable[..., None]
) -> None:
    tamper("dcgan", lambda model: None)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting.external.onnx, "save_model", full)
    with pytest.raises(OutputError, match="No space left on device"):
        export_onnx(runs["dcgan"], tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opset", [0, 17, 99])
def test_opset_out_of_range(opset: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="from 18 to 23"):
        export_onnx(tmp_path, tmp_path / "m.onnx", opset=opset)


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        export_onnx(tmp_path / "nothing", tmp_path / "m.onnx")
