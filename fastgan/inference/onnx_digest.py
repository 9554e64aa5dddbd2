"""The fingerprint at the end of an exported file: of all bytes before it, and by them of the files of weights beside.

A protocol buffer may be continued: what is appended to an ONNX file is another entry of its metadata. The last one is
always `fastgan.sha256`, of a fixed length, the SHA-256 of what stands before; where weights lie in files beside, the
one before it is `fastgan.data_sha256`, a JSON table of their names and hashes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from fastgan.documents import parse_json
from fastgan.errors import CheckpointError, DocumentError
from fastgan.files import open_regular, sha256_file
from fastgan.inference.onnx_header import check_finite
from fastgan.tensor_file import verifies

KEY, DATA_KEY = "fastgan.sha256", "fastgan.data_sha256"
_METADATA = 14 << 3 | 2  # the key of ModelProto.metadata_props, a message
_SIZE = 84  # bytes of the last entry


def seal(path: Path, beside: Iterable[Path] = ()) -> None:
    """Append fingerprints to the exported file `path`, whose weights lie in the files `beside`, if there are any."""
    hashes = {file.name: sha256_file(file) for file in sorted(beside)}
    with open(path, "ab") as file:
        if hashes:
            file.write(_entry(DATA_KEY, json.dumps(hashes)))
    with open(path, "ab") as file:
        file.write(_entry(KEY, sha256_file(path)))


def check(path: Path) -> str:
    """What tells the file from every other: its fingerprint. CheckpointError where it is not as it was exported.

    A file of an older version has none: then its weights are looked at, which must be finite. Where FASTGAN_VERIFY=0
    nothing is compared.
    """
    try:
        with open_regular(path) as file:
            left = max(file.seek(0, 2) - _SIZE, 0)
            file.seek(left)
            said = _said(file.read())
            if said is None:
                check_finite(path)
                return sha256_file(path)
            if verifies():
                digest = hashlib.sha256()
                file.seek(0)
                while left and (piece := file.read(min(left, 16 << 20))):
                    digest.update(piece)
                    left -= len(piece)
                if digest.hexdigest() != said:
                    raise _changed(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    return said


def check_beside(path: Path, metadata: Mapping[str, str], fingerprint: str) -> None:
    """CheckpointError where the `metadata` of `path` speak of another fingerprint than `check` found, or of other
    weights in the files beside."""
    if not verifies() or KEY not in metadata:
        return
    if metadata[KEY] != fingerprint:
        raise _changed(path)
    try:
        for name, expected in parse_json(metadata.get(DATA_KEY, "{}"), dict[str, str], DATA_KEY).items():
            beside = path.with_name(Path(name).name)
            if sha256_file(beside) != expected:
                raise _changed(beside)
    except DocumentError as error:
        raise CheckpointError(f"{path} is damaged ({error}); export it again.") from error
    except OSError as error:
        raise CheckpointError(
            f"cannot read the weights of {path} in {error.filename}: {error.strerror}."
        ) from error


def _changed(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is not as it was exported: its bytes have changed; copy or export it again, or set FASTGAN_VERIFY=0 "
        "if you changed it yourself."
    )


def _entry(key: str, value: str) -> bytes:
    """An entry of a model's metadata, as a field of ModelProto."""
    inner = b"".join(
        bytes([number << 3 | 2]) + _sized(text.encode()) for number, text in ((1, key), (2, value))
    )
    return bytes([_METADATA]) + _sized(inner)


def _sized(content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([*length, size]) + content


def _said(end: bytes) -> str | None:
    """The fingerprint in the last bytes of a file; None where they are no entry of that key."""
    digest = end[-64:].decode("ascii", "replace")
    return digest if end == _entry(KEY, digest) else None
