"""Text of others in sentences of ours."""

import pytest

from fastgan.text import clock, duration, reason

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


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (65.4, "1:05"), (3725, "1:02:05"), (None, "?")])
def test_times_that_are_counted(seconds: float | None, said: str) -> None:
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (89.4, "89 s"),
        (90, "2 minutes"),
        (5399, "90 minutes"),
        (5400, "1.5 hours"),
        (36000, "10 hours"),
    ],
)
def test_times_in_a_sentence(seconds: float, said: str) -> None:
    assert duration(seconds) == said
