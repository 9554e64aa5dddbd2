"""The references, which the other tests trust, against torch's own layers and the papers' formulas in float64."""

import pytest
import torch
import torch.nn.functional as F

from fastgan import ops
from fastgan.ops import Maker


@pytest.fixture
def make(device: torch.device) -> Maker:
    return Maker(device=device, dtype=torch.float64)


def test_adain_is_instance_norm_with_a_style(make: Maker) -> None:
    x, scale, shift = make.image(2, 5, 6, 7), make.parameter(2, 5), make.parameter(2, 5)
    expected = F.instance_norm(x, eps=1e-3) * (1 + scale[..., None, None]) + shift[..., None, None]
    assert torch.allclose(ops.adain_reference(x, scale, shift, eps=1e-3), expected)


def test_style_epilogue_is_noise_bias_relu_adain(make: Maker) -> None:
    x, noise = make.image(2, 5, 6, 7), make.image(1, 1, 6, 7)
    strength, bias, scale, shift = (
        make.parameter(5),
        make.parameter(5),
        make.parameter(2, 5),
        make.parameter(2, 5),
    )
    h = x.clone()
    for c in range(5):
        h[:, c] += strength[c] * noise[0, 0] + bias[c]
    h = torch.where(h > 0, h, 0.1 * h)
    expected = F.instance_norm(h) * (1 + scale[..., None, None]) + shift[..., None, None]
    assert torch.allclose(ops.style_epilogue_reference(x, noise, strength, bias, scale, shift, 0.1), expected)


def blur(x: torch.Tensor) -> torch.Tensor:
    axis = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device) / 4
    kernel = torch.outer(axis, axis).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


def test_upsample_is_nearest_then_blur(make: Maker) -> None:
    x = make.image(2, 3, 5, 6)
    expected = blur(F.interpolate(x, scale_factor=2, mode="nearest"))
    assert torch.allclose(ops.upsample2x_reference(x), expected)
    assert torch.allclose(
        ops.upsample2x_reference(x, (1, 1)), F.interpolate(x, scale_factor=2, mode="nearest")
    )


def test_downsample_is_blur_then_mean(make: Maker) -> None:
    x = make.image(2, 3, 6, 8)
    assert torch.allclose(ops.downsample2x_reference(x), F.avg_pool2d(blur(x), 2))
    assert torch.allclose(ops.downsample2x_reference(x, (1, 1)), F.avg_pool2d(x, 2))


def test_gradient_penalty_formula(make: Maker) -> None:
    grad = make.image(4, 3, 2, 2)
    norms = [sum(float(v) ** 2 for v in g.flatten()) ** 0.5 for g in grad]
    for center in (0.0, 1.0, 0.5):
        expected = sum((n - center) ** 2 for n in norms) / 4
        assert ops.gradient_penalty(grad, center).item() == pytest.approx(expected)


def test_interpolate_ends_on_its_arguments(make: Maker) -> None:
    real, fake = make.image(2, 3, 4, 4), make.image(2, 3, 4, 4)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64, device=real.device)
    out = ops.interpolate(real, fake, t)
    assert torch.equal(out[0], real[0])
    assert torch.allclose(out[1], fake[1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x: ops.adain(x, torch.zeros(2, 4), torch.zeros(2, 3)),
            "scale has shape [2, 4]; it must be [2, 3]",
        ),
        (lambda x: ops.adain(x[0], torch.zeros(3), torch.zeros(3)), "x has shape [3, 4, 4]"),
        (lambda x: ops.bias_act(x, torch.zeros(3), slope=-1.0), "slope must be >= 0"),
        (lambda x: ops.upsample2x(x, (1, 2, 1)), "taps is (1, 2, 1)"),
        (lambda x: ops.downsample2x(x[:, :, :1]), "must be at least 2"),
        (lambda x: ops.interpolate(x, x[:1], torch.zeros(2)), "fake has shape"),
    ],
)
def test_wrong_arguments_get_one_sentence(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"\.$") as caught:
        call(torch.zeros(2, 3, 4, 4))
    assert words in str(caught.value)


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"x is torch\.int64"):
        ops.upsample2x(torch.zeros(1, 1, 2, 2, dtype=torch.int64))
