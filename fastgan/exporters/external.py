"""Models past the 2 GB that a protocol buffer can hold: the weights go into a file of their own, beside.

NAME.onnx then names NAME.onnx.HASH.data, whose name changes with its content: an overwritten model never meets the
weights of another, whenever it is interrupted.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import ModelProto

from fastgan.files import atomic_write
from fastgan.inference import onnx_digest
from fastgan.ownership import temporary_prefix

LIMIT = 2_000_000_000
"""Bytes of weights from which on they get a file of their own."""
_OWN_FILE = 1024  # bytes of a tensor that goes there; smaller ones stay with the graph


def save(model: ModelProto, path: Path) -> None:
    """Write `model` to `path`, and its weights beside it where they are past the limit. Takes them from `model`.

    Both with fingerprints; see fastgan.inference.onnx_digest.
    """
    if weight(model) <= LIMIT:
        onnx.save_model(model, path)
        onnx_digest.seal(path)
        return
    data = f"{path.name}.{_digest(model)}.data"
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location=data,
        size_threshold=_OWN_FILE,
        convert_attribute=False,
    )
    onnx_digest.seal(path, [path.with_name(data)])


def weights_beside(path: Path) -> list[Path]:
    """The files beside `path` that `save` may have written its weights to."""
    own = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{16}}\.data")
    return [file for file in path.parent.iterdir() if own.fullmatch(file.name)]


def weight(model: ModelProto) -> int:
    """Bytes of all initialisers."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _digest(model: ModelProto) -> str:
    digest = hashlib.sha256()
    for tensor in model.graph.initializer:
        digest.update(tensor.name.encode() + tensor.raw_data)
    return digest.hexdigest()[:16]


@contextmanager
def staged(targets: list[Path]) -> Iterator[list[Path]]:
    """Yield paths of the same names in a temporary folder beside; on success all files there take their places.

    Weights first, then the models that name them; weights that no model names any more are removed at last.
    """
    folder = targets[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=temporary_prefix(targets[0].stem)))
    try:
        yield [temporary / target.name for target in targets]
        data = sorted(file for file in temporary.iterdir() if file.suffix == ".data")
        for file in [*data, *(temporary / target.name for target in targets)]:
            with atomic_write(folder / file.name) as place:
                file.replace(place)
        current = {file.name for file in data}
        for old in (file for target in targets for file in weights_beside(target)):
            if old.name not in current:
                old.unlink()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
