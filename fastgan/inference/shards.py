"""Which part of the seeds this process makes, and who says so."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastgan.errors import ConfigError
from fastgan.naming import named
from fastgan.text import whole

_SPEC = re.compile(r"(\d{1,7})/(\d{1,7})")
_AUTO = re.compile(r"auto(?:/(\d{1,7}))?")


@dataclass(frozen=True)
class Shard:
    """Part `index`, counted from 0, of `count` equal ones."""

    index: int = 0
    count: int = 1
    source: str = ""
    """What named it, in words; "" for the only one."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            parts = f"0/{self.count} to {self.count - 1}/{self.count}" if self.count else "from 0/1 on"
            raise ConfigError(
                f"{self.source} {self.index}/{self.count} is out of range: shards are counted from 0, {parts}."
            )

    @property
    def name(self) -> str:
        """ "-00003-of-00016", and "" for the only one."""
        return f"-{self.index:05d}-of-{self.count:05d}" if self.count > 1 else ""

    @property
    def fraction(self) -> str | None:
        """ "3/16"; None for the only one."""
        return f"{self.index}/{self.count}" if self.count > 1 else None

    @property
    def words(self) -> str:
        """For the user: "shard 3/16 (RANK and WORLD_SIZE)"."""
        return f"shard {self.index}/{self.count} ({self.source})"

    def part(self, units: int) -> range:
        """The units, of so many, that are this shard's: neighbours, and as many as any other's to within one."""
        return range(units * self.index // self.count, units * (self.index + 1) // self.count)


def find_shard(spec: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard that `spec` names; without it, torchrun's, and else the only one.

    spec: "3/16" is the fourth of 16; "auto" asks torchrun, Slurm or a Kubernetes job, and "auto/16" one that tells its
    tasks' number and not how many there are. Raises ConfigError for a shard out of range, and for "auto" where
    nothing says which.
    """
    if spec is None:
        torchrun = _pair(environment, "RANK", "WORLD_SIZE")
        return Shard(*torchrun, "RANK and WORLD_SIZE") if torchrun and torchrun[1] > 1 else Shard()
    text = spec if isinstance(spec, str) else ""
    if found := _SPEC.fullmatch(text):
        return Shard(int(found[1]), int(found[2]), named("shard"))
    if found := _AUTO.fullmatch(text):
        return _scheduled(environment, int(found[1]) if found[1] else None)
    raise ConfigError(
        f"{named('shard', spec)} is not INDEX/COUNT: write it like 3/16, counted from 0, or auto under torchrun, "
        "Slurm or a Kubernetes job."
    )


def _scheduled(environment: Mapping[str, str], count: int | None) -> Shard:
    """The task's number among its scheduler's; `count` stands in for what that does not say."""
    if torchrun := _pair(environment, "RANK", "WORLD_SIZE"):
        return _checked(Shard(*torchrun, "RANK and WORLD_SIZE"), count)
    task = _pair(environment, "SLURM_PROCID", "SLURM_NTASKS") or (0, 1)
    if "SLURM_ARRAY_TASK_ID" in environment:
        first, step = (_number(environment, f"SLURM_ARRAY_TASK_{x}", k) for x, k in (("MIN", 0), ("STEP", 1)))
        jobs = _number(environment, "SLURM_ARRAY_TASK_COUNT", count // task[1] if count else None)
        job = (_number(environment, "SLURM_ARRAY_TASK_ID") - first) // max(step, 1)
        found = Shard(job * task[1] + task[0], jobs * task[1], "Slurm's array")
        return _checked(found, count)
    if "SLURM_PROCID" in environment:
        return _checked(Shard(*task, "SLURM_PROCID and SLURM_NTASKS"), count)
    if "JOB_COMPLETION_INDEX" in environment:
        if count is None:
            raise ConfigError(
                f"{named('shard', 'auto')}: Kubernetes says JOB_COMPLETION_INDEX and not how many there are: "
                "give the job's completions, like auto/16."
            )
        return Shard(_number(environment, "JOB_COMPLETION_INDEX"), count, "JOB_COMPLETION_INDEX")
    raise ConfigError(
        f"{named('shard', 'auto')} finds neither RANK and WORLD_SIZE nor Slurm's or Kubernetes' variables: "
        "write it like 3/16, counted from 0."
    )


def _checked(shard: Shard, count: int | None) -> Shard:
    if count not in (None, shard.count):
        raise ConfigError(
            f"{named('shard', f'auto/{count}')} contradicts {shard.source}, which say {shard.count}: give auto."
        )
    return shard


def _pair(environment: Mapping[str, str], index: str, count: str) -> tuple[int, int] | None:
    if index not in environment or count not in environment:
        return None
    return _number(environment, index), _number(environment, count)


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    number = whole(text)
    if number is None:
        raise ConfigError(
            f"{name}={text[:40]!r} in the environment is no number: set it, or give {named('shard')} like 3/16."
        )
    return number


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """This process's number among those on the same machine, as torchrun and Slurm say it; else 0."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        number = whole(environment.get(name, ""))
        if number is not None:
            return number
    return 0


def own_device(device: str, shard: Shard) -> str:
    """`device`; for "auto", one of the GPUs that the processes of torchrun or Slurm on this machine share out."""
    if device != "auto" or shard.count == 1:
        return device
    import torch

    gpus = torch.cuda.device_count()
    return f"cuda:{local_rank() % gpus}" if gpus > 1 else device
