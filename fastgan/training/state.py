"""What state.json says of a run at a checkpoint, apart from the tensors."""

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fastgan.config import to_mapping
from fastgan.data import Dataset
from fastgan.training import pretrained
from fastgan.training.trainer import Trainer
from fastgan.version import __version__


def describe(
    trainer: Trainer,
    data: Dataset,
    *,
    seconds: float,
    rollbacks: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any] | None,
    stopped: str | None,
    watch: Mapping[str, Any],
) -> dict[str, Any]:
    """The state of a run as it stands: where it is, what led there, and what bitwise equality depends on.

    seconds: time trained. rollbacks, best, stopped, watch: as in `state_file.State`.
    """
    return {
        "cur_nimg": trainer.cur_nimg,
        "resolution": trainer.phase.shown(trainer.cur_nimg),
        "seconds": seconds,
        "precision": trainer.precision,
        "config": to_mapping(trainer.config),
        "data": {
            "content_hash": data.content_hash,
            "images": len(data),
            "class_names": list(data.class_names),
            "attribute_names": list(data.attribute_names),
        },
        "features": pretrained.identity(trainer.discriminator),
        "rng": "reseeded before every iteration from train.seed, cur_nimg and the number of rollbacks",
        "rollbacks": list(rollbacks),
        "best": best,
        "stopped": stopped,
        "watch": dict(watch),
        "versions": _versions(),
        "machine": machine(trainer.device),
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
