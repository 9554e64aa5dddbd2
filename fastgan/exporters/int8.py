"""8 bits: weights and activations of convolutions in int8 and uint8, a scale a channel of the weights (static QDQ).

Ranges are taken from images of seeds that nobody else uses. The last convolution, which makes colours, stays in float;
where the result is not good enough, so do the layers whose rounding is heard most, one after the other, until it is.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantType, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from fastgan.errors import OutputError
from fastgan.exporters import subpixel
from fastgan.exporters.graph import infer_shapes
from fastgan.naming import named

Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Quantised:
    """A model in 8 bits, and what it cost."""

    model: ModelProto
    snr_db: float
    kept: tuple[str, ...]
    """The convolutions that stayed in float, by name."""
    convolutions: int
    """How many there are."""


def quantise(
    model: ModelProto, feeds: Iterable[Feed], snr_db: Callable[[ModelProto], float], floor_db: float
) -> Quantised:
    """Quantise the convolutions of `model`, as many as `floor_db` allows.

    feeds: inputs to take ranges from. snr_db: what a candidate reaches. Raises OutputError where not even one layer in
    8 bits reaches it.
    """
    whole = _copy(model)
    subpixel.rewrite(whole)
    whole = infer_shapes(whole)
    names = [node.name for node in whole.graph.node if node.op_type == "Conv"]
    ranges = _ranges(whole, feeds)

    def attempt(kept: Iterable[str]) -> tuple[ModelProto, float]:
        candidate = _quantised(model, ranges, names, set(kept))
        return candidate, snr_db(candidate)

    kept = names[-1:]
    candidate, reached = attempt(kept)
    if reached < floor_db:
        # Of each layer alone in 8 bits: its noise as a share of the signal. Together they add up, about.
        noise = {name: 10 ** (-attempt(set(names) - {name})[1] / 10) for name in names[:-1]}
        for name in sorted(noise, key=lambda name: -noise[name]):
            kept.append(name)
            if len(kept) == len(names):
                raise OutputError(
                    f"8 bits reach {reached:.1f} dB on this model, and {floor_db:g} are asked for: "
                    f"export it in fp16, or give a lower {named('min_snr_db')}."
                )
            expected = sum(noise[left] for left in names if left not in kept)
            if expected > 10 ** (-floor_db / 10):
                continue
            candidate, reached = attempt(kept)
            if reached >= floor_db:
                break
    return Quantised(candidate, reached, tuple(kept), len(names))


def _quantised(model: ModelProto, ranges: Any, names: list[str], kept: set[str]) -> ModelProto:
    candidate = _copy(model)
    subpixel.rewrite(candidate, kept)
    quantizer = QDQQuantizer(
        infer_shapes(candidate),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[name for name in names if name not in kept],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv"],
        extra_options={},
    )
    with _quiet():
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    quantised: ModelProto = quantizer.model.model
    return quantised


def _ranges(model: ModelProto, feeds: Iterable[Feed]) -> Any:
    """The least and the largest value of what goes into each convolution and comes out of it."""
    with tempfile.TemporaryDirectory(prefix="fastgan.") as folder, _quiet():
        path = Path(folder) / "model.onnx"
        onnx.save_model(_copy(model), path, save_as_external_data=True, location="weights")
        calibrator = create_calibrator(
            path,
            ["Conv"],
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            use_external_data_format=True,
        )
        calibrator.collect_data(_Reader(feeds))
        return calibrator.compute_data()


class _Reader(CalibrationDataReader):
    """Feeds, one after the other, as ONNX Runtime's calibration asks for them."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        feed = next(self._feeds, None)
        return None if feed is None else dict(feed)


def _copy(model: ModelProto) -> ModelProto:
    copied = ModelProto()
    copied.CopyFrom(model)
    return copied


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ONNX Runtime's advice on how to prepare a model."""
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)  # errors
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
