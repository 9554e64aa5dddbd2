"""Coarser precisions, models in two parts, and weights in a file of their own."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from fastgan.errors import CheckpointError, ConfigError, OutputError
from fastgan.exporters import export_onnx, external, subpixel
from fastgan.exporters.equalise import equalise
from fastgan.inference import open_generator
from fastgan.inference.conditions import Request
from fastgan.nn import bake
from fastgan.seeds import latents
from fastgan.training.checkpoint import load_generator
from tests.tiny import tiny_run

MODELS = ("dcgan", "r3gan", "stylegan")


def snr_db(exact: np.ndarray, coarse: np.ndarray) -> float:
    signal = exact / 127.5 - 1
    noise = (exact.astype(np.float64) - coarse) / 127.5
    return float(10 * np.log10((signal**2).sum() / (noise**2).sum()))


@pytest.mark.parametrize("name", MODELS)
def test_half_precision(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    export_onnx(runs[name], tmp_path / "whole.onnx")
    done = export_onnx(runs[name], tmp_path / "half.onnx", precision="fp16")
    assert done.snr_db > 50
    sizes = {key: (tmp_path / f"{key}.onnx").stat().st_size for key in ("whole", "half")}
    assert sizes["half"] < 0.95 * sizes["whole"]  # of a model so small, much is graph
    model = onnx.load(tmp_path / "half.onnx")
    convolutions = {n.input[1] for n in model.graph.node if n.op_type in ("Conv", "ConvTranspose")}
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    assert {kinds[weight] for weight in convolutions} == {TensorProto.FLOAT16}
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type != TensorProto.FLOAT16
    runtime = open_generator(tmp_path / "half.onnx")
    assert runtime.precision == "fp16"
    assert snr_db(open_generator(runs[name]).sample(20), runtime.sample(20)) > 40


@pytest.mark.parametrize("name", MODELS)
def test_eight_bits(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    done = export_onnx(runs[name], tmp_path / "m.onnx", precision="int8", uint8=True)
    assert done.snr_db >= 26
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
    quantised = done.convolutions - len(done.kept)
    assert 0 < quantised < done.convolutions
    assert kinds["QuantizeLinear"] >= quantised
    runtime = open_generator(tmp_path / "m.onnx", batch=5)
    assert runtime.precision == "int8"
    exact, coarse = open_generator(runs[name]).sample(30), runtime.sample(30)
    assert snr_db(exact, coarse) > 25
    np.testing.assert_array_equal(coarse[7], runtime.sample(1, seed=7)[0])
    with pytest.raises(ConfigError, match="was exported in int8"):
        open_generator(tmp_path / "m.onnx", precision="fp32")


def test_more_layers_stay_in_float_where_8_bits_are_not_enough(runs: dict[str, Path], tmp_path: Path) -> None:
    few = export_onnx(runs["stylegan"], tmp_path / "few.onnx", precision="int8", min_snr_db=10)
    many = export_onnx(runs["stylegan"], tmp_path / "many.onnx", precision="int8", min_snr_db=few.snr_db + 3)
    assert len(few.kept) == 1
    assert len(many.kept) > len(few.kept)
    assert many.snr_db >= few.snr_db + 3
    with pytest.raises(OutputError, match=r"8 bits reach .* dB on this model"):
        export_onnx(runs["stylegan"], tmp_path / "none.onnx", precision="int8", min_snr_db=200)
    with pytest.raises(OutputError, match="export it in fp32"):
        export_onnx(runs["stylegan"], tmp_path / "none.onnx", precision="fp16", min_snr_db=200)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["few.onnx", "many.onnx"]


@pytest.mark.parametrize("channels", [(3, 5), (1, 1)])
def test_a_transposed_convolution_is_a_convolution_and_a_shuffle(channels: tuple[int, int]) -> None:
    torch.manual_seed(0)
    i, o = channels
    x = torch.randn(2, i, 4, 7, dtype=torch.float64)
    kernel, bias = torch.randn(i, o, 4, 4, dtype=torch.float64), torch.randn(o, dtype=torch.float64)
    expected = F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)
    weight = torch.from_numpy(subpixel.as_convolution(kernel.numpy()))
    found = F.pixel_shuffle(F.conv2d(x, weight, bias.repeat_interleave(4), padding=1), 2)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_rewriting_a_graph(runs: dict[str, Path], tmp_path: Path) -> None:
    export_onnx(runs["dcgan"], tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    names = [node.name for node in model.graph.node if node.op_type == "ConvTranspose"]
    assert subpixel.rewrite(model, kept=names[-1:]) == len(names) - 1
    onnx.checker.check_model(model, full_check=True)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert (kinds["ConvTranspose"], kinds["DepthToSpace"]) == (1, len(names) - 1)
    z = latents(range(3), 7)
    before, after = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"z": z})[0]
        for content in (str(tmp_path / "m.onnx"), model.SerializeToString())
    )
    np.testing.assert_allclose(after, before, atol=1e-5)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    w = numpy_helper.from_array(np.zeros((2, 2, 3, 3), np.float32), "w")
    other = helper.make_node("ConvTranspose", ["x", "w"], ["y"], "other", kernel_shape=[3, 3])
    assert subpixel.rewrite(helper.make_model(helper.make_graph([other], "g", [x], [y], [w]))) == 0


def test_equalising_changes_nothing_but_the_ranges(runs: dict[str, Path]) -> None:
    generator: Any = load_generator(runs["stylegan"])[0]
    baked = bake(generator.double())
    equalised = bake(generator)
    z = torch.from_numpy(latents(range(8), 16)).double()
    equalise(equalised, lambda network: network(z))
    with torch.no_grad():
        # The epsilon of the normalisation alone tells them apart.
        torch.testing.assert_close(equalised(z), baked(z), rtol=0, atol=2e-3)
        spread = []
        for network in (baked, equalised):
            const = network.const.expand(len(z), -1, -1, -1)
            first = network.first(const, network.mapping(z)[:, 0], network.noise_const_0)
            loudest = network.convs[0].conv(first).abs().amax((0, 2, 3))
            spread.append(float(loudest.max() / loudest.min()))
    assert spread[1] < 1.01 < 1.2 < spread[0]


@pytest.fixture(scope="module")
def parts(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    export_onnx(runs["stylegan"], folder / "m.onnx", split=True)
    return folder


def test_parts_are_the_whole(parts: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    assert sorted(file.name for file in parts.iterdir()) == ["m.mapping.onnx", "m.synthesis.onnx"]
    whole = open_generator(runs["stylegan"])
    for name in ("m.mapping.onnx", "m.synthesis.onnx"):
        split = open_generator(parts / name, batch=5)
        for options in (
            {},
            {"truncation_psi": 0.5, "truncation_cutoff": 3},
            {"noise": "random"},
            {"noise": "none"},
        ):
            difference = np.abs(split.sample(12, **options).astype(int) - whole.sample(12, **options))
            assert difference.max() <= 1
    z, asked = latents(range(7), 16), Request(truncation_psi=0.7)
    w, expected = split.styles(z, None, asked), whole.styles(z, None, asked)
    np.testing.assert_allclose(w, expected, atol=1e-4)
    mixed = np.concatenate([w[:, :2], w[::-1, 2:]], axis=1)
    assert np.abs(split.synthesise(mixed).astype(int) - whole.synthesise(mixed)).max() <= 1
    assert len({open_generator(file).facts.fingerprint for file in parts.iterdir()}) == 1


def test_parts_of_a_conditional_model_in_coarse_precisions(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", "stylegan", classes=3, attributes=2)
    exact = open_generator(run).sample(20, classes=["class2"])
    for precision, floor in (("fp16", 40), ("int8", 20)):
        export_onnx(run, tmp_path / f"{precision}.onnx", precision=precision, split=True, uint8=True)
        split = open_generator(tmp_path / f"{precision}.synthesis.onnx")
        assert split.precision == precision
        assert split.facts.class_names == ("class0", "class1", "class2")
        assert snr_db(exact, split.sample(20, classes=["class2"])) > floor


def test_parts_that_are_not_of_one_model(parts: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(parts / "m.synthesis.onnx", tmp_path)
    with pytest.raises(CheckpointError, match=r"whose mapping is not beside it as m.mapping.onnx"):
        open_generator(tmp_path / "m.synthesis.onnx")
    other = tiny_run(tmp_path / "run", "stylegan", seed=1)
    export_onnx(other, tmp_path / "other.onnx", split=True)
    shutil.move(tmp_path / "other.mapping.onnx", tmp_path / "m.mapping.onnx")
    with pytest.raises(CheckpointError, match="not of one export"):
        open_generator(tmp_path / "m.synthesis.onnx")
    with pytest.raises(ConfigError, match="no mapping network to split off"):
        export_onnx(runs["dcgan"], tmp_path / "d.onnx", split=True)


def test_weights_past_the_limit_lie_beside(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "LIMIT", 1000)
    path = tmp_path / "m.onnx"
    export_onnx(runs["stylegan"], path)
    model, data = sorted(tmp_path.iterdir(), key=lambda file: file.name)
    assert data.name.startswith("m.onnx.")
    assert data.stat().st_size > 20_000
    assert model.stat().st_size < 25_000
    first = open_generator(path).sample(4)
    assert np.abs(first.astype(int) - open_generator(runs["stylegan"]).sample(4)).max() <= 1
    hashes = {open_generator(path).facts.fingerprint}
    # Another model in its place: its weights have another name, and the old ones go.
    export_onnx(tiny_run(tmp_path / "run", "stylegan", seed=5), path, overwrite=True)
    assert len([file for file in tmp_path.iterdir() if file.name.startswith("m.onnx.")]) == 1
    assert not data.exists()
    assert np.abs(open_generator(path).sample(4).astype(int) - first).mean() > 1
    assert len(hashes | {open_generator(path).facts.fingerprint}) == 2
    export_onnx(runs["stylegan"], path, overwrite=True, precision="int8")
    for file in tmp_path.glob("m.onnx.*.data"):
        file.unlink()
    with pytest.raises(CheckpointError, match=r"m\.onnx"):
        open_generator(path)


def test_a_refused_file_leaves_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        assert open_generator(path).sample(1).shape == (1, 16, 16, 3)
        raise OutputError("its FID is worse")

    with pytest.raises(OutputError, match="worse"):
        export_onnx(runs["dcgan"], tmp_path / "m.onnx", accept=refuse)
    assert list(tmp_path.iterdir()) == []
