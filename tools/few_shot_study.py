"""What helps when images are few: plain training, augmentation, pretrained features, transfer, each at the same budget.

python tools/few_shot_study.py OUT --set avatars=avatars.fgd --set emoji=emoji.fgd --budget 5m --write docs/few-shot.md

For every set, number of training images, arm and seed one run of `fastgan train`, saved at several moments, each scored
against images of the set that no run was trained on; the last one is audited for copies of its training images. The
smaller training sets lie within the larger. "transfer" starts from the networks of a run on another set's largest
training set, whose cost is a row of its own.

OUT/study.json holds what all runs have in common, budget, moments, samples, sizes and sets: another call must agree.
OUT/results.json gains a record with every finished run, and a run that is there is not repeated: stop it when you like
(a run that was cut off goes on exactly), start it again, add seeds or sets. --write puts the table of all records
between the two marks of a Markdown file. A run takes its budget and half a minute; there are as many as sets times
sizes times arms times seeds, and a few to transfer from.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, NoReturn

import torch

from fastgan.config import Duration
from fastgan.data import Dataset, open_dataset, packed
from fastgan.data.dataset import content_hash
from fastgan.files import write_json

SIZES = (100, 500, 2000)
HELD_OUT = 1000
EXTRACTORS = ("effnet-lite0", "random-conv")
"""The second knows nothing of the first, which is what a projected discriminator is trained on: it wins there."""
KID, OTHER, COVERAGE = "kid[effnet-lite0]", "fid[random-conv]", "coverage[random-conv]"
MARKS = ("<!-- table of tools/few_shot_study.py -->", "<!-- end of table -->")
DIFFAUG = ["--augment", "color,translation,cutout"]
ARMS = {
    "plain": ["--preset", "demo"],
    "diffaug": ["--preset", "demo", *DIFFAUG],
    "ada": ["--preset", "small"],
    "projected": ["--preset", "projected"],
    "transfer": ["--preset", "demo", *DIFFAUG],
    "few-shot": ["--preset", "few-shot"],
}
"""Options of `fastgan train`. Each has the settings that are known to suit it; all have the same generator but for
"few-shot", which chooses its own, and its resolution, by the budget: scores compare where that is the sets' own."""


@dataclass(frozen=True)
class Cell:
    """One run."""

    data: str
    images: int
    arm: str
    seed: int

    @property
    def key(self) -> str:
        """Its name in results.json, and its folder's."""
        return f"{self.data}-{self.images}-{self.arm}-{self.seed}"


