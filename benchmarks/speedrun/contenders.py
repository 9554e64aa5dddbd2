"""Who runs, on what, for how long: the one table to edit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PRESETS = Path(__file__).parent / "presets"
SETS = ("avatars", "emoji3d", "solar")
MINUTES = (4.0, 11.0)
LONG = 60.0
LONG_SET, LONG_BEST = "avatars", 4
SEEDS = (0, 1)
SAMPLES = 1000
"""Images that each point is scored on"""
POINTS: Mapping[float, tuple[float, ...]] = {4: (1, 2, 3, 4), 11: (1, 2, 4, 7, 11), 60: (4, 11, 20, 40, 60)}
"""Budget -> the minutes at which it is scored; others are scored at each quarter"""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A recipe."""

    name: str
    kind: Literal["preset", "config", "dcgan", "lightweight-gan"]
    what: str
    """A few words for the page"""
    pretrained: bool = False
    """Whether its discriminator sees pretrained features, which flatters scores in the same features"""
    follows_budget: bool = False
    """Whether the budget changes its settings. Where it does not, one run gives all shorter budgets on its way."""

    @property
    def preset(self) -> str:
        """The preset, for kind "preset"."""
        return self.name

    @property
    def config(self) -> Path:
        """The settings file, for kind "config"."""
        return PRESETS / f"{self.name.removeprefix('old-')}.toml"


def _old(name: str, what: str, **more: Any) -> Contender:
    return Contender(
        name=f"old-{name}", kind="config", what=f"fastgan's preset {name} before: {what}", **more
    )


def _preset(name: str, what: str, **more: Any) -> Contender:
    return Contender(
        name=name, kind="preset", what=f"fastgan --preset {name}: {what}", follows_budget=True, **more
    )


CONTENDERS: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (
        _preset("small", "the default"),
        _preset("demo", "what make demo trains"),
        _preset("stylegan", "style-based"),
        _preset("few-shot", "for small sets"),
        _preset("r3gan", "Huang et al. 2024"),
        _preset("projected", "Sauer et al. 2021", pretrained=True),
        _old("small", "DCGAN of half width, R1, ADA"),
        _old("demo", "DCGAN of half width, R1"),
        _old("stylegan", "Karras et al. 2019 at full width"),
        _old("few-shot", "DCGAN of half width, R1, slower generator"),
        _old("r3gan", "Huang et al. 2024"),
        _old("sle", "Liu et al. 2021"),
        _old("projected", "Sauer et al. 2021 over DCGAN", pretrained=True),
        Contender(
            name="dcgan-tutorial", kind="dcgan", what="the DCGAN of PyTorch's tutorial, fp32, batch 128"
        ),
        Contender(
            name="lightweight-gan",
            kind="lightweight-gan",
            what="lightweight-gan 1.2.1, its defaults at 64 px, fp32, batch 16",
        ),
    )
}


@dataclass(frozen=True)
class Cell:
    """One run."""

    dataset: str
    minutes: float
    contender: str
    seed: int

    @property
    def key(self) -> str:
        """As in avatars/4/small/0."""
        return f"{self.dataset}/{self.minutes:g}/{self.contender}/{self.seed}"

    @classmethod
    def parse(cls, key: str) -> "Cell":
        """What `key` gave. ValueError for anything else."""
        dataset, minutes, contender, seed = key.split("/")
        if dataset not in SETS or contender not in CONTENDERS:
            raise ValueError(key)
        return cls(dataset, float(minutes), contender, int(seed))

    @property
    def due(self) -> tuple[float, ...]:
        """CPU seconds at which samples are taken."""
        quarters = tuple(self.minutes * part / 4 for part in (1, 2, 3, 4))
        return tuple(60 * minutes for minutes in POINTS.get(self.minutes, quarters))


def cells(results: Iterable[Mapping[str, Any]] = ()) -> Iterator[Cell]:
    """Every run there is to be; the long ones once the results of the shorter ones say who is best."""
    for dataset in SETS:
        for minutes in MINUTES:
            for contender in CONTENDERS.values():
                if contender.follows_budget or minutes == max(MINUTES):
                    yield from (Cell(dataset, minutes, contender.name, seed) for seed in SEEDS)
    for name in best(results):
        yield from (Cell(LONG_SET, LONG, name, seed) for seed in SEEDS)


RANKED = ("kid[effnet-lite0]", "kid[random-conv]", "periodic[pixels]")


def best(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """The LONG_BEST contenders of the longest short budget on LONG_SET; none while a contender has no result there."""
    short = max(MINUTES)
    found: dict[str, list[Scores]] = {}
    for result in results:
        if (result["dataset"], result["minutes"]) == (LONG_SET, short):
            points = result["points"]
            found.setdefault(result["contender"], []).append(points[-1]["scores"] if points else {})
    return ranking(found)[:LONG_BEST] if set(found) >= set(CONTENDERS) else []


Scores = Mapping[str, float]


def ranking(found: Mapping[str, Sequence[Scores]]) -> list[str]:
    """Contenders, best first, from the scores of their runs, one a seed; {} is a run that failed.

    By the mean of a contender's ranks in RANKED, each by the mean over seeds. One that trains on pretrained features is
    not ranked by scores in them.
    """
    ranks: dict[str, list[int]] = {name: [] for name in found}
    for score in RANKED:
        fair = [name for name in found if not flattered(name, score)]
        for rank, name in enumerate(sorted(fair, key=lambda n: _mean(found[n], score))):
            ranks[name].append(rank)
    return sorted(ranks, key=lambda name: sum(ranks[name]) / len(ranks[name]))


def flattered(name: str, score: str) -> bool:
    """Whether a contender was trained against the very features that a score is computed in."""
    return name in CONTENDERS and CONTENDERS[name].pretrained and "[effnet-lite0" in score


def cost(score: str, value: float) -> float:
    """A score as a number of which less is better. periodic counts from 1 on: less than that is blur, no virtue."""
    if score.startswith("periodic"):
        return max(value, 1.0)
    return -value if score.startswith("coverage") else value


def _mean(runs: Sequence[Scores], score: str) -> float:
    """Infinite where a run failed."""
    return sum(cost(score, run[score]) if score in run else float("inf") for run in runs) / len(runs)
