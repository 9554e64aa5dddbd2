"""Intervals and tests against scipy's and against numbers done by hand."""

import math

import pytest
from scipy import stats

from fastgan.study.statistics import estimate, holm, paired

A = [0.91, 0.93, 0.90, 0.95, 0.92]
B = [0.90, 0.90, 0.89, 0.91, 0.93]


def test_paired_differences_are_scipys() -> None:
    found = paired(A, B)
    theirs = stats.ttest_rel(A, B)
    assert found.p_value == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_holm_is_the_papers() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2, and 0.04 raised to what came before it
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_seeds_that_agree_by_rounding_are_not_certainty() -> None:
    assert estimate([0.01, 0.01], grain=0.01).p_value > 0.05
    assert estimate([0.0, 0.0]).p_value == 1.0
    assert estimate([0.3]).high == math.inf
