"""Readers of statistics, cards, generated sets, caches, studies and networks of the user's own; and of words."""

from tests.fuzz import corpus, oracles, runs
from tests.fuzz.reader import Reader
from tests.fuzz.run_readers import TRAIN, WEIGHTS, info, make


def _eval(*words: str) -> tuple[str, ...]:
    return ("eval", *words, "--device", "cpu", "-n", "16", "-o", "card.json")


SCORES: dict[str, Reader] = {
    "reference": Reader(
        shared=("scored", "tiny"),
        files=("reference.safetensors",),
        commands=(
            _eval(
                "{in}/generator.safetensors",
                "--data",
                "{in}/reference.safetensors",
                "--extractor",
                "random-conv",
            ),
            *info("reference.safetensors"),
        ),
        oracle=oracles.scores,
        weight=3,
    ),
    "card": Reader(
        shared=("scored", "tiny"),
        files=("card.json",),
        commands=(
            _eval(
                "{in}/generator.safetensors",
                "--data",
                "{in}/reference.safetensors",
                "--extractor",
                "random-conv",
                "--compare",
                "{in}/card.json",
            ),
        ),
    ),
    "images scored": Reader(
        example=corpus.squares,
        shared=("data",),
        files=("photos/**/*",),
        commands=(_eval("{in}/photos", "--data", "{in}/set.fgd", "--extractor", "random-conv"),),
        weight=1,
    ),
    "own network": Reader(
        shared=("own", "data", "tiny"),
        files=("own.onnx", "own.onnx", "own.json", "script.pt", "script.json"),
        commands=tuple(
            _eval(
                "{in}/generator.safetensors",
                "--data",
                "{in}/set.fgd",
                "--metrics",
                "fid,kid",
                "--extractor",
                f"{{in}}/{name}",
            )
            for name in ("own.onnx", "script.pt", "own.onnx")
        ),
        weight=2,
    ),
    "set of PNG": Reader(
        shared=("generated", "tiny"),
        files=("png/*", "png/manifest.jsonl", "png/fastgan.json", "png/fastgan.json"),
        commands=(
            ("generate", "--verify", "-o", "{in}/png"),
            ("generate", "{in}/generator.safetensors", "-n", "9", "--device", "cpu", "-o", "{in}/png"),
        ),
        oracle=oracles.set_of_images,
        writes=("out/", "cache/", "home/", "in/png"),
        codes=(0, 1, 2, 3, 4),
        weight=3,
    ),
    "set of tars": Reader(
        shared=("generated", "tiny"),
        files=("webdataset/*", "parquet/*", "npz/*"),
        commands=(
            ("generate", "--verify", "-o", "{in}/webdataset"),
            ("generate", "--verify", "-o", "{in}/parquet"),
            (
                "generate",
                "{in}/generator.safetensors",
                "-n",
                "7",
                "--device",
                "cpu",
                "-o",
                "{in}/webdataset",
                "--format",
                "webdataset",
                "--per-file",
                "3",
            ),
            (
                "generate",
                "{in}/generator.safetensors",
                "-n",
                "7",
                "--device",
                "cpu",
                "-o",
                "{in}/npz",
                "--format",
                "npz",
                "--per-file",
                "3",
            ),
            (
                "generate",
                "{in}/generator.safetensors",
                "-n",
                "7",
                "--device",
                "cpu",
                "-o",
                "{in}/parquet",
                "--format",
                "parquet",
                "--per-file",
                "3",
            ),
        ),
        oracle=oracles.set_of_images,
        writes=("out/", "cache/", "home/", "in/webdataset", "in/npz", "in/parquet"),
        codes=(0, 1, 2, 3, 4),
        weight=2,
    ),
    "cache of fastest": Reader(
        shared=("fastest", "tiny"),
        files=("cache/**/*",),
        commands=(make("generator.safetensors", "--runtime", "fastest"),),
        oracle=WEIGHTS,
        cache="cache",
        writes=("out/", "cache/", "home/", "in/cache"),
        weight=2,
    ),
    "cache of references": Reader(
        shared=("scored_cache",),
        files=("cache/references/*",),
        commands=(
            _eval("{in}/generator.safetensors", "--data", "{in}/set.fgd", "--extractor", "random-conv"),
        ),
        oracle=oracles.scores,
        cache="cache",
        writes=("out/", "cache/", "home/", "in/cache"),
        weight=1,
    ),
    "study": Reader(
        shared=("study",),
        files=(
            "photos-augment/**/*.json",
            "photos-augment/**/*.safetensors",
            "photos-augment/**/*.fgd",
            "photos-augment/**/latest",
            "photos-augment/**/*.toml",
            "photos-augment/**/*.jsonl",
        ),
        commands=(("augment", "{in}/photos", "-o", "{in}/photos-augment", *runs.STUDY),),
        writes=("out/", "cache/", "home/", "in/photos-augment"),
        study=True,
        weight=1,
        seconds=60,
    ),
    "features to train on": Reader(
        shared=("own", "data"),
        files=("maps.onnx", "maps.json"),
        commands=(
            (
                "train",
                "{in}/set.fgd",
                *TRAIN,
                "--discriminator",
                "projected",
                "--set",
                "discriminator.features={in}/maps.onnx",
            ),
        ),
        leaves=("run",),
        weight=2,
    ),
    "words": Reader(shared=("tiny", "data"), commands=(), files=(), weight=3, leaves=("run",)),
}
