"""Readers of packed sets, settings, runs, releases and exports."""

from tests.fuzz import corpus, oracles, runs
from tests.fuzz.reader import Reader

_MAKE = ("generate", "{in}/%s", "-n", "4", "--batch", "3", "--device", "cpu", "-o", "made")


def make(name: str, *more: str) -> tuple[str, ...]:
    return (*(word.replace("%s", name) for word in _MAKE), *more)


def info(*names: str) -> tuple[tuple[str, ...], ...]:
    return tuple(("info", *(f"{{in}}/{name}" for name in names), *flag) for flag in ((), ("--json",)))


WEIGHTS = oracles.pictures
TRAIN = ("--device", "cpu", "--budget", "64img", "--preset", "dcgan", "--out", "run", *runs.TINY)

RUNS: dict[str, Reader] = {
    "fgd": Reader(
        shared=("data",),
        commands=(
            ("data", "info", "{in}/set.fgd"),
            ("data", "info", "{in}/set.fgd", "--json"),
            ("data", "pack", "{in}/set.fgd", "-o", "set.fgd", "--size", "8"),
            ("train", "{in}/set.fgd", "--dry-run", "--device", "cpu"),
            *info("set.fgd"),
        ),
        oracle=oracles.outputs,
        weight=3,
    ),
    "train on fgd": Reader(
        shared=("data",),
        commands=(("train", "{in}/set.fgd", *TRAIN, "--conditional", "labels"),),
        oracle=oracles.trained,
        leaves=("run",),
        weight=2,
    ),
    "settings": Reader(
        example=corpus.settings,
        files=("mine.toml",),
        commands=(
            ("train", "{in}/set.fgd", "--config", "{in}/mine.toml", "--dry-run", "--device", "cpu"),
            (
                "train",
                "{in}/set.fgd",
                "--config",
                "{in}/mine.toml",
                "--budget",
                "16img",
                "--out",
                "run",
                "--device",
                "cpu",
            ),
        ),
        leaves=("run",),
        codes=(0, 2, 3, 4),
        weight=4,
    ),
    "run, resumed": Reader(
        shared=("trained",),
        files=(
            "run/checkpoints/000000048/*",
            "run/checkpoints/000000048/*.json",
            "run/*",
            "run/*.toml",
            "run/log.jsonl",
            "run/grids/*",
            "set.fgd",
        ),
        commands=(("train", "{in}/set.fgd", "--resume", "{in}/run", "--budget", "64img", "--device", "cpu"),),
        oracle=oracles.resumed,
        writes=("out/", "cache/", "home/", "in/run"),
        weight=5,
    ),
    "run, reported": Reader(
        shared=("trained",),
        files=(
            "run/*",
            "run/*.jsonl",
            "run/*.jsonl",
            "run/grids/*",
            "run/checkpoints/000000048/state.json",
            "run/*.toml",
        ),
        commands=(("report", "{in}/run", "-o", "report.html"),),
        oracle=oracles.page,
        weight=4,
    ),
    "run, described": Reader(
        shared=("trained",),
        files=(
            "run/*",
            "run/checkpoints/000000048/state.json",
            "run/checkpoints/000000048/model.safetensors",
            "run/latest",
        ),
        commands=(
            *info("run"),
            ("info", "{in}/run/latest"),
            ("info", "{in}/run/checkpoints/000000048"),
            ("info", "{in}/run/generator.safetensors", "--json"),
        ),
        weight=3,
    ),
    "run, begun from": Reader(
        shared=("trained",),
        files=(
            "run/checkpoints/000000048/*",
            "run/checkpoints/000000048/state.json",
            "run/latest",
            "run/generator.safetensors",
        ),
        commands=(
            ("train", "{in}/set.fgd", "--init-from", "{in}/run", *TRAIN),
            ("train", "{in}/set.fgd", "--init-from", "{in}/run/generator.safetensors", *TRAIN),
        ),
        leaves=("run",),
    ),
    "checkpoint": Reader(
        shared=("tiny",),
        files=("run/checkpoints/*/model.safetensors", "run/checkpoints/*/state.json", "run/latest"),
        commands=(
            make("run"),
            make("run", "--class", "class1"),
            make("run/latest", "--grid"),
            make("run", "--truncation", "0.5"),
            ("export", "{in}/run", "--onnx", "made/m.onnx"),
        ),
        oracle=WEIGHTS,
        weight=4,
    ),
    "release": Reader(
        shared=("tiny",),
        files=("generator.safetensors",),
        commands=(
            make("generator.safetensors"),
            make("generator.safetensors", "--attrs", "attribute0=1"),
            *info("generator.safetensors"),
            make("generator.safetensors", "--style-mix"),
            make("generator.safetensors"),
        ),
        oracle=WEIGHTS,
        weight=4,
    ),
    "onnx": Reader(
        shared=("exported",),
        commands=(
            make("model.onnx"),
            make("model.onnx", "--class", "class0"),
            *info("model.onnx"),
            ("export", "{in}/model.onnx", "--triton", "models"),
            make("model.onnx"),
        ),
        oracle=WEIGHTS,
        weight=4,
    ),
    "onnx int8": Reader(
        shared=("exported8",), commands=(make("model.onnx"), *info("model.onnx")), oracle=WEIGHTS, weight=1
    ),
    "onnx with weights beside": Reader(
        shared=("external",),
        commands=(make("model.onnx"), *info("model.onnx"), make("model.onnx")),
        oracle=WEIGHTS,
        weight=2,
    ),
}
