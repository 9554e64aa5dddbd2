"""Text of others in sentences of ours."""

import pytest

from fastgan.text import reason

OF_ONNX = "[ONNXRuntimeError] : 1 : FAIL : "


@pytest.mark.parametrize(
    ("said", "short"),
    [
        ("\nfirst line.\nsecond", "first line"),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Loading a.onnx failed.", "Loading a.onnx failed"),
        (
            f"{OF_ONNX}Exception during initialization: /src/core/initializer.cc:79 I::I(const G&, bool) {OF_ONNX}"
            "tensorprotoutils.cc:1876 GetExtData External initializer: b is out of bounds",
            "External initializer: b is out of bounds",
        ),
        (ValueError(), "ValueError"),
        (KeyError("x"), "a value in it is none that is possible there"),
        (
            ValueError("invalid literal for int() with base 10: 'x'"),
            "a value in it is none that is possible there",
        ),
        ("x" * 900, "x" * 300 + "..."),
    ],
)
def test_what_a_library_says_without_its_codes(said: object, short: str) -> None:
    assert reason(said) == short
