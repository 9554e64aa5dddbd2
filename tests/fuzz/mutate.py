"""Choose and make one mutation of one file of an example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz import containers, damage, documents, graphs, png, tables, tensors

Mutate = Callable[[Random, Path, Sequence[Path]], str]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """What was done to an example."""

    kind: str
    file: str
    """Below the folder of the example"""
    text: str


def structural(path: Path) -> dict[str, Mutate]:
    """The mutations that know what kind of file `path` is."""
    name = path.name
    if name.endswith((".safetensors", ".fgd")):
        return {
            "metadata": tensors.metadata,
            "header": tensors.header,
            "numbers": tensors.data,
        }
    if name.endswith((".tar", ".tar.gz", ".tgz")):
        return {"archive": containers.tar_member}
    if name.endswith((".txt", ".csv")):
        return {"table": tables.csv_cell}
    if name.endswith(".gz"):
        return {"unpacked": containers.unpacked}
    if path.parent.name.startswith("cifar") and not name.endswith(".bin"):
        return {"pickle": containers.pickled}
    return {
        ".json": {"JSON value": documents.json_value, "JSON text": documents.json_text},
        ".jsonl": {"JSON line": documents.json_line},
        ".toml": {"TOML": tables.toml_line},
        ".zip": {"archive": containers.zip_member},
        ".png": {"PNG chunk": png.chunk},
        ".onnx": {"ONNX": graphs.onnx_part},
        ".parquet": {"column": graphs.parquet_part},
        ".pt": {"pickle": containers.pickled},
        "": {"text": tables.plain_text} if name in ("latest", "best") else {},
    }.get(path.suffix, {})


def apply(random: Random, folder: Path, files: Sequence[Path]) -> Mutation:
    """Change one of `files`, all below `folder`, in one way: by its structure half of the time."""
    path = random.choice(files)
    others = [file for file in files if file != path]
    own = structural(path)
    roll = random.random()
    if own and roll < 0.55:
        kinds: dict[str, Mutate] = own
    elif roll < 0.87:
        kinds = damage.CONTENT
    else:
        kinds = damage.PLACE
    kind = random.choice(list(kinds))
    try:
        text = kinds[kind](random, path, others)
    except Exception as error:  # a library refused to write so strange a thing: it gets ordinary damage
        kind = "bit flip"
        text = f"{damage.flip_bit(random, path, others)} (instead: {str(error)[:60]})"
    return Mutation(kind=kind, file=path.relative_to(folder).as_posix(), text=text)
