"""What `fastgan train --json` says of a run that has ended: JSON types."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgan.training.session import Outcome, Session


def facts(session: "Session", outcome: "Outcome") -> dict[str, Any]:
    """Where the run is, how far it came and why it ended; null for what there is not."""
    from fastgan import ownership

    run = session.run
    grids = ownership.grids(run)
    generator = run / "generator.safetensors"
    return {
        "run": run,
        "cur_nimg": outcome.cur_nimg,
        "seconds": round(outcome.seconds, 3),
        "budget": str(session.config.train.budget),
        "stopped": outcome.stopped,
        "signal": outcome.signum,
        "best": session.best,
        "checkpoint": session.saved,
        "generator": generator if outcome.signum is None and generator.is_file() else None,
        "grid": grids[-1] if grids else None,
        "images": len(session.dataset),
        "resolution": session.dataset.resolution,
        "channels": session.dataset.channels,
        "device": str(session.device),
        "precision": session.trainer.precision,
    }
