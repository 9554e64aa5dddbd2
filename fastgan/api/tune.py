"""A search for the settings that train best, from Python."""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan import allocator, arguments, extras
from fastgan.api.call import long_call
from fastgan.api.tables import html_table
from fastgan.api.train import AnyPath
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.config import Duration
from fastgan.errors import ConfigError
from fastgan.naming import named
from fastgan.progress import progress as progressing
from fastgan.training.options import tables

if TYPE_CHECKING:
    from fastgan.tuning.begin import Asked

PRUNERS = ("auto", "halving", "hyperband", "none")
_MOST = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search came to."""

    folder: Path
    """Where it lies"""
    plan: str
    """What was to be done, in a sentence"""
    report: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """study.json: trials, confirmations, versions; empty after a dry run"""
    best: Mapping[str, Any] = field(default_factory=dict)
    """The settings that were confirmed as the best: fastgan.train(data, config=result.config) trains with them, and so
    does settings=result.best"""
    space: str = field(default="", repr=False)
    """What is searched, as TOML"""

    @property
    def config(self) -> Path:
        """best.toml, for fastgan.train(data, config=...) and fastgan train --config."""
        return self.folder / "best.toml"

    @property
    def page(self) -> Path:
        """The report."""
        return self.folder / "report.html"

    @property
    def trials(self) -> list[dict[str, Any]]:
        """A row a trial: number, state, score, reason, seconds, and its settings by their names."""
        return [
            {
                **{key: trial[key] for key in ("number", "state", "score", "label", "reason", "seconds")},
                **trial["settings"],
            }
            for trial in self.report.get("trials", ())
        ]

    @property
    def confirmed(self) -> list[dict[str, Any]]:
        """A row for each of the best trials, and the preset, with fresh seeds: of, searched, scores, mean."""
        return [dict(row) for row in self.report.get("confirmed", ())]

    @property
    def sentence(self) -> str:
        """The result in a sentence."""
        from fastgan.tuning.words import result

        return result(self.report) if self.report else self.plan

    def __repr__(self) -> str:
        return f"Tuned({str(self.folder)!r}: {self.sentence})"

    def _repr_html_(self) -> str:
        return html_table([("result", self.sentence)], below=[str(self.page)])


@long_call
def tune(
    source: AnyPath | Sequence[AnyPath],
    *,
    space: AnyPath | Mapping[str, Any] | None = None,
    preset: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    out: AnyPath | None = None,
    trials: int | None = None,
    budget: str | None = None,
    trial_budget: str | None = None,
    metric: str = "kid",
    data: AnyPath | Sequence[AnyPath] | None = None,
    extractor: str = "effnet-lite0",
    eval_images: int = 1000,
    resolution: int | None = None,
    seeds: int = 1,
    seed: int = 0,
    pruner: str = "auto",
    confirm: int = 3,
    confirm_seeds: int = 2,
    jobs: int = 1,
    storage: str | None = None,
    study: str | None = None,
    device: str = "auto",
    dry_run: bool = False,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Tuned:
    """Search the settings that train best on `source`, images as `fastgan.train` takes them, or several sets of them.

    space: a TOML file, or a mapping, of settings with ranges ("1e-4..4e-3 log", "16..64 step 16") and choices
    ([24, 32, 48]); by default what decides most in short runs, around the preset's values (docs/tuning.md). preset:
    one, or several as choices; "small" where none is named. settings: fixed for all trials. out: the study's folder,
    by default SOURCE-tune, in which the same call goes on. trials: how many, by default 20, or as many as `budget`
    holds. budget: time for the whole, as in "2h", confirmation included. trial_budget: of each run, as in "4m" or
    "50kimg"; by default what `budget` leaves, or 4 minutes.
    metric: what trials are judged by, on images that are never trained on: a fifth of `source`, or `data`, a set for
    each source. kid, fid, is, precision, recall, density, coverage, ifid, cas, ppl_w_end or lpips-diversity, in the
    features of `extractor`, of `eval_images` generated images. resolution: side of the images in pixels. seeds: runs a
    trial on each set; with several runs a trial, its score is their mean, and a Wilcoxon test stops it early. seed:
    everything random follows from it. pruner: "halving" or "hyperband" stop weak trials by what they score on their
    way, "none" stops none, "auto" chooses.
    confirm: how many of the best are trained again, with `confirm_seeds` fresh seeds; 0: none. jobs: processes that
    train at the same time on this machine. storage: a journal file or the URL of a database instead of one in `out`,
    so that calls on several machines work on one `study`. dry_run: check everything, say what would be done.
    callback: is told each trial's score, as log(trial, {metric: score}), and failures as events.

    Ctrl-C saves what is being trained and raises KeyboardInterrupt; the same call goes on. Raises ConfigError for a
    space or settings that training would refuse, DataError for images that are too few, OutputError for a folder that
    is in use, MemoryLimitError where the workers do not fit, FastganError where no trial can be trained.
    """
    if extras.missing("tune"):
        raise ConfigError(f"fastgan tune needs Optuna: {extras.install_line('tune')}")
    allocator.keep_memory()
    from fastgan.tuning.begin import Asked

    paths = tuple(arguments.path(each, "source") for each in arguments.several(source, "source"))
    if not paths:
        raise ConfigError(f"{named('source')} names no images: give a folder, a zip or an .fgd file")
    held = tuple(arguments.path(p, "data") for p in (() if data is None else arguments.several(data, "data")))
    if held and len(held) != len(paths):
        raise ConfigError(
            f"{named('data')} names {len(held)} sets and {named('source')} {len(paths)}: give one for each"
        )
    asked = Asked(
        sources=paths,
        held=held,
        space=space if space is None or isinstance(space, Mapping) else arguments.path(space, "space"),
        presets=tuple(arguments.text(p, "preset") for p in arguments.several(preset, "preset"))
        if preset is not None
        else (),
        settings=tables(settings or {}),
        folder=Path(f"{paths[0].stem or 'images'}-tune") if out is None else arguments.path(out, "out"),
        trials=None if trials is None else arguments.whole_number(trials, "trials", 1, 10**6),
        seconds=_seconds(budget),
        trial_budget=None if trial_budget is None else Duration.parse(trial_budget, named("trial_budget")),
        metric=arguments.text(metric, "metric"),
        extractor=arguments.text(extractor, "extractor"),
        eval_images=arguments.whole_number(eval_images, "eval_images", 16, _MOST),
        resolution=None if resolution is None else arguments.whole_number(resolution, "resolution", 8, 4096),
        seeds=arguments.whole_number(seeds, "seeds", 1, 100),
        seed=arguments.whole_number(seed, "seed", 0, _MOST),
        pruner=arguments.one_of(pruner, "pruner", PRUNERS),
        confirm=arguments.whole_number(confirm, "confirm", 0, 100),
        confirm_seeds=arguments.whole_number(confirm_seeds, "confirm_seeds", 1, 100),
        jobs=arguments.whole_number(jobs, "jobs", 1, 1024),
        storage=None if storage is None else arguments.text(storage, "storage"),
        study=None if study is None else arguments.text(study, "study"),
        device=device,
        command=shlex.join(["fastgan", *sys.argv[1:]]) if sys.argv[1:2] == ["tune"] else "fastgan.tune(...)",
    )
    return _tuned(asked, dry_run, as_one(callback), progress)


def _tuned(asked: "Asked", dry_run: bool, callback: Callback, progress: bool) -> Tuned:
    from fastgan.tuning import begin, call

    job = Job(work="tune", folder=asked.folder, settings=asked.told)
    with progressing(progress) as shown, told(callback, job) as results:
        ready = begin.ready(asked, shown, write=not dry_run)
        shown.note(ready.sentence)
        found = Tuned(folder=asked.folder, plan=ready.sentence, space=ready.plan.space.toml())
        if dry_run:
            return found
        report, best = call.carry_out(ready, shown, callback)
        results.update(folder=asked.folder, best=report["best"])
        return Tuned(folder=asked.folder, plan=ready.sentence, report=report, best=best, space=found.space)


def _seconds(budget: str | None) -> float | None:
    if budget is None:
        return None
    length = Duration.parse(budget, named("budget"))
    if length.seconds is None:
        raise ConfigError(f"{named('budget')} {budget} must be a time, as in 30m or 2h")
    return length.seconds
