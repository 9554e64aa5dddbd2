"""A compressed tar of images (.tar.gz, .tar.bz2, .tar.zst): unpacked into a temporary file, then read as a .tar."""

from pathlib import Path

from fastgan.data.sources import Images, webdataset

DESCRIBES = "a .tar.gz of images"
FALLBACK = True
_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.zst", ".tzst")


def matches(path: Path) -> bool:
    """Whether `path` is called a compressed tar."""
    return path.name.lower().endswith(_SUFFIXES) and path.is_file()


def read(path: Path) -> Images:
    """Its images: classes as in a WebDataset shard where it is one, else as in a zip."""
    return webdataset.read_shards(path, [path])
