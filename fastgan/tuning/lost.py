"""Trials whose worker is gone: the study is told so, and they are queued again, to go on with their runs.

A worker holds a file locked while it lives, and the operating system lets go of it when the worker dies, however that
happens. Optuna's own heartbeats, for databases alone, do the same for workers whose files are elsewhere.
"""

from datetime import datetime
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from fastgan.tuning.records import Record, records
from fastgan.tuning.worker import lock_path

_PATIENCE = 60.0
"""Seconds in which a worker has said its name"""


def queue_again(study: optuna.Study, meeting: Path) -> list[Record]:
    """Queue the trials that have lost their worker; which they were. meeting: where workers hold their locks."""
    try:
        with alone(meeting):
            for record in records(study):
                if record.state == "running" and _is_lost(record, meeting):
                    study.tell(record.trial.number, state=TrialState.FAIL, skip_if_finished=True)
            lost = [record for record in records(study) if record.state == "lost"]
            for record in lost:
                RetryHeartbeatStaleTrialCallback()(study, record.trial)
    except Timeout:  # another call has done it
        return []
    return lost


def alone(meeting: Path) -> FileLock:
    """Held while trials are queued, so that two calls do not queue the same."""
    return FileLock(meeting / ".queue.lock", timeout=30)


def _is_lost(record: Record, meeting: Path) -> bool:
    if record.worker is None:
        began = record.began or datetime.now()
        return (datetime.now() - began).total_seconds() > _PATIENCE
    return is_free(lock_path(meeting, record.worker))


def is_free(lock: Path) -> bool:
    """Whether the worker of a lock file is gone; False where the file is not there: it is none of this folder's."""
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False
