"""Labels and attributes that lie beside images, in a folder, a zip or a tar.

They are in `dataset.json`, `attributes.csv`, and Hugging Face's `metadata.csv` or `metadata.jsonl`.

Names in them are relative to where they lie, and there may be one in each of several folders.
"""

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from fastgan.data import attributes_csv, dataset_json, metadata_files
from fastgan.data.names import CSV, DOCUMENTS, JSON, METADATA, Lookup
from fastgan.data.sources import Images
from fastgan.errors import DataError


def apply(images: Images, path: Path, documents: Iterable[str], content: Callable[[str], bytes]) -> Images:
    """`images` with what the files `documents` say, which are given by their names in `path`.

    content: the name of a document -> its bytes. Raises DataError.
    """
    by_kind: dict[str, dict[str, bytes]] = {name: {} for name in DOCUMENTS}
    for name in documents:
        by_kind[PurePosixPath(name).name][name] = content(name)
    metadata = {name: text for kind in METADATA for name, text in by_kind[kind].items()}
    lookup = Lookup(images.names)
    if by_kind[JSON]:
        images = dataset_json.apply(images, path, by_kind[JSON], lookup)
    if by_kind[CSV]:
        if images.attributes is not None:
            raise DataError(f"{path} has attributes in both {JSON} and {CSV}: remove one of them")
        images = attributes_csv.apply(images, path, by_kind[CSV], lookup)
    if metadata:
        images = metadata_files.apply(
            images, path, metadata, lookup, labelled=bool(by_kind[JSON] and images.class_names)
        )
    return images
