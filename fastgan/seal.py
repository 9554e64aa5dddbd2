"""A JSON document with a fingerprint of itself: one whose bits have changed on the disk is told from a whole one."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fastgan.documents import parse_json
from fastgan.errors import DocumentError
from fastgan.tensor_file import FINGERPRINT, is_misspelt, verifies


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with its fingerprint."""
    return {**content, FINGERPRINT: _fingerprint(content)}


def check_seal(content: Mapping[str, Any], where: object, *, needed: bool = False) -> None:
    """Raise DocumentError where `content`, read from `where`, is not as `sealed` gave it.

    needed: refuse what has no fingerprint, too; else it passes, as of an older version.
    """
    said = content.get(FINGERPRINT)
    needed = needed or (said is None and is_misspelt(content))
    if verifies() and (needed or said is not None) and said != _fingerprint(content):
        raise DocumentError(
            f"{where} is not as it was written: its fingerprint is another, which FASTGAN_VERIFY=0 passes over"
        )


def _fingerprint(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != FINGERPRINT}
    as_read = parse_json(
        json.dumps(rest), dict[str, Any], "a document"
    )  # tuples are lists then, and all keys text
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()
