"""Where a study lies: a journal file in OUT, or a database; opened by each process that works on it."""

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend

from fastgan.config import ConfigError
from fastgan.errors import ArgumentError
from fastgan.files import output_path
from fastgan.naming import named
from fastgan.text import reason
from fastgan.tuning.plan import POINTS, Plan
from fastgan.tuning.sampler import ByNumber

JOURNAL = "study.journal"
_BEAT, _GRACE = 30, 120
"""Seconds between a worker's signs of life in a database, and after which it counts as dead"""
PLAN = "fastgan.plan"
"""The study's attribute that holds `Plan.identity`"""


def quiet() -> None:
    """Optuna says nothing of its own: what matters is said by us."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.logging.disable_propagation()
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="optuna")


def open_storage(asked: str | None, folder: Path) -> BaseStorage:
    """The storage of a study in `folder`: its journal, the journal file `asked`, or the database of that URL.

    A database hears from its workers, so that the trials of those that fell silent are tried again by others.
    ConfigError where it cannot be opened.
    """
    quiet()
    if asked is None or "://" not in asked:
        path = folder / JOURNAL if asked is None else Path(asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(output_path(path))))
    if asked.startswith("redis"):
        raise ConfigError(
            f"{named('storage')}: Optuna keeps pickles in Redis, which could run code when they are read: "
            "give a journal file on a disk that is shared, or a database such as sqlite:///, postgresql:// or mysql://"
        )
    try:
        return _database(asked)
    except Exception as error:  # of SQLAlchemy, of a driver, or of Optuna
        if "already exists" in str(error):  # another call has made the tables at this moment
            time.sleep(2.0)
            return _database(asked)
        raise ConfigError(f"{named('storage')}: the database cannot be opened ({reason(error)})") from error


def _database(url: str) -> RDBStorage:
    return RDBStorage(
        url,
        heartbeat_interval=_BEAT,
        grace_period=_GRACE,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
    )


def meeting(asked: str | None, folder: Path) -> Path:
    """Where workers hold their locks: beside the journal, for all who can read it to see; of a database in OUT."""
    beside = folder if asked is None or "://" in asked else Path(asked).absolute().parent
    return beside / "workers"


def remembered(asked: str | None, folder: Path, name: str) -> dict[str, Any]:
    """`Plan.identity` of the study `name`, if it has begun; nothing is made."""
    if "://" not in (asked or "") and not (folder / JOURNAL if asked is None else Path(asked)).is_file():
        return {}
    try:
        study = optuna.load_study(study_name=name, storage=open_storage(asked, folder))
    except KeyError:
        return {}
    return dict(study.user_attrs.get(PLAN, {}))


def pruner(plan: Plan) -> BasePruner:
    """What stops trials: see docs/tuning.md."""
    if plan.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    if plan.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=POINTS, reduction_factor=2)
    if plan.pruner == "wilcoxon":
        return WilcoxonPruner(p_threshold=0.1)
    return NopPruner()


def begin(plan: Plan, storage: BaseStorage, name: str) -> optuna.Study:
    """The study `name`, new or gone on with. ArgumentError where the one that is there is about something else."""
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        sampler=ByNumber(plan.seed),
        pruner=pruner(plan),
        direction=plan.metric.direction,
        load_if_exists=True,
    )
    now, before = plan.identity(), study.user_attrs.get(PLAN)
    if before is None:
        study.set_user_attr(PLAN, now)
        return study
    for key, value in now.items():
        if before.get(key) != value:
            told = "other images" if key == "source" else _told(before.get(key))
            raise ArgumentError(
                f"the study {name} goes on as it began, with {named(key)} = {told}: leave {named(key)} as it was, or "
                f"begin another study with another {named('out')}"
            )
    return study


def _told(value: Any) -> str:
    return "another" if isinstance(value, str) and "\n" in value else str(value)


def confirmation(name: str) -> str:
    """What the study of confirmations is called."""
    return f"{name}-confirm"
