import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from immunocast.errors import ConfigError, DataError
from immunocast.metrics import LOGIT_EPS, calibration_intercept, calibration_slope, logit
from immunocast.models.recalibration import (
    RECALIBRATORS,
    NotEnoughEvents,
    Recalibrator,
    fit_recalibrator,
    recalibrator_from_dict,
)

NAMES = sorted(RECALIBRATORS)


def patients(seed=0, n=600, intercept=1.0, slope=2.0):
    """Outcomes, and probabilities that are too high and too extreme."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.8, 1, n)
    y = (rng.random(n) < expit(z)).astype(int)
    return expit(intercept + slope * z), y


@pytest.mark.parametrize("name", NAMES)
def test_calibration_in_the_large_is_repaired_on_the_fitting_patients(name):
    p, y = patients()
    q = fit_recalibrator(name, p, y).predict(p)
    assert abs(calibration_intercept(y, p)) > 0.4
    close = 0.05 if name == "isotonic" else 1e-6
    assert calibration_intercept(y, q) == pytest.approx(0, abs=close)
    assert q.mean() == pytest.approx(y.mean(), abs=close / 5)


def test_platt_reaches_slope_one_and_finds_the_distortion():
    p, y = patients(n=40_000)
    found = fit_recalibrator("platt", p, y)
    # z = (logit p - 1) / 2
    assert found.parameters["slope"] == pytest.approx(0.5, abs=0.02)
    assert found.parameters["intercept"] == pytest.approx(-0.5, abs=0.04)
    assert calibration_slope(y, found.predict(p)) == pytest.approx(1, abs=1e-4)
    only = fit_recalibrator("intercept", p, y).parameters["intercept"]
    assert only == pytest.approx(calibration_intercept(y, p), abs=1e-6)


def test_beta_holds_platt_as_a_case_and_bends_where_platt_cannot():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.99, 60_000)
    y = (rng.random(len(p)) < expit(0.5 * np.log(p) - 1.5 * np.log1p(-p) - 0.3)).astype(int)
    found = fit_recalibrator("beta", p, y).parameters
    assert (found["a"], found["b"], found["c"]) == pytest.approx((0.5, 1.5, -0.3), abs=0.08)


def test_the_fit_is_the_optimum_of_its_criterion_also_at_a_bound():
    rng = np.random.default_rng(5)
    p = rng.uniform(0.02, 0.98, 900)
    # b of the truth is negative: the bound holds it
    y = (rng.random(900) < expit(1.2 * np.log(p) + 0.6 * np.log1p(-p) + 1.0)).astype(int)
    found = fit_recalibrator("beta", p, y).parameters

    def loss(theta):
        eta = theta[0] * np.log(p) - theta[1] * np.log1p(-p) + theta[2]
        return np.sum(np.logaddexp(0, eta) - y * eta) + 0.005 * ((theta[0] - 1) ** 2 + (theta[1] - 1) ** 2)

    best = minimize(loss, [1.0, 1.0, 0.0], bounds=[(1e-6, None), (1e-6, None), (None, None)], tol=1e-12)
    assert best.x[1] == pytest.approx(1e-6)
    assert (found["a"], found["b"], found["c"]) == pytest.approx(tuple(best.x), abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([1, 3, 20, 10_000]), st.floats(-3, 3), st.floats(-3, 3))
def test_maps_never_fall_and_stay_inside(name, seed, steps, intercept, slope):
    p, y = patients(seed, 420, intercept, slope)
    y[:100], y[100:200] = 1, 0
    p = np.round(p * steps) / steps
    found = fit_recalibrator(name, p, y)
    grid = np.r_[0, np.linspace(0.001, 0.999, 400), 1]
    q = found.predict(grid)
    assert np.diff(q).min() >= -1e-12
    assert q.min() >= LOGIT_EPS
    assert q.max() <= 1 - LOGIT_EPS
    again = recalibrator_from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert np.array_equal(again.predict(grid), q)
    assert found.words


@pytest.mark.parametrize("name", ["intercept", "platt", "beta"])
@pytest.mark.parametrize("slope", [1.5, -1.5])
def test_ranks_stay_also_where_the_model_ranks_backwards(name, slope):
    p, y = patients(2, 500, 0.0, slope)
    q = fit_recalibrator(name, p, y).predict(p)
    assert roc_auc_score(y, q) == pytest.approx(roc_auc_score(y, p), abs=1e-9)
    if slope < 0 and name != "intercept":
        assert np.ptp(q) < 1e-3


def test_isotonic_keeps_ranks_between_its_ends_and_never_says_never():
    p = np.r_[np.linspace(0.01, 0.3, 150), np.linspace(0.31, 0.6, 100), np.linspace(0.61, 0.99, 150)]
    y = np.r_[np.zeros(150), np.tile([1, 0], 50), np.ones(150)].astype(int)
    found = fit_recalibrator("isotonic", p, y)
    # 150 non-events, half an event and half a non-event
    assert found.parameters["y"][0] == pytest.approx(0.5 / 151)
    assert found.parameters["y"][-1] == pytest.approx(150.5 / 151, abs=1e-4)
    assert np.all(np.diff(found.parameters["y"]) >= 0)
    middle = found.predict(np.linspace(0.2, 0.7, 50))
    assert np.all(np.diff(middle) > 0)


@pytest.mark.parametrize("name", ["platt", "beta"])
def test_separated_classes_give_a_finite_answer(name):
    p = np.r_[np.linspace(0.1, 0.4, 60), np.linspace(0.6, 0.9, 60)]
    y = np.repeat([0, 1], 60)
    found = fit_recalibrator(name, p, y)
    assert all(np.isfinite(v) and abs(v) < 1000 for v in found.parameters.values())
    q = found.predict(p)
    assert q[:60].max() < 0.05
    assert q[60:].min() > 0.95
    if name == "platt":  # the score of the prior balances that of the likelihood
        score = np.sum((y - q) * logit(p)) - 0.01 * (found.parameters["slope"] - 1)
        assert score == pytest.approx(0, abs=1e-3)
        assert found.parameters["slope"] > 5


def test_a_model_with_one_or_two_probabilities_gets_the_observed_rates():
    y = np.repeat([0, 1, 0, 1], [120, 40, 80, 80])
    p = np.repeat([0.3, 0.3, 0.7, 0.7], [120, 40, 80, 80])
    for name in ("platt", "beta", "isotonic"):
        q = fit_recalibrator(name, p, y).predict([0.3, 0.7])
        assert q == pytest.approx([0.25, 0.5], abs=0.002), name
    for name in NAMES:
        assert fit_recalibrator(name, np.full(320, 0.9), y).predict(0.9) == pytest.approx(120 / 320, abs=0.002)


@pytest.mark.parametrize("name", NAMES)
def test_too_few_events_or_others_are_told_with_a_reason(name):
    least = RECALIBRATORS[name].least
    p = np.linspace(0.1, 0.9, 500)
    for n_events in (least - 1, 500 - least + 1):
        y = np.zeros(500, dtype=int)
        y[:n_events] = 1
        with pytest.raises(NotEnoughEvents, match=f"needs {least} events") as error:
            fit_recalibrator(name, p, y)
        assert error.value.reason.endswith(f"there are {n_events} and {500 - n_events}")
    y = np.zeros(500, dtype=int)
    y[:least] = 1
    assert fit_recalibrator(name, p, y).n_events == least
    # unknown predictions do not count
    with pytest.raises(NotEnoughEvents):
        fit_recalibrator(name, np.where(np.arange(500) == 0, np.nan, p), y)


@pytest.mark.parametrize("name", NAMES)
def test_missing_predictions_stay_missing_and_do_not_change_the_fit(name):
    p, y = patients()
    with_gaps = np.r_[p, np.nan, np.nan]
    found = fit_recalibrator(name, with_gaps, np.r_[y, 0, 1])
    assert found == fit_recalibrator(name, p, y)
    q = found.predict(np.array([[0.2, np.nan], [np.nan, 1.0]]))
    assert np.array_equal(np.isnan(q), [[False, True], [True, False]])


def test_wrong_arguments_are_told():
    p, y = patients()
    with pytest.raises(ConfigError, match=r"no recalibration 'temperature'\. Choose among platt"):
        fit_recalibrator("temperature", p, y)
    with pytest.raises(DataError, match="not probabilities"):
        fit_recalibrator("platt", p + 1, y)
    with pytest.raises(DataError, match="one probability a patient"):
        fit_recalibrator("platt", p[:-1], y)
    with pytest.raises(DataError, match="something else than 0 and 1"):
        fit_recalibrator("platt", p, y + 1)
    with pytest.raises(DataError, match="not probabilities"):
        fit_recalibrator("platt", p, y).predict([0.2, -0.1])


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({}, "no recalibration None"),
        ({"name": "temperature", "parameters": {}}, "no recalibration 'temperature'"),
        ({"name": "platt", "parameters": {"intercept": 0.0}, "n": 9, "n_events": 3}, "not intercept, slope"),
        ({"name": "platt", "parameters": {"intercept": 0.0, "slope": -1}, "n": 9, "n_events": 3}, "not rise"),
        ({"name": "platt", "parameters": {"intercept": float("nan"), "slope": 1}, "n": 9, "n_events": 3}, "is nan"),
        ({"name": "platt", "parameters": {"intercept": 0.0, "slope": "x"}, "n": 9, "n_events": 3}, "no number"),
        ({"name": "platt", "parameters": {"intercept": 0.0, "slope": 1}}, "'n'"),
        ({"name": "isotonic", "parameters": {"x": [0.1, 0.2], "y": [0.3, 0.2]}, "n": 9, "n_events": 3}, "rise"),
        ({"name": "isotonic", "parameters": {"x": [0.1], "y": []}, "n": 9, "n_events": 3}, "as many"),
    ],
)
def test_a_broken_state_is_told(state, says):
    with pytest.raises(DataError, match=says):
        recalibrator_from_dict(state)


def test_logit_shift_of_the_intercept_is_the_same_for_everybody():
    shifted = Recalibrator("intercept", {"intercept": -0.7}, 100, 30).predict([0.2, 0.5, 0.9])
    assert logit(shifted) - logit([0.2, 0.5, 0.9]) == pytest.approx([-0.7] * 3)
