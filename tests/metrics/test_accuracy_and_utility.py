import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, confusion_matrix

from immunocast.errors import ConfigError
from immunocast.metrics import (
    METRICS,
    brier,
    net_benefit,
    net_benefit_curve_parts,
    net_benefit_treat_all,
    net_benefit_treat_none,
    quotient,
    scaled_brier,
)


def sample(seed, n=60):
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 3, n), 1)
    y = (rng.random(n) < p).astype(int)
    y[:2] = 0, 1
    return y, p, rng.integers(0, 4, (n, 3)).astype(float) + (np.arange(n)[:, None] < 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_brier_and_its_batched_form_equal_scikit_learn(seed):
    y, p, w = sample(seed)
    assert brier(y, p) == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    values = quotient(*METRICS["brier"].prepare(y, p)(w))
    scaled = quotient(*METRICS["scaled_brier"].prepare(y, p)(w))
    for b in range(3):
        expected = brier_score_loss(y, p, sample_weight=w[:, b])
        assert values[b] == pytest.approx(expected, abs=1e-12)
        rate = np.average(y, weights=w[:, b])
        assert scaled[b] == pytest.approx(1 - expected / (rate * (1 - rate)), abs=1e-12)


def test_scaled_brier_anchors():
    y = np.array([0, 0, 0, 1])
    assert scaled_brier(y, y) == 1
    assert scaled_brier(y, np.full(4, 0.25)) == 0
    assert scaled_brier(y, np.full(4, 0.9)) < 0
    assert np.isnan(scaled_brier([1, 1], [0.5, 0.5]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.8]))
def test_net_benefit_by_the_confusion_matrix(seed, t):
    y, p, w = sample(seed)
    _, fp, _, tp = confusion_matrix(y, p >= t).ravel()
    expected = tp / len(y) - fp / len(y) * t / (1 - t)
    assert net_benefit(y, p, t) == pytest.approx(expected, abs=1e-12)
    batched = quotient(*METRICS["net_benefit"].prepare(y, p, t)(w))
    expanded = np.repeat(np.arange(len(y)), w[:, 1].astype(int))
    assert batched[1] == pytest.approx(net_benefit(y[expanded], p[expanded], t), abs=1e-12)


def test_a_probability_at_the_threshold_is_treated():
    batched = METRICS["net_benefit"].prepare(np.array([1, 0]), np.array([0.3, 0.1]), 0.3)
    assert quotient(*batched(np.ones((2, 1)))).tolist() == [0.5]
    assert net_benefit([1, 0], [0.3, 0.1], 0.3) == 0.5


def test_reference_strategies():
    y, _, _ = sample(1)
    for t in (0.1, 0.5, 0.79):
        prevalence = y.mean()
        assert net_benefit_treat_all(y, t) == pytest.approx(prevalence - (1 - prevalence) * t / (1 - t))
        assert net_benefit_treat_all(y, t) == pytest.approx(net_benefit(y, np.ones(len(y)), t))
        assert net_benefit_treat_none(y, t) == net_benefit(y, np.zeros(len(y)), t) == 0
    assert net_benefit(y, y, 0.4) == pytest.approx(y.mean())


@pytest.mark.parametrize("t", [0, 1, -0.1, 1.5, None, float("nan")])
def test_a_threshold_outside_is_told(t):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        net_benefit_treat_all([0, 1], t)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 50]), st.sampled_from([0, 2, None]))
def test_a_decision_curve_is_the_net_benefit_at_every_threshold(seed, n, digits):
    """Also for predictions that lie on a threshold, and for resamples."""
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    p = p if digits is None else np.round(p, digits)
    y = rng.integers(0, 2, n)
    grid = np.round(np.arange(1, 81) / 100, 2)
    weights = np.column_stack([np.ones(n), rng.integers(0, 3, n)])
    gain, size = net_benefit_curve_parts(y, p, grid)(weights)
    assert gain[:, 0] / size[0] == pytest.approx([net_benefit(y, p, t) for t in grid], abs=1e-12)
    drawn = np.repeat(np.arange(n), weights[:, 1].astype(int))
    if len(drawn):
        assert gain[:, 1] / size[1] == pytest.approx([net_benefit(y[drawn], p[drawn], t) for t in grid], abs=1e-12)
    everybody, _ = net_benefit_curve_parts(y, np.ones(n), grid)(weights[:, :1])
    assert everybody[:, 0] / n == pytest.approx([net_benefit_treat_all(y, t) for t in grid], abs=1e-12)
