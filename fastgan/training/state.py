"""What state.json says of a run at a checkpoint, apart from the tensors."""

import platform
from typing import TYPE_CHECKING, Any

import torch

from fastgan.config import to_mapping
from fastgan.training import pretrained
from fastgan.version import __version__

if TYPE_CHECKING:
    from fastgan.training.session import Session


def describe(session: "Session") -> dict[str, Any]:
    """The state of `session` as it stands: where it is, what led there, and what bitwise equality depends on."""
    data = session.dataset
    return {
        "cur_nimg": session.trainer.cur_nimg,
        "resolution": session.trainer.phase.shown(session.trainer.cur_nimg),
        "seconds": session.seconds,
        "precision": session.trainer.precision,
        "config": to_mapping(session.config),
        "data": {
            "content_hash": data.content_hash,
            "images": len(data),
            "class_names": list(data.class_names),
            "attribute_names": list(data.attribute_names),
        },
        "features": pretrained.identity(session.trainer.discriminator),
        "rng": "reseeded before every iteration from train.seed, cur_nimg and the number of rollbacks",
        "rollbacks": session.rollbacks,
        "best": session.best,
        "stopped": session.stopped,
        "watch": dict(session.watched),
        "versions": _versions(),
        "machine": machine(session.device),
    }


def machine(device: torch.device) -> dict[str, str]:
    """What bitwise equality depends on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "torch": torch.__version__,
        "device": f"{device.type} {name}",
        "threads": str(torch.get_num_threads()),
    }


def _versions() -> dict[str, str]:
    return {"fastgan": __version__, "torch": torch.__version__, "python": platform.python_version()}
