"""Fill a labelled data set up to as many images a class as you like, with images of a conditional model.

    python tools/fill_classes.py photos/ runs/0007 --to 500 -o filled/ --dry-run     what each class lacks
    python tools/fill_classes.py photos/ runs/0007 --to 500 -o filled/               make it
    python tools/fill_classes.py photos/ runs/0007 --to 500 -o filled/ --merge       and copy the data beside it
    python tools/fill_classes.py photos/ model.onnx --to 500 -o filled/ -- --truncation 0.8 --batch 32

The data is whatever `fastgan train` takes, counted but not opened; what follows -- is for `fastgan generate`. Given
again, the same command goes on where it stopped; with a larger --to it adds what is missing then. What it leaves:

    OUT/CLASS/synthetic/seed03000000017.png    made here, by `fastgan generate`, with its manifest
    OUT/CLASS/real/...                         with --merge: the data's own images, as they are
    OUT/CLASS/earlier/...                      with --merge: those of the data that an earlier fill had made
    OUT/manifest.jsonl                         a line an image: file, class, synthetic (true or false), seed, SHA-256
    OUT/fill.json                              how many images and which seeds each class was given

which torchvision's ImageFolder and `fastgan data pack OUT` read as class folders. Class number k of the model takes the
seeds from k billion on, so that no two classes share one, and goes on after those of images in the data that a fill
made, which it knows by their names; fills that are not in the data can be named by --after.
"""

import json
import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from fastgan import __main__ as fastgan
from fastgan.data import packed, sources
from fastgan.data.sources import Images
from fastgan.errors import ConfigError, DataError, FastganError, OutputError
from fastgan.files import atomic_write, write_json
from fastgan.inference import open_generator
from fastgan.interrupts import exit_code

