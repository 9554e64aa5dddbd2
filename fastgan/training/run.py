"""Begin a run, or go on with one: folder, lock, data, precision, trainer."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from fastgan.callbacks import NOBODY, Callback, Callbacks
from fastgan.config import require
from fastgan.data import Dataset, Feed, open_dataset, pack
from fastgan.device import choose
from fastgan.errors import ConfigError, DataError
from fastgan.naming import named
from fastgan.text import quoted
from fastgan.training import (
    afford,
    assemble,
    checkpoint,
    conditions,
    folder,
    plan,
    precision,
    pretrained,
    schedule,
    stopping,
    transfer,
)
from fastgan.training.choices.layered import Layered
from fastgan.training.data_settings import DataConfig
from fastgan.training.distributed import ALONE, Processes
from fastgan.training.evaluation import Evaluate
from fastgan.training.log import check_grid
from fastgan.training.session import Note, Session
from fastgan.training.settings import RunConfig, TrainConfig
from fastgan.training.state import machine
from fastgan.training.tensorboard import TensorBoard
from fastgan.training.trainer import Trainer

DataProgress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total) while images are read."""
MakeEvaluate = Callable[[Dataset, TrainConfig, torch.device], Evaluate]
"""Builds what computes the metrics, from the images and train.eval_metrics; called where train.eval_every is set."""
_NAMED = 20  # bad images that are named one by one


@contextmanager
def new(
    config: RunConfig,
    *,
    out: str | Path | None,
    device: str,
    note: Note,
    progress: DataProgress | None = None,
    processes: Processes = ALONE,
    evaluator: MakeEvaluate | None = None,
    again: afford.Again = str,
    callback: Callback = NOBODY,
    layered: Layered | None = None,
) -> Iterator[Session]:
    """Begin a run in a new folder, which disappears again when it cannot begin (bad data, impossible settings).

    layered: the preset, and what was given over it, that `config` was made of: what it leaves open is chosen.
    again: the user's command with one more option, for messages. callback: what `Session.fit` tells.
    """

    where = processes.in_turn(lambda: choose(device, processes))
    # Refused before any image is packed: impossible names and settings, other data, a step that does not fit.
    note("looking at the images, and at how long a training step takes")
    ready = processes.first(
        lambda: plan.make(config, where, layered=layered, processes=processes, progress=progress, again=again)
    )
    for text in ready.notes():
        note(text)
    existed = out is not None and Path(out).exists()
    before = {path.name for path in Path(out).iterdir()} if out is not None and Path(out).is_dir() else set()
    run = processes.first(lambda: folder.create(out))
    with _owned(run, processes):
        try:
            if processes.rank == 0:
                folder.write_config(run, ready.config)  # from here on a killed run can be resumed
            session = _prepare(
                run, ready.config, where, None, ready, note, progress, processes, evaluator, again
            )
            session.callback = Callbacks((TensorBoard(note), callback))
            session.expected = ready.img_per_s
        except BaseException:
            if processes.rank == 0:
                folder.clear(run, before)
                if not existed:
                    run.rmdir()
            raise
        with closing(session.trainer.feed):
            yield session


@contextmanager
def resumed(
    path: str | Path,
    config: RunConfig,
    *,
    device: str,
    note: Note,
    progress: DataProgress | None = None,
    processes: Processes = ALONE,
    evaluator: MakeEvaluate | None = None,
    again: afford.Again = str,
    callback: Callback = NOBODY,
) -> Iterator[Session]:
    """Go on with the run `path` (or from one of its checkpoints) under `config`, which may extend its budget."""
    run, where = processes.in_turn(lambda: (folder.existing(path), choose(device, processes)))
    with _owned(run, processes):
        started = (run / "latest").exists() or Path(path) != run
        loaded = processes.in_turn(lambda: checkpoint.load_resumable(path)) if started else None
        session = _prepare(run, config, where, loaded, None, note, progress, processes, evaluator, again)
        session.callback = Callbacks((TensorBoard(note), callback))
        session.saved = loaded.path if loaded is not None else None  # nothing new to save yet
        with closing(session.trainer.feed):
            yield session


def planned(path: str | Path, config: RunConfig) -> RunConfig:
    """The settings with which the run `path` would go on under `config`, complete as far as its images are known."""
    run = folder.existing(path)
    images = next(
        (p for p in (run / "data.fgd", Path(config.data.source)) if p.suffix == ".fgd" and p.is_file()), None
    )
    return assemble.resolve(config, None if images is None else open_dataset(images))


def _owned(run: Path, processes: Processes) -> AbstractContextManager[None]:
    """The run folder is the first process's."""
    return folder.locked(run) if processes.rank == 0 else nullcontext()


