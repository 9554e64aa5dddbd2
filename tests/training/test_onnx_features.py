"""A feature network from a file: the same maps as where it came from, gradients of both orders, and what is refused."""

import json
import os

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from fastgan.errors import ConfigError
from fastgan.nn import ProjectedDiscriminator
from fastgan.training.onnx_features import OnnxFeatures, probe

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:torch.*", "ignore:You are using the legacy"
)


class Tower(nn.Module):
    """What pretrained networks are made of, small."""

    def __init__(self, sides=(2, 4)):
        super().__init__()
        self.sides = sides
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 5, padding=2, groups=4)
        self.gate = nn.Conv2d(4, 4, 1)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        h = nn.functional.hardtanh(self.depthwise(x), 0.0, 6.0)
        x = x + h * torch.sigmoid(self.gate(nn.functional.avg_pool2d(h, 1)))
        fine = nn.functional.leaky_relu(x, 0.1)
        coarse = self.down(nn.functional.max_pool2d(fine, 3, 1, 1))
        return (fine, coarse) if self.sides == (2, 4) else (fine, fine)


def export(folder, network, settings=None):
    path = folder / "tower.onnx"
    example = torch.randn(1, 3, 32, 32)
    sizes = {0: "n", 2: "h", 3: "w"}
    torch.onnx.export(
        network.eval(), (example,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": sizes}
    )
    settings = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]} if settings is None else settings
    path.with_suffix(".json").write_text(json.dumps(settings))
    return path


@pytest.fixture
def tower():
    torch.manual_seed(0)
    network = Tower()
    network.norm.running_var.uniform_(0.5, 2)
    network.norm.running_mean.normal_()
    return network.requires_grad_(False)


def test_a_file_gives_the_maps_of_its_network(tower, tmp_path, device):
    features = OnnxFeatures(export(tmp_path, tower), device)
    assert (features.channels, features.reductions) == ((4, 6), (2, 4))
    assert len(features.sha256) == 64
    images = torch.rand(2, 3, 64, 64, device=device) * 2 - 1
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    expected = tower.to(device)(((images + 1) / 2 - mean) / std)
    for ours, theirs, spread in zip(features(images), expected, features.spread, strict=True):
        torch.testing.assert_close(ours * spread, theirs, rtol=1e-4, atol=1e-4)


def test_maps_are_brought_to_the_same_spread_wherever_and_whenever_they_are_opened(tower, tmp_path, device):
    tower.down.weight *= 1000
    path = export(tmp_path, tower)
    features, again = OnnxFeatures(path, device), OnnxFeatures(path, torch.device("cpu"))
    assert features.spread == again.spread
    assert features.spread[1] > 100 * features.spread[0]
    for m in features(probe().to(device)):
        assert m.std().item() == pytest.approx(1, abs=0.06)
    nn.init.zeros_(tower.down.weight)
    nn.init.zeros_(tower.down.bias)
    with pytest.raises(ConfigError, match="gives the same value everywhere in map 2 of 2"):
        OnnxFeatures(export(tmp_path, tower), device)


def two_files(path, network):
    """As newer exporters write them: the graph in one file, weights in another."""
    torch.onnx.export(network.eval(), (torch.randn(1, 3, 64, 64),), path, dynamo=False, input_names=["x"])
    model = onnx.load(path)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # it would be appended to
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    path.with_suffix(".json").write_text('{"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}')


def test_a_network_is_known_by_its_weights_and_by_how_it_wants_its_images(tower, tmp_path, device):
    path = tmp_path / "net.onnx"
    two_files(path, tower)
    written, before = path.read_bytes(), OnnxFeatures(path, device).sha256
    path.rename(tmp_path / "renamed.onnx")
    path.with_suffix(".json").rename(tmp_path / "renamed.json")
    assert OnnxFeatures(tmp_path / "renamed.onnx", device).sha256 == before
    tower.down.weight[0, 0, 0, 0] += 1
    two_files(path, tower)
    assert path.read_bytes() == written
    other = OnnxFeatures(path, device).sha256
    path.with_suffix(".json").write_text('{"mean": [0.5, 0.5, 0.4], "std": [0.2, 0.2, 0.2]}')
    assert len({before, other, OnnxFeatures(path, device).sha256}) == 3


def handmade(folder, *nodes, inputs=("x",)):
    """A file whose `nodes` make "coarse" of "fine"."""
    shapes = {"stem": (4, 3, 3, 3), "down": (4, 4, 3, 3)}
    values = np.random.default_rng(0)
    initialisers = [
        numpy_helper.from_array(values.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    halves = {"strides": [2, 2], "pads": [1] * 4}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "stem"], ["fine"], **halves), *nodes],
        "handmade",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("fine", "coarse")],
        initialisers,
    )
    path = folder / "handmade.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    path.with_suffix(".json").write_text('{"mean": [0, 0, 0], "std": [1, 1, 1]}')
    return path


def as_onnx_has_it(path, features, images):
    """The same images through ONNX's own reference implementation, and through ours."""
    theirs = ReferenceEvaluator(str(path)).run(None, {"x": ((images + 1) / 2).numpy()})
    ours = features(images)
    for mine, spread, other in zip(ours, features.spread, theirs, strict=True):
        torch.testing.assert_close(mine * spread, torch.from_numpy(other), rtol=1e-4, atol=1e-4)


HALVES = helper.make_node("Conv", ["pooled", "down"], ["coarse"], strides=[2, 2], pads=[1] * 4)


