"""From the arguments of `fastgan tune` to a study that can begin: everything checked before the first trial."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fastgan.config import Duration, build, preset_names, require
from fastgan.device import choose
from fastgan.errors import OutputError
from fastgan.naming import named
from fastgan.progress import Progress
from fastgan.training import sizes
from fastgan.training.settings import RunConfig
from fastgan.tuning import default_space, room, search, storage, words
from fastgan.tuning import sets as image_sets
from fastgan.tuning import space as spaces
from fastgan.tuning.metric import Metric
from fastgan.tuning.plan import Plan
from fastgan.tuning.sets import Note, Wanted
from fastgan.tuning.space import Space

TRIALS, EACH = 20, Duration(seconds=240.0)
"""Where neither they nor a budget are asked for"""
_SEARCHING = 0.7
"""The share of a budget for the whole that trials get where nobody says how long they are"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The arguments of `fastgan.tune`."""

    sources: tuple[Path, ...]
    held: tuple[Path, ...]
    space: Path | Mapping[str, Any] | None
    presets: tuple[str, ...]
    settings: Mapping[str, Any]
    folder: Path
    trials: int | None
    seconds: float | None
    trial_budget: Duration | None
    metric: str
    extractor: str
    eval_images: int
    resolution: int | None
    seeds: int
    seed: int
    pruner: str
    confirm: int
    confirm_seeds: int
    jobs: int
    storage: str | None
    study: str | None
    device: str
    command: str

    @property
    def name(self) -> str:
        """Of the study."""
        return self.study or self.folder.resolve().name

    @property
    def told(self) -> dict[str, Any]:
        """For callbacks, without what may hold a password."""
        return {key: value for key, value in asdict(self).items() if key not in ("storage", "command")}


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A call that can begin."""

    asked: Asked
    plan: Plan
    trials: int | None
    searching: float | None
    """Seconds for the search; None: no limit"""
    sentence: str
    """What is going to be done"""
    devices: tuple[str, ...]


def ready(asked: Asked, shown: Progress, *, write: bool) -> Ready:
    """Check all that can be before the work, in the order in which it costs more. write: whether OUT may be begun."""
    metric = Metric.named(asked.metric)
    where = choose(asked.device)
    _check_folder(asked.folder)
    _check_presets(asked.presets)
    written, origin = _written(asked)
    before = storage.remembered(asked.storage, asked.folder, asked.name)
    surveyed = image_sets.wanted(
        asked.sources,
        asked.held,
        resolution=asked.resolution,
        largest=sizes.LARGEST.get(where.type, sizes.LARGEST["cuda"]),
        seed=asked.seed,
    )
    found = [image_sets.surveyed(each, of) for each, of in surveyed]
    images = spaces.Images(found[0].count, found[0].side)
    space = _space(asked, written, origin, images, where.type)
    each, trials = _each(asked, len(found) * asked.seeds, before.get("trial_budget"))
    plan = Plan(
        sets=found,
        space=space,
        metric=metric,
        extractor=asked.extractor,
        eval_images=asked.eval_images,
        trial_budget=each,
        seeds=asked.seeds,
        seed=asked.seed,
        pruner=_pruner(asked, metric, len(found) * asked.seeds),
        device=where.type,
    )
    confirming = _confirming(asked, plan)
    searching, said = search.fits(plan, trials, asked.seconds, asked.jobs, confirming)
    room.check_metric(plan)
    for text in (*room.check(plan, where, asked.jobs), *([said] if said else [])):
        shown.note(text)
    if write:
        plan = _packed(plan, asked, [each for each, _ in surveyed], where, shown.note)
    return Ready(
        asked=asked,
        plan=plan,
        trials=trials,
        searching=searching,
        sentence=words.planned(plan, trials, asked.jobs, searching, confirming),
        devices=_devices(asked.device, where),
    )


def _packed(plan: Plan, asked: Asked, wanted: Sequence[Wanted], where: torch.device, note: Note) -> Plan:
    """The plan with its images packed and split, and the features of those held out."""
    found = [image_sets.prepared(each, asked.folder / "data", note) for each in wanted]
    for images in found:
        image_sets.write_reference(images, plan.metric, plan.extractor, where)
    return replace(plan, sets=found)


def _check_folder(folder: Path) -> None:
    """OutputError for a folder in which something else lies."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is no folder: choose another {named('out')}")
    ours = {storage.JOURNAL, "data", "space.toml"}
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names and not names & ours:
        raise OutputError(
            f"the folder {folder} is not empty and holds no study: choose another {named('out')}"
        )


