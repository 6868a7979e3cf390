"""Ranks, their spread over draws, and the directions that are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from immunocast.explain.ranks import (
    PERCENTILES_FROM,
    covers_most,
    ranks,
    resampled_means,
    sign_consistency,
    spread,
)

FINITE = st.floats(0, 1e6)


def test_ranks_by_hand():
    assert ranks(np.array([0.2, 0.9, 0.2, 0.0])).tolist() == [2, 1, 2, 4]
    with_gap = ranks(np.array([[0.2, np.nan, 0.9]]))
    assert with_gap[0, [0, 2]].tolist() == [2, 1], "a draw ranks what it has"
    assert np.isnan(with_gap[0, 1])


@given(arrays(float, (4, 6), elements=FINITE))
def test_a_rank_counts_what_is_larger(values):
    for row, own in zip(values, ranks(values), strict=True):
        assert own.tolist() == [1 + (row > value).sum() for value in row]


@given(arrays(float, st.integers(2, 120), elements=FINITE))
def test_a_spread_lies_inside_what_was_drawn(values):
    low, high = spread(values)
    assert values.min() <= low <= high <= values.max()
    if len(values) < PERCENTILES_FROM:
        assert (low, high) == (values.min(), values.max())


def test_spread_of_many_draws_leaves_out_the_ends_and_keeps_ranks_whole():
    values = np.arange(1.0, 101.0)
    assert spread(values) == pytest.approx((3.475, 97.525))
    assert spread(values, whole=True) == (3, 98)


def test_gaps_and_too_few_draws():
    assert np.isnan(spread(np.array([0.3, np.nan]))).all()
    assert spread(np.array([0.3, np.nan, 0.1])) == (0.1, 0.3)


def test_sign_consistency_counts_draws_with_a_direction():
    assert sign_consistency(-0.2, np.array([-1, -0.1, 0.4, np.nan])) == pytest.approx(2 / 3)
    assert np.isnan(sign_consistency(np.nan, np.array([1.0])))
    assert np.isnan(sign_consistency(1.0, np.array([np.nan])))


def test_most_of_the_table_is_more_than_half():
    assert covers_most(1, 6, 11)
    assert not covers_most(1, 5, 10)
    assert not covers_most(11, 11, 11)


def test_means_of_resampled_persons():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(3, 1, 400), np.full(400, 2.0)])
    values[:200, 1] = np.nan
    persons, cohorts = np.arange(400).astype(str), np.repeat(["a", "b"], 200)
    drawn = resampled_means(values, persons, cohorts, n_resamples=500, seed=1)
    assert drawn.shape == (500, 2)
    assert drawn[:, 0].std() == pytest.approx(values[:, 0].std() / 20, rel=0.15)
    assert np.allclose(drawn[:, 1], 2), "who has no value does not count"
    twins = resampled_means(np.repeat(values, 2, axis=0), np.repeat(persons, 2), np.repeat(cohorts, 2),
                            n_resamples=500, seed=1)  # fmt: skip
    assert np.allclose(twins, drawn), "the unit is the person"