SEEDS_A_CLASS = 1_000_000_000
_MADE = re.compile(r"(?:^|/)(?:synthetic|earlier)/(?:\d{8}-)?seed(\d+)\.\w+$")
FORMATS = ("png", "jpg", "webp", "webp-lossless")
_SET_HERE = {"-n", "--count", "--seed", "--seeds", "--class", "--format", "-o", "--out", "--grid"}


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one class has and is given."""

    name: str
    real: int
    earlier: int
    """Images of the data that an earlier fill made."""
    seeds: range

    def row(self) -> tuple[str, ...]:
        """As a row of the table."""
        seeds = f"{self.seeds[0]}-{self.seeds[-1]}" if self.seeds else ""
        return self.name, f"{self.real:,}", f"{self.earlier:,}", f"{len(self.seeds):,}", seeds


@dataclass(frozen=True)
class Data:
    """A labelled data set, not decoded; what an earlier fill made of it is known by name."""

    images: Images
    rows: dict[tuple[str, bool], list[int]]
    """Rows of the images of each class that were made by a fill (True), or were not (False)."""

    def of(self, name: str, *, made: bool) -> list[int]:
        """Rows of a class."""
        return self.rows.get((name, made), [])

    def seed(self, row: int) -> int:
        """The seed of an image that a fill made."""
        return int(_MADE.findall(self.images.names[row])[0])


def open_data(path: Path, split: str | None) -> Data:
    """What is at `path`; DataError where it has no classes."""
    images = _packed(path) if packed.matches(path) else _source(path, split)
    if images.labels is None or not images.class_names:
        raise DataError(
            f"{path} has no classes: give a folder of class folders, or another labelled data set."
        )
    rows = defaultdict(list)
    for row, label in enumerate(images.labels.tolist()):
        if label >= 0:
            rows[images.class_names[label], bool(_MADE.search(images.names[row]))].append(row)
    return Data(images, rows)


def _source(path: Path, split: str | None) -> Images:
    _, module = sources.find(path)
    return sources.choose_split(path, module.read(path), split)


def _packed(path: Path) -> Images:
    dataset = packed.read(path)
    return Images(
        names=dataset.names or [f"{row:08d}" for row in range(len(dataset))],
        load=lambda row: dataset.images[row].numpy(),
        files=tuple,
        labels=None if dataset.labels is None else dataset.labels.numpy(),
        class_names=dataset.class_names,
    )


def plan(
    data: Data, known: Sequence[str], model: str, to: int, only: Sequence[str], after: Sequence[Path]
) -> list[Share]:
    """What each class is given so that it has `to` images; ConfigError for one that the model does not know.

    known: the model's classes. only: the classes to fill; () for all of the data. after: earlier fills.
    """
    wanted = list(only or data.images.class_names)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(
            f"{model} does not know the class{'es' * (len(unknown) > 1)} {', '.join(unknown)}: it knows "
            f"{', '.join(known) or 'none'}; name those to fill by --class."
        )
    fills = [_read_fill(folder)["classes"] for folder in after]
    shares = []
    for name in wanted:
        if name in (".", "..") or "/" in name or "\0" in name:
            raise ConfigError(f"the class {name!r} cannot be the name of a folder: rename it in the data.")
        begin = known.index(name) * SEEDS_A_CLASS
        end = begin + SEEDS_A_CLASS
        used = [data.seed(row) for row in data.of(name, made=True)]
        used += [fill[name]["first"] + fill[name]["count"] - 1 for fill in fills if name in fill]
        # Another model may have counted the class in another place: its seeds are none of this one's.
        first = max((seed + 1 for seed in used if begin <= seed < end), default=begin)
        real, earlier = (len(data.of(name, made=made)) for made in (False, True))
        seeds = range(first, first + max(0, to - real - earlier))
        if seeds.stop > end:
            raise ConfigError(f"--to {to} is too many: a class has {SEEDS_A_CLASS:,} seeds.")
        shares.append(Share(name=name, real=real, earlier=earlier, seeds=seeds))
    return shares


def _read_fill(folder: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / "fill.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is no fill: it has no fill.json that can be read.") from error
    return content


def begin(out: Path, shares: Sequence[Share], to: int) -> None:
    """Write OUT/fill.json, before anything is made; OutputError where OUT was begun in another way."""
    if (out / "fill.json").exists():
        before = {name: was["first"] for name, was in _read_fill(out)["classes"].items()}
        if before != {share.name: share.seeds.start for share in shares}:
            raise OutputError(
                f"{out} was begun with other classes or another --after: give the same, or another folder with -o."
            )
        for share in shares:
            there = sum(1 for _ in made(share, out))
            if there > len(share.seeds):
                raise OutputError(
                    f"{out} holds {there} images for {share.name}, which lacks {len(share.seeds)} now: choose another "
                    "folder with -o."
                )
    elif out.is_dir() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no fill: choose another folder with -o.")
    classes = {share.name: {"first": share.seeds.start, "count": len(share.seeds)} for share in shares}
    write_json(out / "fill.json", {"to": to, "classes": classes})


def generate(model: Path, share: Share, out: Path, image_format: str, options: Sequence[str]) -> int:
    """Run `fastgan generate` for the images that a class lacks, as far as they are not there; its exit code."""
    first, count = share.seeds.start, len(share.seeds)
    asked = ["--class", share.name, "--seed", str(first), "-n", str(count), "--format", image_format]
    click.echo(f"{share.name}: {count} images", err=True)
    return fastgan.run(["generate", str(model), *asked, "-o", str(out / share.name / "synthetic"), *options])


def copy(data: Data, share: Share, out: Path) -> Iterator[dict[str, Any]]:
    """Copy a class of the data into OUT, as far as it is not there, and yield the manifest's lines."""
    for synthetic, folder in {False: "real", True: "earlier"}.items():
        rows = data.of(share.name, made=synthetic)
        named = Counter(Path(data.images.names[row]).name for row in rows)
        for row in rows:
            source = data.images.names[row]
            name = Path(source).name
            # Folders below a class may hold the same name several times.
            name = name if named[name] == 1 else f"{row:08d}-{name}"
            name = _copy_one(data.images, row, out / share.name / folder, name)
            entry = {"file": f"{share.name}/{folder}/{name}", "class": share.name, "synthetic": synthetic}
            yield entry | ({"seed": data.seed(row)} if synthetic else {}) | {"source": source}


