"""Exported files whose bits have changed, or that claim what they do not hold, are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from fastgan.errors import CheckpointError
from fastgan.exporters import export_onnx, external
from fastgan.inference import open_generator
from fastgan.inference.onnx_header import read_header
from tests.tiny import unsealed

Exported = Callable[..., Path]


def flip(path: Path, at: int, bit: int = 1) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])


def test_a_flipped_bit_in_an_exported_file_is_seen(tmp_path: Path, exported: Exported) -> None:
    whole, path = exported("dcgan").read_bytes(), tmp_path / "x.onnx"
    expected = open_generator(exported("dcgan")).sample(1)
    for at in range(0, len(whole), len(whole) // 100):
        path.write_bytes(whole)
        flip(path, at)
        with pytest.raises(CheckpointError, match=r"not as it was exported|not a whole ONNX model"):
            open_generator(path)
    key = whole.rindex(b"fastgan.sha256")
    path.write_bytes(whole)
    flip(path, key)  # one without a fingerprint is as of an older version
    assert (open_generator(path).sample(1) == expected).all()


def test_weights_beside_an_exported_file_are_compared_too(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "LIMIT", 1000)
    path = tmp_path / "x.onnx"
    export_onnx(runs["dcgan"], path)
    (data,) = tmp_path.glob("x.onnx.*.data")
    expected = open_generator(path).sample(2)
    flip(data, 2000, 64)
    with pytest.raises(CheckpointError, match=r"\.data is not as it was exported"):
        open_generator(path)
    whole = data.read_bytes()
    data.write_bytes(bytes(len(whole)))
    monkeypatch.setenv("FASTGAN_VERIFY", "0")
    assert (open_generator(path).sample(2) != expected).any()
    monkeypatch.setenv("FASTGAN_VERIFY", "1")
    data.write_bytes(whole)
    flip(data, 2000, 64)
    assert (open_generator(path).sample(2) == expected).all()
    data.unlink()
    with pytest.raises(CheckpointError):
        open_generator(path)


def test_weights_of_an_older_export_that_are_no_numbers_are_refused(
    tmp_path: Path, exported: Exported
) -> None:
    model, path = unsealed(exported("dcgan")), tmp_path / "x.onnx"
    onnx.save(model, path)
    open_generator(path)
    weight = next(
        t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 4
    )
    weight.raw_data = np.float32(np.inf).tobytes() + weight.raw_data[4:]
    onnx.save(model, path)
    with pytest.raises(
        CheckpointError, match=rf"its weights {weight.name} hold numbers that are NaN or infinite"
    ):
        open_generator(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("resolution", "4096"), ("z_dim", "8"), ("img_channels", "1"), ("layers", "1000000000")],
)
def test_sizes_that_only_the_metadata_claim_are_refused(
    key: str, value: str, tmp_path: Path, exported: Exported
) -> None:
    model = unsealed(exported("stylegan"))
    next(prop for prop in model.metadata_props if prop.key == f"fastgan.{key}").value = value
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match=r"its metadata speak of|garbles layers"):
        open_generator(tmp_path / "x.onnx")


def test_a_tensor_that_claims_more_than_it_holds_is_refused(tmp_path: Path, exported: Exported) -> None:
    model = unsealed(exported("dcgan"))
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    for side in (1 << 40, -1):
        weight.dims[0] = side
        onnx.save(model, tmp_path / "x.onnx")
        for read in (read_header, open_generator):
            with pytest.raises(CheckpointError, match=rf"its weights {weight.name} are \[{side}"):
                read(tmp_path / "x.onnx")
