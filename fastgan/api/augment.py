"""Whether synthetic images help a classifier, from Python."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fastgan import allocator, arguments
from fastgan.api.call import long_call
from fastgan.api.tables import html_table
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.config import Duration, pairs
from fastgan.errors import ConfigError
from fastgan.naming import named
from fastgan.progress import progress as progressing
from fastgan.study import outcome, plan
from fastgan.study import write as writing
from fastgan.study.begin import Source, begin
from fastgan.study.families import ALIKE
from fastgan.study.settings import Settings
from fastgan.study.study import Study
from fastgan.text import clock
from fastgan.training.options import tables

MEASURES = ("accuracy", "macro_f1")
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What a study came to."""

    folder: Path
    """Where it lies, report.html and report.json in it"""
    plan: str
    """What was to be done, and how long that would take, in a sentence"""
    report: Mapping[str, Any] = field(default_factory=dict)
    """report.json: scenarios with their arms and verdicts, cells, GANs; empty after a dry run"""
    written: Path | None = None
    """The recommended synthetic images"""
    study: Study = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether all was done within the budget."""
        return bool(self.report.get("complete", False))

    @property
    def verdicts(self) -> dict[str, str]:
        """The sentence of each scenario by its name; none where no two seeds are whole."""
        return {found["name"]: found["verdict"]["sentence"] for found in self.report.get("scenarios", ())}

    @property
    def recommended(self) -> bool:
        """Whether a verdict says that synthetic images help."""
        return bool(self.report) and writing.recommended(self.report)

    def write(self, folder: AnyPath, *, overwrite: bool = False) -> "Augmentation":
        """Write the synthetic images of the best arm, with a manifest; the same result, which then has `written`.

        Raises OutputError where the folder is in use, FastganError where there is nothing to write.
        """
        target = arguments.path(folder, "folder")
        made = writing.write(self.study, dict(self.report), target, overwrite=overwrite)
        return replace(self, written=made)

    def __repr__(self) -> str:
        said = "; ".join(f"{name}: {sentence}" for name, sentence in self.verdicts.items()) or self.plan
        return f"Augmentation({str(self.folder)!r}: {said})"

    def _repr_html_(self) -> str:
        verdicts = self.verdicts or {"plan": self.plan}
        return html_table(list(verdicts.items()), below=[str(self.folder / "report.html")])


@long_call
def augment(
    data: AnyPath,
    *,
    out: AnyPath | None = None,
    per_class: Sequence[int] = (),
    imbalance: str | None = None,
    attributes: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    test: AnyPath | None = None,
    group_by: str | None = None,
    near: float | None = None,
    seeds: int = 5,
    ratios: Sequence[float] = (1, 2, 5),
    arms: Sequence[str] = (),
    transfer: bool = True,
    measure: str = "accuracy",
    budget: str | None = None,
    gan_budget: str | None = None,
    gan_preset: str = "few-shot",
    gan_init_from: AnyPath | None = None,
    gan_settings: Mapping[str, Any] | None = None,
    steps: int = 300,
    tuned_steps: int = 80,
    size: int | None = None,
    channels: int | None = None,
    max_pixels: int | None = None,
    write: AnyPath | None = None,
    overwrite: bool = False,
    device: str = "auto",
    dry_run: bool = False,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Augmentation:
    """Find out whether synthetic images of `data`, with labels, make a classifier better, and by how much.

    A GAN is trained on the training images alone, classifiers with and without its images are compared on test images
    that are asked once, and the verdict is a sentence with intervals over paired seeds (docs/augmentation.md).

    out: folder of the study, in which the same call goes on; by default DATA-augment. per_class: numbers of training
    images a class, a scenario each; none: all. imbalance: "CLASS=N" adds a scenario with N training images of CLASS.
    attributes: tell these (0 or 1) instead of classes. leave_out: classes not to look at. test: test images of their
    own. group_by: a regular expression whose first group names an image's family, which stays together. near:
    correlation above which images are copies, 0.5 to 1. seeds: paired repetitions. ratios: synthetic images for one
    real image. arms: beginnings of the names of those to run. transfer: with a pretrained network too. measure:
    "accuracy" or "macro_f1". budget: bounds the whole, as in "2h"; gan_budget: each GAN, as in "3m" or "200kimg".
    gan_preset, gan_init_from, gan_settings: as of `fastgan.train`. steps, tuned_steps: of the small CNN and of the
    pretrained network. size: side of the images in pixels. write: folder for the recommended synthetic images.
    dry_run: say what would be done, and how long it would take. callback: is told each
    verdict, as an event of kind "verdict".

    Ctrl-C is safe: the same call goes on. Raises DataError, ConfigError and MetricError for what cannot be studied,
    OutputError for a folder that is in use.
    """
    source = Source(
        data=arguments.path(data, "data"),
        test=None if test is None else arguments.path(test, "test"),
        attributes=arguments.several(attributes, "attributes"),
        left_out=arguments.several(leave_out, "leave_out"),
        group_by=None if group_by is None else arguments.text(group_by, "group_by"),
        near=ALIKE if near is None else arguments.real_number(near, "near", 0.5, 1.0),
        size=None if size is None else arguments.whole_number(size, "size", 0, 1 << 31),
        channels=channels,
        max_pixels=None
        if max_pixels is None
        else arguments.whole_number(max_pixels, "max_pixels", 1, 1 << 40),
    )
    settings = Settings(
        per_class=_sizes(per_class),
        imbalance=None if imbalance is None else arguments.text(imbalance, "imbalance"),
        seeds=arguments.whole_number(seeds, "seeds", 0, 10**9),
        ratios=tuple(
            sorted({arguments.real_number(r, "ratios", 0, 1e9) for r in arguments.several(ratios, "ratios")})
        ),
        only=arguments.several(arms, "arms"),
        transfer=transfer,
        steps=arguments.whole_number(steps, "steps", 0, 10**9),
        tuned_steps=arguments.whole_number(tuned_steps, "tuned_steps", 0, 10**9),
        gan_preset=arguments.text(gan_preset, "gan_preset"),
        gan_init_from="" if gan_init_from is None else str(arguments.path(gan_init_from, "gan_init_from")),
        gan_sets=tuple(pairs(tables(gan_settings or {}))),
        measure=arguments.one_of(measure, "measure", MEASURES),
    )
    if gan_budget is not None:
        settings = replace(settings, gan_budget=Duration.parse(gan_budget, named("gan_budget")))
    target = None if write is None else arguments.path(write, "write")
    if target is not None:
        writing.check(target, overwrite=overwrite)
    folder = Path(f"{source.data.stem or 'study'}-augment") if out is None else arguments.path(out, "out")
    done = _studied(
        source,
        settings,
        folder,
        seconds=_seconds(budget),
        free_gan=gan_budget is None,
        device=device,
        dry_run=dry_run,
        callback=as_one(callback),
        progress=progress,
    )
    return done if target is None or dry_run else done.write(target, overwrite=overwrite)


def _sizes(per_class: Sequence[int]) -> tuple[int, ...]:
    given = arguments.several(per_class, "per_class")
    return tuple(sorted({arguments.whole_number(n, "per_class", 0, 10**9) for n in given}))


def _seconds(budget: str | None) -> float | None:
    if budget is None:
        return None
    length = Duration.parse(budget, named("budget"))
    if length.seconds is None:
        raise ConfigError(f"{named('budget')} {budget} must be a time, as in 30m or 2h")
    return length.seconds


def _studied(
    source: Source,
    settings: Settings,
    folder: Path,
    *,
    seconds: float | None,
    free_gan: bool,
    device: str,
    dry_run: bool,
    callback: Callback,
    progress: bool,
) -> Augmentation:
    """The study, to its end or to that of its budget."""
    allocator.keep_memory()
    job = Job(work="augment", folder=folder, settings={"data": str(source.data), **asdict(settings)})
    with progressing(progress) as shown, told(callback, job) as results:
        study = begin(source, settings, folder, device=device, note=shown.note)
        study.progress = lambda step: shown.line(f"{step.what}  {clock(step.left)} to go", step.done)
        planned = plan.fit(study, seconds, free_gan=free_gan)
        shown.note(planned.sentence)
        found = Augmentation(folder=folder, plan=planned.sentence, study=study)
        if dry_run:
            return found
        found = replace(found, report=outcome.run(study, planned))
        for name, sentence in found.verdicts.items():
            callback.event(len(study.results), "verdict", f"{name}: {sentence}")
        results.update(folder=folder, complete=found.complete)
        return found