@pytest.mark.parametrize(
    "pool",
    [
        {"kernel_shape": [3, 3], "pads": [1] * 4},
        {"kernel_shape": [3, 3], "pads": [2] * 4, "dilations": [2, 2]},
    ],
)
def test_pools_move_by_one_pixel_unless_told_and_may_be_dilated(pool, tmp_path):
    path = handmade(tmp_path, helper.make_node("MaxPool", ["fine"], ["pooled"], **pool), HALVES)
    as_onnx_has_it(path, OnnxFeatures(path, torch.device("cpu")), torch.rand(2, 3, 64, 64) * 2 - 1)


@pytest.mark.parametrize(
    "constant",
    [{"value_float": 2.5}, {"value_floats": [2.5]}, {"value": numpy_helper.from_array(np.float32(2.5))}],
)
def test_a_constant_may_be_written_in_any_form(constant, tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["factor"], **constant),
        helper.make_node("Mul", ["fine", "factor"], ["pooled"]),
    ]
    path = handmade(tmp_path, *nodes, HALVES)
    as_onnx_has_it(path, OnnxFeatures(path, torch.device("cpu")), torch.rand(2, 3, 64, 64) * 2 - 1)


def test_files_that_are_no_network_of_images_are_refused_in_a_sentence(tmp_path):
    halves = helper.make_node("Conv", ["fine", "down"], ["coarse"], strides=[2, 2], pads=[1] * 4)
    words = helper.make_node("Constant", [], ["words"], value_string="words")
    for nodes, inputs, sentence in (
        ([halves], (), "has no input: export a network that takes images"),
        ([halves], ("x", "y"), r"has 2 inputs \(x, y\)"),
        ([halves, words], ("x",), "has a Constant of value_string, which is no number"),
    ):
        path = handmade(tmp_path, *nodes, inputs=inputs)
        with pytest.raises(ConfigError, match=sentence):
            OnnxFeatures(path, torch.device("cpu"))
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"is not a whole ONNX model \(its graph is empty\)"):
        OnnxFeatures(path, torch.device("cpu"))


@pytest.mark.parametrize(
    "numbers", ['"mean": [NaN, 0, 0], "std": [1, 1, 1]', '"mean": [0, 0, 0], "std": [1, Infinity, 1]']
)
def test_numbers_that_are_not_finite_are_refused(numbers, tower, tmp_path, device):
    path = export(tmp_path, tower)
    path.with_suffix(".json").write_text(f"{{{numbers}}}")
    with pytest.raises(ConfigError, match=r"tower\.json must have finite numbers, and in std above 0"):
        OnnxFeatures(path, device)
    tower.down.bias[0] = torch.nan
    with pytest.raises(ConfigError, match="gives values that are not finite in map 2 of 2"):
        OnnxFeatures(export(tmp_path, tower), device)


def test_a_discriminator_on_it_is_differentiable_twice(tower, tmp_path, device):
    features = OnnxFeatures(export(tmp_path, tower), device)
    d = ProjectedDiscriminator(features, img_channels=3, size=8, width=2).to(device).double().eval()
    x = (torch.rand(1, 3, 8, 8, device=device, dtype=torch.double) * 2 - 1).requires_grad_()
    assert d(x).shape == (1, 32)
    assert torch.autograd.gradcheck(lambda x: d(x).mean(1), (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: d(x).mean(1), (x,), fast_mode=True)


def test_what_cannot_be_used_is_refused_in_a_sentence(tower, tmp_path, device):
    with pytest.raises(ConfigError, match="does not exist"):
        OnnxFeatures(tmp_path / "none.onnx", device)
    path = export(tmp_path, Tower(sides=(2, 2)))
    with pytest.raises(ConfigError, match="gives maps of 32, 32 px for 64: each must be half as large"):
        OnnxFeatures(path, device)
    with pytest.raises(
        ConfigError, match=r"operators that are not known here \(.*\): export a network of convolutions"
    ):
        OnnxFeatures(export(tmp_path, nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(1))), device)
    path.with_suffix(".json").write_text('{"mean": [0, 0, 0], "std": [1, 1]}')
    with pytest.raises(ConfigError, match="must have three numbers"):
        OnnxFeatures(path, device)
    path.with_suffix(".json").unlink()
    with pytest.raises(ConfigError, match=r"write tower.json beside it, such as"):
        OnnxFeatures(path, device)
    path.write_bytes(b"nothing")
    path.with_suffix(".json").write_text('{"mean": [0, 0, 0], "std": [1, 1, 1]}')
    with pytest.raises(ConfigError, match="is not a whole ONNX model"):
        OnnxFeatures(path, device)


@pytest.mark.parametrize("harm", ["constant", "output", "place", "dims"])
def test_a_graph_with_damaged_parts_is_refused(tower, tmp_path, device, harm):
    path = export(tmp_path, tower)
    model = onnx.load(path)
    graph = model.graph
    graph.node.insert(0, helper.make_node("Constant", [], ["c"], value_float=1.0))
    if harm == "constant":
        graph.node[0].ClearField("attribute")
    elif harm == "output":
        graph.node[1].ClearField("output")
    elif harm == "place":
        graph.initializer[0].external_data.add(key="location", value="x")
        graph.initializer[0].external_data.add(key="offset", value="y")
        graph.initializer[0].data_location = 1
    else:
        graph.initializer[0].dims.append(3)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match=r"is not a whole ONNX model|cannot take images") as refused:
        OnnxFeatures(path, device)
    assert "\n" not in str(refused.value)
    assert "index out of range" not in str(refused.value)


def test_a_graph_of_gigabytes_is_not_read(tower, tmp_path, device):
    path = export(tmp_path, tower)
    os.truncate(path, 3 << 30)
    with pytest.raises(ConfigError, match=r"is not a whole ONNX model \(it has 3\.2 GB"):
        OnnxFeatures(path, device)
