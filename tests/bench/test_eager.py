"""A baseline that computes something else would flatter us or slander us: every composition against the reference."""

from dataclasses import replace

import pytest
import torch

from fastgan import ops
from fastgan.benchmark import eager, questions

OPS = {op.name: op for op in ops.discover()}
CASES = [(op, name) for op in OPS for name in eager.compositions(op)]


def question(op: str, pass_: str = "both") -> questions.Question:
    return questions.Question(op=OPS[op], shape=(2, 5, 6, 8), dtype="fp32", layout="nchw", pass_=pass_)


@pytest.mark.parametrize("op", OPS)
def test_every_op_has_a_baseline(op: str) -> None:
    assert eager.compositions(op)


@pytest.mark.parametrize(("op", "name"), CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_composition_equals_the_reference_in_value_and_gradient(
    op: str, name: str, layout: torch.memory_format, device: torch.device
) -> None:
    def results(function):  # type: ignore[no-untyped-def]
        inputs = [t.detach().double() for t in question(op).inputs(str(device), seed=1)]
        inputs = [t.contiguous(memory_format=layout) if t.dim() == 4 else t for t in inputs]
        for tensor in inputs:
            tensor.requires_grad_()
        y = function(*inputs)
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=device).view(y.shape)
        return [y, *torch.autograd.grad((y * weights).sum(), inputs)]

    for ours, theirs in zip(results(OPS[op].reference), results(eager.compositions(op)[name]), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("op", "name"), CASES)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_composition_keeps_layout_and_dtype(op: str, name: str, layout: str) -> None:
    inputs = replace(question(op), layout=layout, dtype="bf16").inputs("cpu", seed=1)
    ours, theirs = OPS[op].public(*inputs), eager.compositions(op)[name](*inputs)
    assert theirs.shape == ours.shape
    if ours.dim() == 4:
        assert theirs.dtype == ours.dtype
        assert (theirs.stride(1) == 1) == (ours.stride(1) == 1)


def test_usual_compositions_exist() -> None:
    for op, names in eager.USUAL.items():
        assert set(names) <= eager.compositions(op).keys()


def test_as_ops_can_be_narrowed() -> None:
    ours = ops.upsample2x, ops.adain
    with eager.as_ops("adain"):
        assert ops.upsample2x is ours[0]
        assert ops.adain is not ours[1]
    assert (ops.upsample2x, ops.adain) == ours


def test_no_noise_is_a_case_too() -> None:
    x, _, *rest = question("style_epilogue").inputs("cpu", seed=1)
    expected = ops.style_epilogue_reference(x, None, *rest)
    for composition in eager.compositions("style_epilogue").values():
        torch.testing.assert_close(composition(x, None, *rest), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["nearest_blur", "bilinear"])
def test_special_compositions_refuse_other_taps(name: str) -> None:
    with pytest.raises(ValueError, match="taps"):
        eager.compositions("upsample2x")[name](torch.zeros(1, 1, 4, 4), taps=(1, 2, 2, 1))


def test_as_ops_runs_models_on_compositions_and_puts_ours_back() -> None:
    ours = ops.upsample2x
    x = torch.randn(2, 3, 4, 4)
    with eager.as_ops(), torch.inference_mode():
        assert ops.upsample2x is not ours
        torch.testing.assert_close(ops.upsample2x(x), ops.upsample2x_reference(x))
    assert ops.upsample2x is ours
    with eager.as_ops():  # what was cached under inference_mode must still train
        ops.upsample2x(x.requires_grad_()).sum().backward()


def test_as_ops_keeps_bf16_under_autocast() -> None:
    x, *rest = (t.detach() for t in replace(question("style_epilogue"), dtype="bf16").inputs("cpu", seed=1))
    with eager.as_ops(), torch.autocast("cpu", torch.bfloat16):
        assert ops.style_epilogue(x, *rest).dtype == torch.bfloat16
        assert ops.upsample2x(x).dtype == torch.bfloat16
        assert ops.downsample2x(x).dtype == torch.bfloat16
