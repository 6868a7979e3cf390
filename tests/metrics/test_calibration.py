import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import binomtest

from immunocast.metrics import (
    LOGIT_EPS,
    METRICS,
    calibration_bins,
    calibration_intercept,
    calibration_slope,
    logit,
    oe_ratio,
    resampled_parts,
    wilson_interval,
)


def by_optimiser(y, p, w, slope_too):
    """Maximum likelihood by a general optimiser, to hold Newton's method against."""
    x = logit(p)

    def loss(theta):
        eta = theta[0] + (theta[1] if slope_too else 1) * x
        return np.sum(w * (np.logaddexp(0, eta) - y * eta)) / w.sum()

    found = minimize(loss, [0.0, 1.0] if slope_too else [0.0], method="Nelder-Mead", tol=1e-13)
    return found.x[-1]


def sample(seed, n=300, extreme=1.0):
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.8, 1, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return rng, y, 1 / (1 + np.exp(-(extreme * z + 0.4)))


@pytest.mark.parametrize("extreme", [0.3, 1.0, 2.5])
def test_batched_fits_reach_the_optimum_in_every_column(extreme):
    rng, y, p = sample(1, extreme=extreme)
    w = rng.multinomial(300, np.full(300, 1 / 300), size=3).T.astype(float)
    intercepts = METRICS["calibration_intercept"].fit(y, p)(w)
    slopes = METRICS["calibration_slope"].fit(y, p)(w)
    for b in range(3):
        assert intercepts[b] == pytest.approx(by_optimiser(y, p, w[:, b], False), abs=1e-6)
        assert slopes[b] == pytest.approx(by_optimiser(y, p, w[:, b], True), abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([20, 60]), st.sampled_from([2, 4, 1000]))
def test_scores_vanish_at_the_fit_with_ties(seed, n, steps):
    """At the maximum the first derivatives of the likelihood are 0, checked without any optimiser."""
    rng, y, p = sample(seed, n)
    p = np.clip(np.round(p * steps) / steps, 0, 1)
    w = rng.integers(0, 4, (n, 5)).astype(float)
    a = METRICS["calibration_intercept"].fit(y, p)(w)
    x = logit(p)
    for b in np.flatnonzero(np.isfinite(a)):
        residual = y - 1 / (1 + np.exp(-(x + a[b])))
        assert np.sum(w[:, b] * residual) == pytest.approx(0, abs=1e-6)
    slopes = METRICS["calibration_slope"].fit(y, p)(w)
    for b in np.flatnonzero(np.isfinite(slopes)):
        # given the slope, the intercept is a one-dimensional fit with slope * x as the offset
        offset = 1 / (1 + np.exp(-slopes[b] * x))
        if np.abs(slopes[b] * x).max() < -np.log(LOGIT_EPS):
            shift = METRICS["calibration_intercept"].fit(y, offset)(w[:, [b]])[0]
            residual = y - 1 / (1 + np.exp(-(slopes[b] * x + shift)))
            assert np.sum(w[:, b] * residual * x) == pytest.approx(0, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=4, max_size=14))
def test_the_slope_is_null_exactly_where_a_cut_off_separates(rows):
    y = np.array([r[0] for r in rows])
    p = np.array([r[1] for r in rows]) / 6
    events, others = p[y == 1], p[y == 0]
    finite = len(events) > 0 and len(others) > 0 and events.min() < others.max() and others.min() < events.max()
    assert np.isfinite(calibration_slope(y, p)) == finite
    assert np.isfinite(calibration_intercept(y, p)) == (0 < y.sum() < len(y))


def test_true_probabilities_are_calibrated():
    rng = np.random.default_rng(2)
    p = rng.beta(2, 4, 60_000)
    y = rng.random(60_000) < p
    assert calibration_intercept(y, p) == pytest.approx(0, abs=0.03)
    assert calibration_slope(y, p) == pytest.approx(1, abs=0.04)
    shifted = 1 / (1 + np.exp(-(logit(p) + 1)))
    assert calibration_intercept(y, shifted) == pytest.approx(-1, abs=0.03)
    doubled = 1 / (1 + np.exp(-2 * logit(p)))
    assert calibration_slope(y, doubled) == pytest.approx(0.5, abs=0.02)


def test_the_slope_of_a_cut_off_model_is_the_log_odds_ratio_over_the_logit_gap():
    y = np.repeat([0, 1, 0, 1], [30, 10, 20, 20])
    p = np.repeat([0.2, 0.2, 0.6, 0.6], [30, 10, 20, 20])
    expected = (np.log(20 / 20) - np.log(10 / 30)) / (logit(0.6) - logit(0.2))
    assert calibration_slope(y, p) == pytest.approx(expected, abs=1e-9)


def test_exact_zero_and_one_stay_finite():
    y, p = np.array([0, 1, 0, 1, 1, 0]), np.array([0.0, 1.0, 1.0, 0.0, 0.7, 0.4])
    assert np.isfinite(calibration_slope(y, p))
    assert logit([0.0, 1.0]) == pytest.approx([np.log(LOGIT_EPS), -np.log(LOGIT_EPS)], abs=1e-5)


def test_bins_hold_everybody_and_keep_ties_together():
    _, y, p = sample(3, n=503)
    bins = calibration_bins(y, p)
    assert len(bins.n) == 10
    assert bins.n.sum() == 503
    assert bins.n.min() >= 49
    assert np.sum(bins.n * bins.observed) == pytest.approx(y.sum())
    assert np.sum(bins.n * bins.mean_predicted) == pytest.approx(p.sum())
    assert np.all(np.diff(bins.mean_predicted) > 0)
    two = calibration_bins(y, np.where(p > 0.4, 0.45, 0.2))
    assert two.mean_predicted == pytest.approx([0.2, 0.45])
    assert calibration_bins(y, np.full(503, 0.3)).n.tolist() == [503]


@pytest.mark.parametrize(("events", "n"), [(0, 12), (3, 12), (12, 12), (40, 97)])
def test_wilson_interval_equals_scipy(events, n):
    expected = binomtest(events, n).proportion_ci(method="wilson")
    low, high = wilson_interval(events, n)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_observed_over_expected_by_hand_and_over_repeats():
    y, p = np.array([1, 0, 1, 0]), np.array([0.5, 0.25, 0.5, 0.75])
    assert oe_ratio(y, p) == 1.0
    assert oe_ratio(y, p / 2) == 2.0
    assert np.isnan(oe_ratio(y, np.zeros(4)))
    # expected events differ between repeats: their mean counts, in whatever order the repeats come
    both = np.array([p, p / 2])
    for order in (both, both[::-1]):
        ((events, expected),) = resampled_parts([(METRICS["oe_ratio"], None)], y, order, [np.ones((4, 1))])
        assert events[0] / expected[0] == pytest.approx(2 / 1.5)
