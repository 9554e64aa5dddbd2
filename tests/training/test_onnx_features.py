"""A feature network from a file: the same maps as where it came from, gradients of both orders, and what is refused."""

import json

import pytest
import torch
from torch import nn

from fastgan.errors import ConfigError
from fastgan.nn import ProjectedDiscriminator
from fastgan.training.onnx_features import OnnxFeatures

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
    for ours, theirs in zip(features(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


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
