"""`fastgan.bench`: kernels, a training step and inference, measured against their baselines."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan import arguments
from fastgan import progress as shows
from fastgan.api.call import long_call
from fastgan.api.tables import html_table
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.errors import ConfigError
from fastgan.naming import named

if TYPE_CHECKING:
    import rich.table

    from fastgan.benchmark.report import Row, Table
    from fastgan.benchmark.request import Request

StrPath = str | os.PathLike[str]
SECTIONS = ("ops", "train", "inference")
DTYPES, LAYOUTS, PASSES = ("fp32", "bf16", "fp16"), ("nchw", "nhwc"), ("forward", "both")
BASELINES = ("plain", "eager")
_THREADS, _BATCH, _SIDE = 1024, 65536, 1 << 31


class Bench:
    """What was measured. As text the tables of `fastgan bench`, and in a notebook the same."""

    def __init__(
        self, what: str, document: Mapping[str, Any], path: Path | None = None, html: Path | None = None
    ) -> None:
        self.what = what
        """"ops", "train", "inference" or "all\""""
        self.document = dict(document)
        """Machine, versions and sections with all rows, of JSON's types."""
        self.path = path
        """The JSON file that was written."""
        self.html = html
        """The page that was written."""

    @property
    def words(self) -> str:
        """One line: where, on what, with which versions."""
        from fastgan.benchmark import report

        return report.describe(self.document)

    def rows(self, section: str) -> "list[Row]":
        """Every row of a section: times in seconds as medians with quartiles, and ratios to the baseline."""
        return list(self.document["sections"][arguments.one_of(section, "section", SECTIONS)]["rows"])

    def tables(self) -> "list[tuple[str, Table]]":
        """Title, head and lines of one table in short where everything was measured, else of those of the section."""
        from fastgan.benchmark import report, summary

        if self.what == "all":
            return [("in short", summary.summary(self.document))]
        return report.tables(self.what, self.document["sections"][self.what]["rows"])

    def drawn(self) -> "list[rich.table.Table]":
        """The same for a terminal."""
        from fastgan.benchmark import report

        return [report.rich_table(title, table) for title, table in self.tables()]

    def __repr__(self) -> str:
        from fastgan.benchmark import report

        return "\n".join(
            [self.words, *(f"\n{title}\n\n{report.markdown(table)}" for title, table in self.tables())]
        )

    def _repr_html_(self) -> str:
        return "".join(html_table(lines, head, [title]) for title, (head, lines) in self.tables())


@long_call
def bench(
    what: str = "all",
    *,
    device: str = "auto",
    threads: int = 1,
    quick: bool = False,
    compiled: bool = False,
    names: Iterable[str] = (),
    shapes: Iterable[Sequence[int]] = (),
    dtypes: Iterable[str] = (),
    layouts: Iterable[str] = (),
    passes: Iterable[str] = (),
    models: Iterable[str] = (),
    sources: Iterable[StrPath] = (),
    batches: Iterable[int] = (),
    baseline: str = "plain",
    out: StrPath | None = None,
    html: StrPath | None = None,
    overwrite: bool = False,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Bench:
    """Measure "ops", "train", "inference" or "all", ours against the baselines, in turns within this process.

    Times are medians; ratios are taken round by round. On a CPU with one thread the clock is CPU time, so that other
    programs disturb little. An empty choice means everything.

    device: "auto", "cpu", "cuda" or "cuda:N". threads: of the CPU, 1 to 1024. quick: few shapes and rounds, a look and
    no result. compiled: measure torch.compile too, which is slow to start.
    Of ops: names; shapes (N, C, H, W) in place of the usual ones; dtypes "fp32", "bf16", "fp16"; layouts "nchw",
    "nhwc"; passes "forward" or "both" (with backward). Of training and inference: models by name. Of inference:
    sources, runs, releases or .onnx files in place of ours; batches, sizes in place of the usual ones. Of training:
    baseline, what ratios are against, "plain" or "eager".
    out: write all rows, machine and versions here as JSON; html: write a page here. overwrite: replace what is there
    and is no earlier result.
    callback: is told what is measured, as an event of kind "measure". progress: show the same.

    Raises ConfigError for what there is not, CheckpointError for sources that cannot be opened, MemoryLimitError for
    shapes that do not fit, OutputError for files that cannot be written, all before anything is measured. Nothing is
    written where it is interrupted.
    """
    from fastgan.benchmark import suite

    arguments.one_of(what, "what", (*SECTIONS, "all"))
    paths = tuple(arguments.path(source, "sources") for source in arguments.several(sources, "sources"))
    request = _request(
        sections=SECTIONS if what == "all" else (what,),
        device=device,
        threads=arguments.whole_number(threads, "threads", 1, _THREADS),
        quick=quick,
        compiled=compiled,
        names=arguments.several(names, "names"),
        shapes=tuple(_shape(shape) for shape in arguments.several(shapes, "shapes")),
        dtypes=_all_of(dtypes, "dtypes", DTYPES),
        layouts=_all_of(layouts, "layouts", LAYOUTS),
        passes=_all_of(passes, "passes", PASSES),
        models=arguments.several(models, "models"),
        sources=paths,
        batches=tuple(
            arguments.whole_number(batch, "batches", 1, _BATCH)
            for batch in arguments.several(batches, "batches")
        ),
        baseline=arguments.one_of(baseline, "baseline", BASELINES),
    )
    file = None if out is None else arguments.path(out, "out")
    page = None if html is None else arguments.path(html, "html")
    _check_targets(file, page, paths, overwrite=overwrite)
    listener = as_one(callback)
    with told(listener, Job(work="bench", settings=vars(request))) as results:
        with shows.progress(progress) as shown:

            def measuring(text: str) -> None:
                shown.line(text, None)
                listener.event(0, "measure", text)

            done = Bench(what, suite.run(request, progress=measuring), file, page)
        _write(done)
        results.update(path=file, html=page)
    return done


def _request(**given: Any) -> "Request":
    from fastgan.benchmark.request import Request

    return Request(**given)


def _all_of(given: Iterable[str], parameter: str, choices: Sequence[str]) -> tuple[str, ...]:
    return tuple(arguments.one_of(each, parameter, choices) for each in arguments.several(given, parameter))


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    sizes = arguments.several(shape, "shapes")
    if len(sizes) != 4:
        raise ConfigError(f"{named('shapes', shape)} is no shape: give four sizes as in 16,256,64,64.")
    return tuple(arguments.whole_number(size, "shapes", 1, _SIDE) for size in sizes)


def _check_targets(file: Path | None, page: Path | None, sources: Sequence[Path], *, overwrite: bool) -> None:
    """OutputError for what may not be written; what an earlier call wrote may be replaced."""
    from fastgan.files import check_output
    from fastgan.pages.document import MARK

    for target, mark in ((file, b'"load_average"'), (page, MARK)):
        if target is not None:
            check_output(target, overwrite=overwrite, sources=sources, replaces=mark)


def _write(done: Bench) -> None:
    """The files that were asked for, each whole or not at all."""
    from fastgan.benchmark import page
    from fastgan.files import atomic_write, write_json

    if done.path is not None:
        write_json(done.path, done.document)
    if done.html is not None:
        with atomic_write(done.html) as temporary:
            temporary.write_text(page.render(done.document), encoding="utf-8")
