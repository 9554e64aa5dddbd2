"""The functions written for ONNX compute what the ops compute, at every size and with any taps."""

import pytest
import torch

from fastgan import ops
from fastgan.exporters import lowering

TAPS = [(1, 3, 3, 1), (1, 2, 4, 3), (1, 1)]


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 64), (65, 3), (8, 80)])
@pytest.mark.parametrize("taps", TAPS)
def test_upsample2x(size: tuple[int, int], taps: tuple[float, ...]) -> None:
    x = randn(2, 3, *size)
    expected = ops.upsample2x_reference(x, taps)
    with lowering.lowered():
        found = ops.upsample2x(x, taps)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("noise_batch", [1, 3, None])
def test_style_epilogue(noise_batch: int | None) -> None:
    x, per_channel, per_plane = randn(3, 5, 8, 6), (randn(5), randn(5)), (randn(3, 5), randn(3, 5))
    noise = None if noise_batch is None else randn(noise_batch, 1, 8, 6)
    expected = ops.style_epilogue_reference(x, noise, *per_channel, *per_plane)
    with lowering.lowered():
        found = ops.style_epilogue(x, noise, *per_channel, *per_plane)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
@pytest.mark.parametrize("size", [(3, 5, 8, 6), (3, 5)])
def test_bias_act(size: tuple[int, ...], gain: float) -> None:
    x, bias = randn(*size), randn(5)
    with lowering.lowered():
        found = ops.bias_act(x, bias, 0.1, gain)
    torch.testing.assert_close(found, ops.bias_act_reference(x, bias, 0.1, gain))


def test_adain() -> None:
    x, scale, shift = randn(3, 5, 8, 6), randn(3, 5), randn(3, 5)
    with lowering.lowered():
        found = ops.adain(x, scale, shift)
    torch.testing.assert_close(found, ops.adain_reference(x, scale, shift), rtol=1e-4, atol=1e-5)


def test_is_used_within_the_context_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("adain", "bias_act", "style_epilogue", "upsample2x"):
        real = getattr(lowering, name)
        monkeypatch.setattr(
            lowering, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1]
        )
    v, s = randn(2), randn(1, 2)

    def all_four() -> None:
        ops.bias_act(randn(1, 2, 4, 4), v)
        ops.adain(randn(1, 2, 4, 4), s, s)
        ops.style_epilogue(randn(1, 2, 4, 4), None, v, v, s, s)
        ops.upsample2x(randn(1, 2, 4, 4))

    with lowering.lowered():
        all_four()
    assert calls == ["bias_act", "adain", "style_epilogue", "adain", "upsample2x"] or calls == [
        "bias_act", "adain", "style_epilogue", "upsample2x",
    ]  # fmt: skip
    calls.clear()
    all_four()
    with ops.reference():
        all_four()
    assert calls == []
