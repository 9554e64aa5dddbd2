"""Back to an earlier checkpoint where no step is finite any more."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgan.errors import FastganError
from fastgan.naming import resuming
from fastgan.training import checkpoint
from fastgan.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """What has been done."""

    entry: dict[str, Any]
    """For state.json: `from` and `to` which `cur_nimg`, and `why`."""
    state: dict[str, Any]
    """The state.json of the checkpoint that training goes on from."""
    sentence: str
    """What to say of it."""


def go_back(run: Path, trainer: Trainer, before: int, what: str) -> Rollback:
    """Load an earlier checkpoint into `trainer`, one further each time, with other random numbers and half the rates.

    The same steps from the same weights would break down again. before: how many rollbacks there were; what: what broke
    down. Raises FastganError where there is no checkpoint, or there were train.max_rollbacks rollbacks.
    """
    target = checkpoint.earlier(run, before)
    if target is None or before >= trainer.config.train.max_rollbacks:
        raise _broken(run, trainer.cur_nimg, before, what)
    loaded, broke_at = checkpoint.load(target), trainer.cur_nimg
    trainer.load_state_dict(loaded)
    trainer.go_back(before + 1)
    trainer.spread()
    return Rollback(
        entry={"from": broke_at, "to": trainer.cur_nimg, "why": what},
        state=loaded.state,
        sentence=f"training broke down at {broke_at} images ({what}): it goes on from {trainer.cur_nimg} images, with "
        f"other random numbers and learning rates times {0.5 ** (before + 1):g}",
    )


def _broken(run: Path, cur_nimg: int, before: int, what: str) -> FastganError:
    after = f" after {before} rollbacks" if before else ""
    return FastganError(
        f"training broke down at {cur_nimg} images{after} ({what}); {checkpoint.remaining(run)}: "
        f"go on with smaller steps, as in {resuming(run, {'train.lr_g': '1e-4', 'train.lr_d': '1e-4'})}"
    )