def _copy_one(images: Images, row: int, folder: Path, name: str) -> str:
    """Copy an image file, or write pixels as PNG, whole or not at all; the name that it has then."""
    image = images.load(row)
    if isinstance(image, np.ndarray):
        name = f"{Path(name).stem}.png"
    target, temporary = folder / name, folder / f".{name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(image, np.ndarray):
        with image:
            if not target.exists():
                with open(temporary, "wb") as file:
                    shutil.copyfileobj(image, file)
                os.replace(temporary, target)
    elif not target.exists():
        Image.fromarray(image.squeeze()).save(temporary, "PNG", compress_level=1)
        os.replace(temporary, target)
    return name


def made(share: Share, out: Path) -> Iterator[dict[str, Any]]:
    """The manifest's lines of the images that were made here."""
    folder = out / share.name / "synthetic"
    for manifest in sorted(folder.glob("manifest*.jsonl")):
        for line in manifest.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            place = {"file": f"{share.name}/synthetic/{entry['file']}", "class": share.name}
            yield entry | place | {"synthetic": True}


def print_table(shares: Sequence[Share]) -> None:
    """What each class has and lacks."""
    rows = [("class", "real", "earlier", "to make", "seeds"), *(share.row() for share in shares)]
    width = max(len(row[0]) for row in rows)
    for name, real, earlier, lacking, seeds in rows:
        click.echo(f"{name:{width}}  {real:>9}  {earlier:>9}  {lacking:>9}  {seeds}".rstrip())


@click.command(help=__doc__.replace("\n\n    ", "\n\n\b\n    "))
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1)
@click.option("--to", type=click.IntRange(1), required=True, help="Images that each class shall have.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option(
    "--class", "only", multiple=True, help="Fill this class alone; may be given again.  [default: all]"
)
@click.option("--split", help="Of official splits that one: train, val, test or all.  [default: train]")
@click.option("--format", "image_format", type=click.Choice(FORMATS), default="png", show_default=True)
@click.option("--merge", is_flag=True, help="Copy the data's own images into OUT too.")
@click.option(
    "--after",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An earlier fill, whose seeds are not used again.",
)
@click.option("--dry-run", is_flag=True, help="Print what each class lacks and end.")
def command(
    data: Path,
    model: Path,
    options: Sequence[str],
    to: int,
    out: Path,
    only: Sequence[str],
    split: str | None,
    image_format: str,
    merge: bool,
    after: Sequence[Path],
    dry_run: bool,
) -> int:
    """The command line; its help is the module's docstring."""
    given = {option.partition("=")[0] for option in options} & _SET_HERE
    if given:
        raise ConfigError(
            f"{', '.join(sorted(given))} is set by fill_classes.py itself: leave it away after --."
        )
    if out.resolve() == data.resolve():
        raise OutputError(f"{out} is the data itself: choose another folder with -o.")
    real = open_data(data, split)
    shares = plan(real, open_generator(model).facts.class_names, str(model), to, only, after)
    print_table(shares)
    if dry_run:
        return 0
    begin(out, shares, to)
    for share in shares:
        code = generate(model, share, out, image_format, options) if share.seeds else 0
        if code:
            return code
    with atomic_write(out / "manifest.jsonl") as temporary, open(temporary, "w", encoding="utf-8") as file:
        for share in shares:
            for entry in [*(copy(real, share, out) if merge else ()), *made(share, out)]:
                file.write(json.dumps(entry) + "\n")
    click.echo(f"{sum(len(share.seeds) for share in shares)} synthetic images: {out}")
    return 0


def main() -> None:
    """Run the command; a mistake is one sentence and exit code 2, as with fastgan."""
    try:
        sys.exit(command.main(standalone_mode=False))
    except (click.Abort, KeyboardInterrupt) as error:  # click turns Ctrl-C into Abort
        sys.exit(exit_code(error))
    except (FastganError, click.ClickException, OSError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"fill_classes: error: {text}", file=sys.stderr)
        sys.exit(fastgan.MISTAKE)


if __name__ == "__main__":
    main()