def _check_presets(presets: tuple[str, ...]) -> None:
    known = preset_names()
    for name in presets:
        require(name in known, f"{named('preset', name)} is unknown: there are {', '.join(known)}")
    require(len(set(presets)) == len(presets), f"{named('preset')} names a preset twice: name each once")


def _written(asked: Asked) -> tuple[dict[str, Any] | None, str]:
    """The tables of the space that is given, and what messages call it."""
    if asked.space is None:
        return None, "the default space"
    if isinstance(asked.space, Path):
        return spaces.read(asked.space)
    return spaces.given(asked.space), named("space")


def _space(
    asked: Asked, written: dict[str, Any] | None, origin: str, images: spaces.Images, device: str
) -> Space:
    if written is None:
        names = asked.presets or ("small",)
        fixed = Space(names, (), asked.settings, named("settings"))
        bases = {name: fixed.base(name, images, device) for name in names}
        for base in bases.values():
            build(RunConfig, base)  # refuses what training does, before a space is made around it
        written = default_space.default(bases)
        made = spaces.make(written, asked.settings, names, origin)
    else:
        made = spaces.make(written, asked.settings, asked.presets, origin)
    spaces.check(made, images, device)
    return made


def _each(asked: Asked, runs: int, before: str | None) -> tuple[Duration, int | None]:
    """The budget of a run (before: that of the study, where it has begun), and how many trials there are to be."""
    if asked.trial_budget is not None or before is not None:
        trials = asked.trials if asked.trials or asked.seconds else TRIALS
        return asked.trial_budget or Duration.parse(before), trials
    trials = asked.trials or TRIALS
    if asked.seconds is None:
        return EACH, trials
    confirming = (asked.confirm + 1) * asked.confirm_seeds if asked.confirm else 0
    share = asked.seconds * asked.jobs / (trials * _SEARCHING * runs + confirming * runs / asked.seeds)
    return Duration(seconds=float(max(round(share), 1))), asked.trials


def _pruner(asked: Asked, metric: Metric, runs: int) -> str:
    if asked.pruner == "none":
        return "none"
    if runs > 1:
        require(
            asked.pruner == "auto",
            f"{named('pruner', asked.pruner)} stops a single run: with several runs a trial leave it out, and a "
            "Wilcoxon test over them decides",
        )
        return "wilcoxon"
    if not metric.while_training:
        require(
            asked.pruner == "auto",
            f"{named('pruner', asked.pruner)} needs scores on the way, and {metric.name} is computed at the end alone: "
            "leave it out, or judge by kid",
        )
        return "none"
    return "halving" if asked.pruner == "auto" else asked.pruner


def _confirming(asked: Asked, plan: Plan) -> float | None:
    """Seconds that the confirmation takes; None where budgets are in images."""
    seconds = plan.trial_budget.seconds
    if seconds is None:
        return None
    runs = (asked.confirm + 1) * asked.confirm_seeds * len(plan.sets) if asked.confirm else 0
    return seconds * -(-runs // asked.jobs)


def _devices(asked: str, where: torch.device) -> tuple[str, ...]:
    """What workers are given in turn: each GPU, unless one is named."""
    if where.type == "cuda" and where.index is None and torch.cuda.device_count() > 1:
        return tuple(f"cuda:{k}" for k in range(torch.cuda.device_count()))
    return (asked,)