class Study:
    """The folder OUT: study.json, sets/, runs/, results.json."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.out: Path = arguments.out
        self.budget, self.points, self.samples = arguments.budget, arguments.points, arguments.count
        self.pretrain = arguments.pretrain or arguments.budget
        self.sources: dict[str, str] = dict(arguments.set)
        self.sizes: list[int] = arguments.sizes
        self.arms: list[str] = arguments.arms
        self.file = self.out / "results.json"
        self.records: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def begin(self) -> None:
        """Settle what all runs of OUT have in common, or see that it is as it was; write the sets."""
        datasets = {name: open_dataset(path) for name, path in self.sources.items()}
        file = self.out / "study.json"
        before: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        self.known = before.get("sets", {}) | {name: d.content_hash for name, d in datasets.items()}
        now = {
            "--budget": self.budget,
            "--pretrain": self.pretrain,
            "--points": self.points,
            "-n": self.samples,
        }
        now |= {"--sizes": before.get("--sizes", self.sizes), "sets": self.known}
        if before:
            self._agree(before, now)
        elif self.records:
            _refuse(f"{self.file} does not say with what settings it was made: give another folder")
        if "transfer" in self.arms and len(self.known) < 2:
            others = ",".join(arm for arm in self.arms if arm != "transfer") or "plain"
            _refuse(
                f"transfer needs a second --set to come from: give one, or leave it out with --arms {others}"
            )
        self.largest = max(now["--sizes"])
        for name, dataset in datasets.items():
            if len(dataset) < self.largest + HELD_OUT // 2:
                _refuse(
                    f"{name} has {len(dataset)} images: {self.largest} to train on and {HELD_OUT // 2} more are needed"
                )
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(file, now)
        for name, dataset in datasets.items():
            self._split(name, dataset, now["--sizes"])

    def _agree(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        for what in ("--budget", "--pretrain", "--points", "-n"):
            if before[what] != now[what]:
                begun = f"{self.out} was begun with {what} {before[what]}, not {now[what]}"
                _refuse(f"{begun}: go on with that, or name another folder")
        for size in set(self.sizes) - set(before["--sizes"]):
            begun = f"{self.out} was begun with --sizes {','.join(map(str, before['--sizes']))}"
            _refuse(f"{begun}, and {size} is none of them: leave it out, or name another folder")
        for name, found in before["sets"].items():
            if self.known[name] != found:
                begun = (
                    f"{self.out} was begun with other images called {name} than those of {self.sources[name]}"
                )
                _refuse(f"{begun}: give these another name, or name another folder")

    def _split(self, name: str, dataset: Dataset, sizes: Sequence[int]) -> None:
        """Write a set's training sets and its held-out images, once."""
        if (self.out / "sets" / f"{name}-held.fgd").exists():
            return
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
        for size in sizes:
            self._part(dataset, order[:size], f"{name}-{size}")
        self._part(dataset, order[self.largest :][:HELD_OUT], f"{name}-held")

    def _part(self, dataset: Dataset, rows: torch.Tensor, name: str) -> None:
        images = dataset.images[rows.sort().values].clone()
        (self.out / "sets").mkdir(parents=True, exist_ok=True)
        packed.write(
            self.out / "sets" / f"{name}.fgd", Dataset(images=images, content_hash=content_hash(images))
        )

    def run(self, cell: Cell) -> None:
        """Train and score `cell`, unless it has been."""
        if cell.key in self.records:
            return
        options = list(ARMS.get(cell.arm, ARMS["diffaug"]))
        budget = self.budget
        if cell.arm == "transfer":
            source = self._source(cell)
            self.run(source)
            options += ["--init-from", str(self.out / "runs" / source.key)]
        if cell.arm == "source":
            budget = self.pretrain
        folder = self.out / "runs" / cell.key
        train = self.out / "sets" / f"{cell.data}-{cell.images}.fgd"
        if (folder / "latest").exists():
            begin = ["--resume", str(folder), "--budget", budget]
        else:
            begin = [str(train), "--out", str(folder), "--budget", budget, "--seed", str(cell.seed), *options]
            begin += ["--set", f"train.checkpoint_every={self._part_of(budget)}"]
            begin += ["--set", f"train.keep_checkpoints={self.points + 2}", "--set", "train.grid_every=60s"]
        if not self._whole(folder, budget):
            _fastgan("train", *begin)
        scores = [self._score(point, cell) for point in _moments(folder, self.points)]
        audit = self._card(folder, cell, "--data", train, "--audit", "--holdout", self._held(cell))["audit"]
        copies = {"copies": len(audit["copies"]), "of": audit["audited"], "p_value": audit["p_value"]}
        self.records[cell.key] = {**vars(cell), "budget": budget, "scores": scores, "audit": copies}
        write_json(self.file, self.records)
        last = scores[-1]
        print(f"{cell.key}: {last['kimg']:g} kimg, {last['seconds']:.0f} s, KID {last[KID]:.4f}", flush=True)

    def _source(self, cell: Cell) -> Cell:
        other = next(name for name in self.known if name != cell.data)
        return Cell(other, self.largest, "source", cell.seed)

    def _part_of(self, budget: str) -> str:
        length = Duration.parse(budget)
        if length.images is not None:
            return str(Duration(images=length.images // self.points))
        return str(Duration(seconds=(length.seconds or 0) / self.points))

    def _whole(self, folder: Path, budget: str) -> bool:
        """Whether a run has used up its budget, and was cut off while it was scored."""
        if not (folder / "generator.safetensors").exists():
            return False
        state, length = _state(_latest(folder)), Duration.parse(budget)
        done = (
            state["cur_nimg"] / length.images if length.images else state["seconds"] / (length.seconds or 1)
        )
        return done >= 1

    def _held(self, cell: Cell) -> Path:
        return self.out / "sets" / f"{cell.data}-held.fgd"

    def _score(self, point: Path, cell: Cell) -> dict[str, Any]:
        """kimg and seconds of a checkpoint, and its scores by their full names."""
        state = _state(point)
        score = {"kimg": state["cur_nimg"] / 1000, "seconds": state["seconds"]}
        for extractor in EXTRACTORS:
            options = ("--data", self._held(cell), "--metrics", "kid,fid,prdc", "--extractor", extractor)
            score |= self._card(point, cell, *options)["scores"]
        return score

    def _card(self, source: Path, cell: Cell, *options: object) -> dict[str, Any]:
        target = self.out / "cards" / f"{cell.key}-{source.name}.json"  # the last of them
        target.parent.mkdir(exist_ok=True)
        _fastgan("eval", source, *options, "-n", self.samples, "--out", target)
        card: dict[str, Any] = json.loads(target.read_text())
        return card


def _latest(folder: Path) -> Path:
    return folder / (folder / "latest").read_text().strip()


def _state(point: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((point / "state.json").read_text())
    return state


def _moments(folder: Path, points: int) -> list[Path]:
    """The checkpoints to score: the last, and those next to the parts of the way before it."""
    saved = sorted((folder / "checkpoints").glob("[0-9]*"))
    seconds = {point: _state(point)["seconds"] for point in saved}
    wanted = [seconds[saved[-1]] * k / points for k in range(1, points + 1)]
    return sorted({min(saved, key=lambda p: abs(seconds[p] - at)) for at in wanted})


def _fastgan(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastgan", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"fastgan {' '.join(map(str, arguments))}\n{done.stderr[-2000:]}")


def table(records: dict[str, Any]) -> str:
    """Markdown: a row for each set, number of images and arm, means over seeds, from the first moment to the last."""
    titles = (
        "data",
        "images",
        "arm",
        "seeds",
        "kimg",
        "minutes",
        "KID",
        "FD, random features",
        "coverage",
        "copies",
    )
    rows = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for record in records.values():
        groups.setdefault((record["data"], record["images"], record["arm"]), []).append(record)
    order = [*ARMS, "source"]
    for (data, images, arm), group in sorted(groups.items(), key=lambda g: (g[0][:2], order.index(g[0][2]))):
        last = [record["scores"][-1] for record in group]
        values = [
            data,
            f"{images:,}",
            arm,
            len(group),
            f"{mean(s['kimg'] for s in last):.0f}",
            f"{mean(s['seconds'] for s in last) / 60:.1f}",
            by_time(group, KID),
            by_time(group, OTHER),
            f"{mean(s[COVERAGE] for s in last):.2f}",
            f"{mean(record['audit']['copies'] / record['audit']['of'] for record in group):.1%}",
        ]
        rows.append(f"| {' | '.join(map(str, values))} |")
    return "\n".join(rows)


def by_time(group: Sequence[dict[str, Any]], name: str) -> str:
    """The means of a score over the runs of `group` from moment to moment, and half the spread of the last."""
    moments = min(len(record["scores"]) for record in group)
    columns = [[record["scores"][k - moments][name] for record in group] for k in range(moments)]
    spread = f" ± {(max(columns[-1]) - min(columns[-1])) / 2:.2f}" if len(group) > 1 else ""
    return " · ".join(f"{mean(column):.2f}" for column in columns) + spread


def savings(records: dict[str, Any]) -> str:
    """Markdown: at how many kimg `transfer` is as good as the same arm from scratch is at its end."""
    rows = [
        "| data | images | KID from scratch | at kimg | transfer is there at | saved |",
        "|---|---|---|---|---|---|",
    ]
    for data, images in sorted({(record["data"], record["images"]) for record in records.values()}):
        scratch, transfer = (curve(records, data, images, arm) for arm in ("diffaug", "transfer"))
        if scratch and transfer:
            end, goal = scratch[-1]
            there = reached(transfer, goal)
            words = (
                [f"{there:.0f} kimg", f"{1 - there / end:.0%}"]
                if there is not None
                else ["not within the budget", ""]
            )
            rows.append(f"| {' | '.join([data, f'{images:,}', f'{goal:.2f}', f'{end:.0f}', *words])} |")
    return "\n".join(rows)


def curve(records: dict[str, Any], data: str, images: int, arm: str) -> list[tuple[float, float]]:
    """kimg and KID of an arm at each moment, means over its seeds."""
    runs = [
        r["scores"] for r in records.values() if (r["data"], r["images"], r["arm"]) == (data, images, arm)
    ]
    moments = zip(*runs, strict=False)
    return [(mean(s["kimg"] for s in moment), mean(s[KID] for s in moment)) for moment in moments]


def reached(points: Sequence[tuple[float, float]], goal: float) -> float | None:
    """kimg at which a curve first comes down to `goal`, on straight lines between its points; None: it does not."""
    before: tuple[float, float] | None = None
    for kimg, kid in points:
        if kid <= goal:
            if before is None:
                return kimg  # at the first moment, or before it
            share = (before[1] - goal) / (before[1] - kid)
            return before[0] + share * (kimg - before[0])
        before = (kimg, kid)
    return None


def write_table(path: Path, records: dict[str, Any]) -> None:
    """Replace what stands between the MARKS in `path`."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    path.write_text(
        f"{before}{MARKS[0]}\n{table(records)}\n\n{savings(records)}\n{MARKS[1]}{after}", encoding="utf-8"
    )


def cells(names: Sequence[str], sizes: Sequence[int], arms: Sequence[str], seeds: int) -> Iterator[Cell]:
    """All runs, a whole seed after the other, the smallest sets first."""
    for seed, size, name, arm in product(range(seeds), sorted(sizes), names, arms):
        yield Cell(name, size, arm, seed)


def _arms(text: str) -> list[str]:
    arms = text.split(",")
    for arm in arms:
        if arm not in ARMS:
            raise argparse.ArgumentTypeError(f"{arm!r} is none of {', '.join(ARMS)}")
    return arms


def _named(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not (name and equals and source):
        raise argparse.ArgumentTypeError(f"{text!r} must read NAME=SOURCE, as in faces=faces.fgd")
    return name, source


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--set", type=_named, action="append", default=[], metavar="NAME=SOURCE", help="a set of 64 px, RGB"
    )
    parser.add_argument("--sizes", type=lambda t: [int(s) for s in t.split(",")], default=list(SIZES))
    parser.add_argument("--arms", type=_arms, default=list(ARMS), help=f"of {','.join(ARMS)}  [all]")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--budget", default="5m", help="of each run: 5m, 20kimg  [5m]")
    parser.add_argument("--pretrain", help="budget of the runs to transfer from  [that of the others]")
    parser.add_argument("--points", type=int, default=4, help="moments at which a run is scored  [4]")
    parser.add_argument("-n", "--count", type=int, default=1000, help="images made for each score  [1000]")
    parser.add_argument("--write", type=Path, help="the Markdown file that has the table")
    arguments = parser.parse_args()
    study = Study(arguments)
    if arguments.set:
        study.begin()
    for cell in cells(list(study.sources), study.sizes, arguments.arms, arguments.seeds):
        study.run(cell)
        if arguments.write:
            write_table(arguments.write, study.records)
    if arguments.write:
        write_table(arguments.write, study.records)
    else:
        print(table(study.records))


if __name__ == "__main__":
    main()
