"""What a study is about: all that its trials have in common, which stays the same however often it goes on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgan.config import Duration
from fastgan.documents import parse_json, parse_toml
from fastgan.tuning import space as spaces
from fastgan.tuning.metric import Metric
from fastgan.tuning.sets import ImageSet
from fastgan.tuning.space import Images, Space

POINTS = 4
"""Equal parts of a trial's budget, after each of which it is scored"""
CONFIRMING = 1000
"""Added to the seed of a search for those of its confirmation, which no trial has had"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study."""

    sets: Sequence[ImageSet]
    space: Space
    metric: Metric
    extractor: str
    eval_images: int
    trial_budget: Duration
    seeds: int
    """Runs of a trial on each set"""
    seed: int
    pruner: str
    """halving, hyperband, wilcoxon or none"""
    device: str
    """cpu or cuda, by which presets choose; which one of several is a worker's own"""

    @property
    def instances(self) -> list[tuple[ImageSet, int]]:
        """The set and the seed of each run of a trial: all sets with one seed, then with the next."""
        return [(images, self.seed + k) for k in range(self.seeds) for images in self.sets]

    @property
    def prunes_within(self) -> bool:
        """Whether trials are stopped by what they score on their way."""
        return self.pruner in ("halving", "hyperband")

    @property
    def trial_seconds(self) -> float | None:
        """What a trial takes that is not stopped; None where its budget is in images."""
        seconds = self.trial_budget.seconds
        return None if seconds is None else seconds * len(self.instances)

    def settings(self, drawn: Mapping[str, Any], images: ImageSet) -> dict[str, Any]:
        """The tables that drawn values stand for, on one of the sets."""
        _, found = self.space.settings(drawn, Images(images.count, images.side), self.device)
        return found

    def base(self, preset: str, images: ImageSet) -> dict[str, Any]:
        """The tables of a preset as it is, with what is fixed."""
        return self.space.base(preset, Images(images.count, images.side), self.device)

    @property
    def evaluations(self) -> Duration:
        """How often a run of a trial is scored."""
        if self.trial_budget.images is not None:
            return Duration(images=max(self.trial_budget.images // POINTS, 1))
        return Duration(seconds=(self.trial_budget.seconds or 0.0) / POINTS)

    def identity(self) -> dict[str, Any]:
        """What must be the same for two calls to work on one study, by the names of their arguments."""
        return {
            "source": [[images.name, images.content] for images in self.sets],
            "space": self.space.toml(),
            "metric": self.metric.name,
            "extractor": self.extractor,
            "eval_images": self.eval_images,
            "trial_budget": str(self.trial_budget),
            "seeds": self.seeds,
            "seed": self.seed,
            "pruner": self.pruner,
        }

    def message(self) -> str:
        """As JSON, for a worker on this machine."""
        return json.dumps(
            {**self.identity(), "sets": [images.message() for images in self.sets], "device": self.device}
        )

    @classmethod
    def read(cls, text: str) -> "Plan":
        """What `message` gave."""
        told = parse_json(text, dict[str, Any], "what the worker is told")
        return cls(
            sets=[ImageSet.read(images) for images in told["sets"]],
            space=spaces.make(parse_toml(told["space"], "the space"), {}, (), "the space"),
            metric=Metric(told["metric"]),
            extractor=told["extractor"],
            eval_images=told["eval_images"],
            trial_budget=Duration.parse(told["trial_budget"]),
            seeds=told["seeds"],
            seed=told["seed"],
            pruner=told["pruner"],
            device=told["device"],
        )


def run_settings(
    plan: Plan, found: Mapping[str, Any], images: ImageSet, seed: int, *, scored: bool
) -> dict[str, Any]:
    """Tables of a run: those of its trial, its images, and how it is scored and kept. scored: on its way, too."""
    budget = plan.trial_budget
    saved = Duration(seconds=min(60.0, budget.seconds / POINTS)) if budget.seconds else Duration(seconds=60.0)
    train: dict[str, Any] = {
        "seed": seed,
        "budget": str(budget),
        "grid_every": "24h",  # but for the first and the last
        "checkpoint_every": str(saved),
        "keep_checkpoints": 1,
    }
    if scored:
        train |= {
            "eval_every": str(plan.evaluations),
            "eval_metrics": plan.metric.computed,
            "eval_images": plan.eval_images,
        }
    tables = {**{name: dict(table) for name, table in found.items()}}
    tables.setdefault("data", {})["source"] = str(images.train)
    tables.setdefault("model", {})["resolution"] = images.side
    tables["train"] = {**tables.get("train", {}), **train}
    return tables


def numbered(folder: Path, plan: Plan, images: ImageSet, seed: int) -> Path:
    """The run of a trial whose place is `folder`: itself, or one of several in it."""
    return folder if len(plan.instances) == 1 else folder / f"{images.name}-{seed}"
