"""Which images are whose: shards by hand and by scheduler, batches of a plan, seeds as text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgan.errors import ConfigError
from fastgan.inference.plan import Places, Plan, seeds_text
from fastgan.inference.shards import Shard, find_shard, local_rank
from fastgan.seeds import parse_seeds

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "16"}
ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.parametrize(
    ("spec", "environment", "shard"),
    [
        (None, {}, (0, 1)),
        ("3/16", {}, (3, 16)),
        ("1/2", TORCHRUN, (1, 2)),
        (None, TORCHRUN, (3, 16)),
        (None, {"RANK": "0", "WORLD_SIZE": "1"}, (0, 1)),
        (None, {"SLURM_PROCID": "3", "SLURM_NTASKS": "16"}, (0, 1)),
        ("auto", TORCHRUN, (3, 16)),
        ("auto/16", TORCHRUN, (3, 16)),
        ("auto", {"SLURM_PROCID": "3", "SLURM_NTASKS": "16"}, (3, 16)),
        ("auto", ARRAY | {"SLURM_ARRAY_TASK_STEP": "2"}, (3, 4)),
        ("auto", ARRAY | {"SLURM_ARRAY_TASK_ID": "2"} | {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (3, 8)),
        ("auto/16", {"JOB_COMPLETION_INDEX": "3"}, (3, 16)),
    ],
)
def test_who_says_which_shard(spec: str | None, environment: dict[str, str], shard: tuple[int, int]) -> None:
    found = find_shard(spec, environment)
    assert (found.index, found.count) == shard


@pytest.mark.parametrize(
    ("spec", "environment", "said"),
    [
        ("16/16", {}, r"`shard` 16/16 is out of range: shards are counted from 0, 0/16 to 15/16"),
        ("0/0", {}, "out of range"),
        ("3", {}, "not INDEX/COUNT"),
        ("-1/4", {}, "not INDEX/COUNT"),
        ("auto", {}, "finds neither RANK"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "like auto/16"),
        ("auto/8", TORCHRUN, "contradicts RANK and WORLD_SIZE, which say 16"),
        (None, {"RANK": "x", "WORLD_SIZE": "4"}, "RANK='x' in the environment is no number"),
        (None, {"RANK": "4", "WORLD_SIZE": "4"}, "RANK and WORLD_SIZE 4/4 is out of range"),
    ],
)
def test_what_is_no_shard(spec: str | None, environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_shard(spec, environment)


def test_local_rank() -> None:
    assert local_rank({"LOCAL_RANK": "2", "SLURM_LOCALID": "5"}) == 2
    assert local_rank({"SLURM_LOCALID": "5"}) == 5
    assert local_rank({}) == 0


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 30), st.integers(1, 12))
def test_shards_share_the_images_out(n: int, batch: int, unit: int, count: int) -> None:
    """Every image is one shard's, and every batch is whole wherever it is made."""
    seeds = range(1000, 1000 + n)
    owner = np.zeros(n, int)
    for index in range(count):
        plan = Plan(seeds, batch, unit, Shard(index, count, "--shard"))
        assert plan.span.start % unit == 0
        for made in plan.batches(np.ones(len(plan.span), bool)):
            assert list(made.seeds) == list(seeds[made.start : made.start + batch])
            assert made.start % batch == 0
            owner[made.start + made.rows] += 1
    assert (owner == 1).all()


def test_batches_with_nothing_to_write_are_not_run() -> None:
    plan = Plan(range(20), 4, 4)
    wanted = np.zeros(20, bool)
    wanted[[5, 6, 19]] = True
    assert [(b.start, b.rows.tolist()) for b in plan.batches(wanted)] == [(4, [1, 2]), (16, [3])]
    assert len(list(plan.batches(wanted, all_of_them=True))) == 5


@given(st.lists(st.integers(0, 40) | st.integers(2**64 - 4, 2**64 - 1), min_size=1, unique=True))
def test_seeds_are_found_and_named(seeds: list[int]) -> None:
    places = Places(seeds)
    assert [places.of(seed) for seed in seeds] == list(range(len(seeds)))
    assert places.of(41) is None
    assert places.of(2**64 + 5) is None
    assert places.of(-1) is None
    assert list(parse_seeds(seeds_text(seeds))) == seeds
