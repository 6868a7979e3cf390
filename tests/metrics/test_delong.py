import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.metrics import (
    auroc,
    auroc_influence,
    auroc_interval,
    delong_difference,
    delong_interval,
    delong_variance,
    influence_difference,
    influence_variance,
    stratified,
)


def structural_components(y, p):
    """DeLong 1988 by its definition, every pair looked at."""
    events, others = p[y == 1], p[y == 0]
    psi = (events[:, None] > others[None]) + 0.5 * (events[:, None] == others[None])
    return psi.mean(axis=1), psi.mean(axis=0)


def covariance(y, first, second):
    (v10, v01), (w10, w01) = structural_components(y, first), structural_components(y, second)
    return np.cov(v10, w10)[0, 1] / len(v10) + np.cov(v01, w01)[0, 1] / len(v01)


def skilled(rng, n, shift=1.0, rate=0.3):
    y = (rng.random(n) < rate).astype(int)
    y[:4] = 0, 1, 0, 1
    return y, 1 / (1 + np.exp(-(rng.normal(size=n) + shift * y - 1)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 40), st.sampled_from([1, 3, 20]))
def test_equal_to_the_definition_with_ties(seed, n, steps):
    rng = np.random.default_rng(seed)
    y, p = skilled(rng, n)
    q = np.round(rng.random(n) * steps) / steps
    p = np.round(p * steps) / steps
    assert delong_variance(y, p) == pytest.approx(covariance(y, p, p), abs=1e-12)
    found = delong_difference(y, p, q)
    variance = covariance(y, p, p) + covariance(y, q, q) - 2 * covariance(y, p, q)
    assert found.difference == pytest.approx(auroc(y, p) - auroc(y, q), abs=1e-12)
    half = 1.959963984540054 * np.sqrt(max(variance, 0))
    assert found.ci_high - found.difference == pytest.approx(half, abs=1e-7)


def test_stratified_variance_is_the_weighted_sum():
    rng = np.random.default_rng(3)
    cohorts = [skilled(rng, n) for n in (60, 200, 30)]
    pairs = np.array([y.sum() * (len(y) - y.sum()) for y, _ in cohorts])
    weights = pairs / pairs.sum()
    found = stratified([auroc_influence(y, p) for y, p in cohorts])
    assert found.auroc == pytest.approx(sum(w * auroc(y, p) for w, (y, p) in zip(weights, cohorts, strict=True)))
    expected = sum(w**2 * delong_variance(y, p) for w, (y, p) in zip(weights, cohorts, strict=True))
    assert influence_variance(found.values) == pytest.approx(expected)


def test_a_person_counted_twice_adds_no_information():
    y, p = skilled(np.random.default_rng(4), 120)
    twice = np.repeat(np.arange(120), 2)
    once = delong_variance(y, p)
    clustered = delong_variance(y[twice], p[twice], persons=twice)
    assert clustered == pytest.approx(once, rel=0.03)
    assert delong_variance(y[twice], p[twice]) == pytest.approx(once / 2, rel=0.03)


def test_repeats_are_averaged_patient_by_patient():
    rng = np.random.default_rng(5)
    y, p = skilled(rng, 80)
    same = auroc_influence(y, np.stack([p, p]))
    assert influence_variance(same.values) == pytest.approx(delong_variance(y, p))
    other = 1 - p
    mixed = auroc_influence(y, np.stack([p, other]))
    assert mixed.auroc == pytest.approx(0.5)
    assert influence_variance(mixed.values) == pytest.approx(0, abs=1e-20)


def test_boundary_has_a_bound_that_shrinks_with_the_smaller_class():
    y = np.repeat([0, 1], [30, 10])
    assert delong_interval(y, y.astype(float)) == (1.0, pytest.approx(0.025**0.1), 1.0)
    assert delong_interval(y, 1.0 - y) == (0.0, 0.0, pytest.approx(1 - 0.025**0.1))
    wide = delong_interval(np.repeat([0, 1], [30, 3]), np.repeat([0.0, 1.0], [30, 3]))
    assert wide[1] < 0.025**0.1


def test_one_patient_in_a_class_has_no_variance():
    found = auroc_influence([0, 0, 1], [0.1, 0.2, 0.3])
    assert found.auroc == 1
    assert np.isnan(influence_variance(found.values))
    assert np.isnan(auroc_interval(found, float("nan"))).all()
    assert np.isnan(auroc_influence([1, 1], [0.1, 0.2]).auroc)


def test_equal_rankings_do_not_differ():
    y, p = skilled(np.random.default_rng(6), 50)
    found = delong_difference(y, p, p**2)
    assert (found.difference, found.ci_low, found.ci_high, found.p) == (0, 0, 0, 1)
    perfect = delong_difference(y, y.astype(float), np.full(50, 0.5))
    assert perfect.difference == 0.5
    assert np.isnan(perfect.p)


def test_interval_covers_and_p_is_uniform_without_a_difference():
    """Seeded simulation: 95 % intervals cover 93-97.5 % of 600 samples; 5 % tests reject 2.5-7.5 %."""
    rng = np.random.default_rng(7)
    truth = 0.760249938906523  # Phi(1 / sqrt 2), the AUROC of two unit normals one apart
    covered = rejected = 0
    for _ in range(600):
        y, p = skilled(rng, 150)
        _, low, high = delong_interval(y, p)
        covered += low <= truth <= high
        signal = rng.normal(size=150) + y
        one, two = (1 / (1 + np.exp(-(signal + rng.normal(size=150)))) for _ in range(2))
        rejected += delong_difference(y, one, two).p < 0.05
    assert 0.93 <= covered / 600 <= 0.975
    assert 0.025 <= rejected / 600 <= 0.075


def test_difference_of_influences_is_antisymmetric():
    rng = np.random.default_rng(8)
    y, p = skilled(rng, 60)
    one, two = auroc_influence(y, p), auroc_influence(y, rng.random(60))
    there, back = influence_difference(one, two), influence_difference(two, one)
    assert there.difference == -back.difference
    assert there.ci_low == pytest.approx(-back.ci_high)
    assert there.p == back.p
