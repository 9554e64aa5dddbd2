"""`fastgan data`: pack images into one checked file, look into it, or draw a demo set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan.commands._console import say
from fastgan.commands._document import json_option, show
from fastgan.commands._group import Group
from fastgan.progress import progress, stages

if TYPE_CHECKING:
    from fastgan.data import Dataset

_SHOWN = 20  # bad images, classes and attributes that are printed; the rest is in the file and in --json


@click.group(cls=Group)
def command() -> None:
    """Pack images into one checked file, look into it, or draw a demo set.

    \b
    Example:
      fastgan data pack photos/ -o photos.fgd --size 64
      fastgan data info photos.fgd --verify
    """


@command.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The file to write (.fgd).")
@click.option(
    "--size",
    "resolution",
    type=click.IntRange(min=1),
    help="Pixels a side; default: from the images, at most 256.",
)
@click.option(
    "--channels", type=click.Choice(["1", "3", "4"]), help="Grey, RGB or RGBA; default: grey if all are."
)
@click.option(
    "--max-bad", default="1%", show_default=True, help="Unreadable images to skip: a share or a count."
)
@click.option(
    "--max-pixels", type=click.IntRange(min=1), help="Skip images of more pixels; default: 89 million."
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    default="crop",
    show_default=True,
    help="What is not square: crop it centrally, or pad it with black (transparent with 4 channels).",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "extra", "all"]),
    help="Which official part of the set; default: train where it has parts.",
)
@click.option("--kind", help="How to read SOURCE, where it could be read in several ways: cifar, folder ...")
@click.option(
    "--resumable", is_flag=True, help="Keep what was decoded if this is interrupted, and go on from it."
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@json_option
def pack(source: Path, out: Path, channels: str | None, as_json: bool, **options: Any) -> None:
    """Pack SOURCE into one file.

    SOURCE is a folder or zip of images, CIFAR-10/100, CelebA, MNIST-like idx files, WebDataset shards, parquet, or an
    .fgd to make smaller. Classes come from it, or from folders inside it, or dataset.json; attributes from it, or from
    attributes.csv (file name, then a column for each; empty: unknown).

    Images are turned upright (EXIF), made square and resized with Lanczos; transparency becomes white unless
    --channels 4 keeps it. Broken images are listed by name.

    \b
    Example:
      fastgan data pack photos.zip -o photos.fgd --size 64 --max-bad 1%
      fastgan data pack cifar-10-python.tar.gz -o cifar.fgd --split all
    """
    from fastgan.api.data import pack as pack_images

    dataset = pack_images(source, out, channels=None if channels is None else int(channels), **options)
    _warn(dataset)
    _print_summary(out, dataset, as_json=as_json)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Read everything and compare it with the hash made at packing.")
@json_option
def info(file: Path, verify: bool, as_json: bool) -> None:
    """Say what a packed FILE holds and whether it is whole: exit code 4 where --verify finds that it is not.

    \b
    Example:
      fastgan data info photos.fgd --verify
    """
    from fastgan.data import packed
    from fastgan.errors import DamageError, DataError
    from fastgan.text import quoted

    if file.exists() and not packed.matches(file):
        raise DataError(
            f"{file} is not packed: make a packed set of it with fastgan data pack {quoted(file)} -o FILE.fgd"
        )
    dataset = packed.read(file)
    if verify:
        try:
            packed.verify(file)
        except DataError as error:  # what can be opened, and is not what was packed
            raise DamageError(str(error)) from error
    if not as_json:
        _warn(dataset)
    _print_summary(file, dataset, as_json=as_json, verified=verify)
    if verify and not as_json:
        click.echo("verified    the content is what was packed")


@command.command()
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The file to write (.fgd).")
@click.option("-n", "--count", default=4000, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--size", default=64, show_default=True, type=click.IntRange(8, 1024), help="Pixels a side.")
@click.option("--seed", default=0, show_default=True, help="The same seed draws the same faces.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that draw; default: one a core.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@json_option
def avatars(
    out: Path, count: int, size: int, seed: int, workers: int | None, overwrite: bool, as_json: bool
) -> None:
    """Draw cartoon faces with named attributes: a small CelebA without a download.

    Needs `pip install python-avatars resvg-py`. The art is Pablo Stanley's avataaars, see NOTICE.

    \b
    Example:
      fastgan data avatars -o avatars.fgd -n 4000 --size 64
    """
    from fastgan.data import packed
    from fastgan.data.avatars import render
    from fastgan.data.memory import workers as cores

    packed.check_target(out, overwrite=overwrite)
    with progress() as shown:
        dataset = render(count, size=size, seed=seed, workers=workers or cores(), progress=stages(shown))
    packed.write(out, dataset)
    _print_summary(out, dataset, as_json=as_json)


def _warn(dataset: Dataset) -> None:
    """Say on stderr what was skipped and decided."""
    for note in dataset.notes:
        say(f"note: {note}", err=True)
    for bad in dataset.bad[:_SHOWN]:
        say(f"skipped: {bad}", err=True)
    if len(dataset.bad) > _SHOWN:
        click.echo(
            f"skipped: {len(dataset.bad) - _SHOWN} more, all named by fastgan data info --json", err=True
        )
    size = dataset.resolution
    if size < 8 or size & (size - 1):
        click.echo(
            f"note: training needs a size that is a power of two from 8 up, and this is {size}", err=True
        )


def _print_summary(file: Path, dataset: Dataset, *, as_json: bool, verified: bool = False) -> None:
    from fastgan.data.facts import facts_of, words

    facts = facts_of(file, dataset)
    if as_json:
        show({**facts, "verified": verified})
        return
    for line in words(facts):
        say(line)