def _prepare(
    run: Path,
    config: RunConfig,
    device: torch.device,
    loaded: checkpoint.Checkpoint | None,
    ready: plan.Plan | None,
    note: Note,
    progress: DataProgress | None,
    processes: Processes,
    evaluator: MakeEvaluate | None,
    again: afford.Again,
) -> Session:
    begins_from = config.train.init_from if loaded is None else ""
    # Refused before images are read
    networks = checkpoint.load_networks(begins_from) if begins_from else None
    dataset = processes.in_turn(lambda: _data(run, config, note, progress))
    _check_same_data(run, dataset, loaded)
    config = assemble.resolve(config, dataset)
    check_grid(config)
    if loaded is not None:  # before memory is taken for networks of other sizes
        assemble.check_checkpoint(config, loaded.model, str(loaded.path))
    if loaded is None:
        for text in conditions.notes(config, dataset):
            note(text)
    if config.train.eval_every is not None and config.discriminator.name == "projected":
        note(
            f"metrics in the features of {config.discriminator.features} flatter who is trained on them: compare this "
            "run with others by another extractor, as in fastgan eval --extractor random-conv"
        )
    evaluate = None
    if evaluator is not None and config.train.eval_every is not None:
        evaluate = processes.in_turn(
            lambda: None if processes.rank else evaluator(dataset, config.train, device)
        )
    torch.backends.cudnn.benchmark = True  # shapes never change, so the search pays
    feed = Feed(
        dataset,
        device=device,
        seed=config.train.seed,
        mirror=config.data.mirror,
        flip_vertical=config.data.flip_vertical,
        rotate=config.data.rotate,
        scale=config.data.scale,
        holdout=config.data.holdout,
    )

    def make_to_measure(kind: str) -> Trainer:
        part = config.train.batch // processes.size // config.train.accumulate
        alone = replace(config, train=replace(config.train, batch=part, accumulate=1))
        return assemble.make_trainer(alone, feed, device, kind)

    asked = config.train.precision
    if loaded is not None and asked == "auto":
        asked = loaded.state["precision"]  # the same bits as before, whatever a new measurement would say
    if ready is None:
        rule = precision.usual(asked, device)
        processes.first(lambda: afford.require(config, device, rule, processes.size, again))
    measured = 0 if ready is None else ready.measured
    chosen = processes.first(lambda: precision.choose(asked, device, measured, make_to_measure, note))
    trainer = processes.in_turn(lambda: assemble.make_trainer(config, feed, device, chosen, processes))
    if networks is not None:
        features = checkpoint.describe(begins_from).get("features")
        for text in transfer.initialise(trainer, networks, begins_from, features=features):
            note(text)
    seconds = 0.0
    if loaded is not None:
        pretrained.check_same(trainer.discriminator, loaded.state, loaded.path)
        trainer.load_state_dict(loaded)
        seconds = loaded.state["seconds"]
        changed = [
            f"{key} was {was}"
            for key, was in loaded.state["machine"].items()
            if was != machine(device).get(key)
        ]
        if changed:
            note(f"this machine differs from the one before, so the last bits may too: {', '.join(changed)}")
    state = {} if loaded is None else loaded.state
    ended = _ended(run, config.train, trainer.cur_nimg, seconds, state.get("stopped"))
    require(ended is None, ended or "")
    if processes.rank == 0:
        folder.write_config(run, config)
    return Session(
        run=run,
        config=config,
        dataset=dataset,
        trainer=trainer,
        device=device,
        seconds=seconds,
        note=note,
        evaluate=evaluate,
        rollbacks=list(state.get("rollbacks", ())),
        best=state.get("best"),
        watched=state.get("watch", {}),
    )


def _data(run: Path, config: RunConfig, note: Note, progress: DataProgress | None) -> Dataset:
    """The run's images: packed into the run folder, unless the source is a packed set of the right size already."""
    if (run / "data.fgd").exists():
        return open_dataset(run / "data.fgd")
    data, size, channels = config.data, config.model.asked("resolution"), config.model.asked("img_channels")
    source = _source(data)
    if Path(source).suffix.lower() == ".fgd":
        dataset = open_dataset(source, fit=data.fit, split=data.split, kind=data.kind)
        if dataset.resolution == (size or dataset.resolution) and dataset.channels == (
            channels or dataset.channels
        ):
            return dataset
    dataset = pack(
        source,
        run / "data.fgd",
        resolution=size,
        channels=channels,
        fit=data.fit,
        split=data.split,
        kind=data.kind,
        max_bad=data.max_bad,
        max_pixels=data.max_pixels,
        progress=progress,
    )
    for text in dataset.notes:
        note(text)
    for bad in dataset.bad[:_NAMED]:
        note(f"skipped {bad}")
    if len(dataset.bad) > _NAMED:
        note(
            f"skipped {len(dataset.bad) - _NAMED} more: fastgan data info --json {quoted(run / 'data.fgd')} "
            "names them all"
        )
    return dataset


def _source(data: DataConfig) -> str:
    if not data.source:
        raise ConfigError("no images to train on: name a folder, a zip or an .fgd file")
    return data.source


def _check_same_data(run: Path, dataset: Dataset, loaded: checkpoint.Checkpoint | None) -> None:
    if loaded is not None and loaded.state["data"]["content_hash"] != dataset.content_hash:
        raise DataError(
            f"the images have changed since {run} began (their hash is {dataset.content_hash[:12]}, it was "
            f"{loaded.state['data']['content_hash'][:12]}): give the original set, or begin a new run"
        )


def finished(run: Path, config: RunConfig) -> str | None:
    """Why there is nothing left to do in `run` under `config`, in a sentence; None where there is."""
    if not (run / "latest").exists():
        return None
    state = checkpoint.read_state(checkpoint.locate(run))
    return _ended(run, config.train, state["cur_nimg"], state["seconds"], state.get("stopped"))


def _ended(run: Path, train: TrainConfig, cur_nimg: int, seconds: float, stopped: str | None) -> str | None:
    if schedule.progress(train.budget, cur_nimg, seconds) >= 1:
        return (
            f"{run} has used up its budget of {train.budget} ({cur_nimg} images, {seconds:.0f} s): "
            f"give a larger total with {named('budget')} to go on"
        )
    if stopped is not None and stopped in map(str, stopping.parse(train.stop_when, evaluates=True)):
        return (
            f"{run} stopped at {cur_nimg} images because {stopped} was met: give another condition with "
            f"{named('stop_when')}, or none with {named('stop_when', '')}, to go on"
        )
    return None
